"""The operating-system account that PostgreSQL runs as."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runcord.errors import ConfigurationError

_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user and its group; `dropped` says that it is not the account of this process."""

    uid: int
    gid: int
    dropped: bool


def choose_account(data: Path) -> Account:
    """Return the account to run as: this process's own, unless it is root, which PostgreSQL refuses.

    Root drops to the owner of an existing data directory, so that it stays usable whichever accounts come and
    go, else to `postgres`, else to `nobody`. Raises `ConfigurationError` when there is no such account or when
    the data directory belongs to somebody else.
    """
    uid = os.geteuid()
    owner = data.stat().st_uid if data.exists() else None
    if uid != 0:
        if owner not in {None, uid}:
            raise ConfigurationError(
                f"The data directory {data} belongs to user id {owner}, this process runs as {uid}: "
                "run as its owner or as root, or choose another state directory."
            )
        return Account(uid, os.getegid(), dropped=False)
    if owner:
        return Account(owner, data.stat().st_gid, dropped=True)
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid, dropped=True)
    raise ConfigurationError(
        "PostgreSQL refuses to run as root and this machine has neither a `postgres` nor a `nobody` account: "
        "run as another user, or set DATABASE_URL to the DSN of a PostgreSQL server."
    )


def require_passwd_entry(account: Account) -> None:
    """Raise `ConfigurationError` when the account has no name, without which initdb refuses to work."""
    try:
        pwd.getpwuid(account.uid)
    except KeyError:
        raise ConfigurationError(
            f"User id {account.uid} has no entry in the passwd database, so PostgreSQL cannot create a database: "
            "add an entry, run as another user, or set DATABASE_URL to the DSN of a PostgreSQL server."
        ) from None


def run_as(account: Account, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run a short command as the account, from `/`, and return its exit code and output (both streams as one).

    A command that cannot be started, or an account that this process may not become, is exit code 126 with
    the system's reason as output.
    """
    try:
        return subprocess.run(
            command,
            user=account.uid if account.dropped else None,
            group=account.gid if account.dropped else None,
            extra_groups=[] if account.dropped else None,
            cwd="/",
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 126, stdout=str(error))


def can_enter(account: Account, directory: Path) -> bool:
    """Return whether the account can reach and enter the directory, by trying (which honours ACLs too)."""
    return run_as(account, ["/bin/sh", "-c", 'cd "$1"', "sh", directory]).returncode == 0


def require_droppable(account: Account) -> None:
    """Raise `ConfigurationError` when this process may not become the account."""
    tried = run_as(account, ["/bin/sh", "-c", ":"])
    if tried.returncode != 0:
        raise ConfigurationError(
            f"PostgreSQL refuses to run as root, and changing to user id {account.uid} is not permitted here "
            f"({tried.stdout.strip()}): run as another user, "
            "or set DATABASE_URL to the DSN of a PostgreSQL server."
        )


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would steer PostgreSQL: `PG…` and the locale."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LANG": "C", "LC_ALL": "C"}
