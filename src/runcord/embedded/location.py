"""Where the files of an embedded server lie."""

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runcord.embedded.account import Account, can_enter, choose_account, require_droppable
from runcord.errors import ConfigurationError

PORT = 5432
RELOCATED = Path("/var/lib/runcord")

_SOCKET_NAME = f".s.PGSQL.{PORT}"
# sockaddr_un.sun_path less its final NUL: unix(7), and unix(4) of the BSDs.
_LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103


@dataclass(frozen=True, slots=True)
class Location:
    """The directories of one server, below `home` except perhaps the sockets', and the account that owns them."""

    home: Path
    sockets: Path
    account: Account

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def runtime(self) -> Path:
        return self.home / "runtime"

    @property
    def socket_lock(self) -> Path:
        return self.sockets / f"{_SOCKET_NAME}.lock"


def locate(directory: Path, relocated: Path = RELOCATED) -> Location:
    """Return where the server of `directory` lives, creating the directories it needs.

    That is `directory` itself, except for root whose other account cannot enter it (below /root, say): then
    it is a directory of its own under `relocated`, and `directory/home` a symbolic link to it. Nothing that
    exists has its permissions changed. Raises `ConfigurationError` when no place can be had.
    """
    home = _home(directory, relocated)
    account = choose_account(home / "data")
    if account.dropped:
        require_droppable(account)
        if not can_enter(account, home):
            if home != directory or (home / "data").exists():
                raise ConfigurationError(
                    f"User id {account.uid}, which owns {home / 'data'}, cannot enter {home}: "
                    "let it pass through the directories above, or run as that user."
                )
            home = _relocate(directory, relocated, account)
    return Location(home, _socket_directory(home, account), account)


def _home(directory: Path, relocated: Path) -> Path:
    link = directory / "home"
    if not link.is_symlink():
        return directory
    home = link.resolve()
    if not home.is_dir():
        raise ConfigurationError(
            f"The database of {directory} was placed at {home} (below {relocated}), which is missing: "
            f"bring it back, or delete {link} to begin with an empty one."
        )
    return home


def _relocate(directory: Path, relocated: Path, account: Account) -> Path:
    """Make a home under `relocated` and link to it.

    Its name is random, so that a state directory deleted and made anew is a new one with no past.
    """
    if not relocated.exists():
        with contextlib.suppress(OSError):
            relocated.mkdir(parents=True)
            relocated.chmod(0o755)
    if not (can_enter(account, relocated) and os.access(relocated, os.W_OK)):
        raise ConfigurationError(
            f"PostgreSQL runs as user id {account.uid}, which cannot enter {directory}, and {relocated} "
            "cannot be used instead: choose a state directory that this account can reach (--state-dir, "
            "RUNCORD_STATE_DIR), or set DATABASE_URL to the DSN of a PostgreSQL server."
        )
    home = Path(tempfile.mkdtemp(prefix=f"{directory.parent.name.lstrip('.') or 'state'}-", dir=relocated))
    home.chmod(0o711)
    (directory / "home").symlink_to(home)
    return home


def _socket_directory(home: Path, account: Account) -> Path:
    """Return a directory for the socket, 0700 and the account's own, with a path that fits into an address."""
    beside_data = home / "socket"
    if _fits(beside_data):
        _own_private_directory(beside_data, account)
        return beside_data
    name = f"runcord-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"
    for base in _short_bases(account):
        sockets = base / name
        if _fits(sockets) and can_enter(account, base) and os.access(base, os.W_OK):
            try:
                _own_private_directory(sockets, account)
            except ConfigurationError:
                continue  # somebody else's directory of our name
            return sockets
    raise ConfigurationError(
        f"The path of {home} is too long for a socket and no short temporary directory can be had: "
        "choose a shorter state directory (--state-dir, RUNCORD_STATE_DIR)."
    )


def _short_bases(account: Account) -> tuple[Path, ...]:
    return (Path(f"/run/user/{account.uid}"), Path(tempfile.gettempdir()), Path("/tmp"))


def _fits(directory: Path) -> bool:
    # libpq splits its list of hosts at commas, and knows no way to quote one.
    path = os.fsencode(directory / _SOCKET_NAME)
    return len(path) <= _LONGEST_SOCKET_PATH and b"," not in path


def _own_private_directory(directory: Path, account: Account) -> None:
    """Create the directory; one that exists must be the account's and closed to everybody else."""
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        found = directory.lstat()
        # Root may have died between making it and giving it away.
        if stat.S_ISDIR(found.st_mode) and found.st_uid in {account.uid, os.geteuid()} and not found.st_mode & 0o077:
            _give(directory, account)
            return
        raise ConfigurationError(
            f"{directory} must be a directory of user id {account.uid} with mode 0700: delete it and start again."
        ) from None
    _give(directory, account)


def _give(path: Path, account: Account) -> None:
    if account.dropped:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
