"""Creating the data directory, once, with what can never be changed later."""

import os
import shutil
import tempfile
from pathlib import Path

from runcord.embedded.account import require_passwd_entry, run_as
from runcord.embedded.binaries import Binaries
from runcord.embedded.location import Location
from runcord.errors import ConfigurationError, Unavailable

ADMINISTRATOR = "runcord_admin"
"""The superuser: makes the database and its owner, nothing else."""

ROLE = "runcord"
"""The owner of the database, whom the server connects as. Not a superuser, so that what is not granted to it, like
editing history, really is refused."""


def ensure_cluster(location: Location, binaries: Binaries, *, sync: bool) -> None:
    """Create the data directory unless it exists; refuse one that another major version of PostgreSQL made.

    Creation is all or nothing: an interrupted one leaves nothing that a later start could take for a database.
    `sync=False` skips flushing to disk, for databases that nobody will miss. Raises `ConfigurationError` for
    a foreign major and for an account without a name, `Unavailable` when initdb fails.
    """
    if location.data.exists():
        _require_same_major(location.data, binaries)
        return
    require_passwd_entry(location.account)
    for unfinished in location.home.glob("unfinished-*"):
        shutil.rmtree(unfinished)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=location.home))
    if location.account.dropped:
        os.chown(unfinished, location.account.uid, location.account.gid)
    finished = run_as(location.account, _initdb(binaries, unfinished, sync=sync))
    if finished.returncode != 0:
        shutil.rmtree(unfinished)
        raise Unavailable(f"initdb failed with exit code {finished.returncode}:\n{finished.stdout.strip()}")
    unfinished.rename(location.data)
    _flush(location.home)


def _initdb(binaries: Binaries, data: Path, *, sync: bool) -> list[str | Path]:
    # Sorting must never depend on the machine's C library or ICU: a copied or upgraded system would
    # silently disagree with its own indexes.
    locale = ["--locale=C"]
    if binaries.major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [
        binaries.initdb,
        "--pgdata",
        data,
        "--encoding=UTF8",
        *locale,
        "--data-checksums",
        f"--username={ADMINISTRATOR}",
        "--auth-local=trust",  # the socket's directory is the guard
        "--auth-host=reject",
        *([] if sync else ["--no-sync"]),
    ]


def _require_same_major(data: Path, binaries: Binaries) -> None:
    # PostgreSQL's own file is the one record of the major version; a second could only disagree with it.
    try:
        major = (data / "PG_VERSION").read_text().strip()
    except OSError:
        raise ConfigurationError(
            f"{data} is not a PostgreSQL data directory (it has no readable PG_VERSION): "
            "restore it, move it away, or choose another state directory."
        ) from None
    if major != str(binaries.major):
        raise ConfigurationError(
            f"{data} was made by PostgreSQL {major}, and the one found here is {binaries.version} "
            f"({binaries.bindir}). Install PostgreSQL {major} and start with it, or dump the database with that "
            "version (pg_dump), choose a new state directory and restore it there (pg_restore). "
            "Nothing was changed."
        )


def _flush(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
