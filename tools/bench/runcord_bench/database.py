"""The PostgreSQL that is measured on: durable, and left as it was found."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from runcord.embedded import EmbeddedPostgres, check_durability
from runcord.ids import new_id


@dataclass
class Databases:
    """Databases for the sides of benchmarks, on one server.

    `dsn` is who uses them, as the product connects; `admin_dsn` who makes and drops them, perhaps the same.
    """

    dsn: str
    admin_dsn: str
    _made: list[str] = field(default_factory=list[str])

    @property
    def made(self) -> list[str]:
        """The DSNs of the databases that there are."""
        return [make_conninfo(self.dsn, dbname=name) for name in self._made]

    def create(self, purpose: str) -> str:
        """Create an empty database and return its DSN."""
        # Named anew each time: two runs may share a server.
        name = new_id(f"runcord_bench_{purpose}")
        with psycopg.connect(self.dsn) as conn:
            owner = sql.Identifier(conn.info.user)
        self._execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), owner))
        self._made.append(name)
        return make_conninfo(self.dsn, dbname=name)

    def drop_all(self) -> None:
        """Drop what was created."""
        while self._made:
            self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self._made.pop())))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.admin_dsn, autocommit=True) as conn:
            conn.execute(statement)


@contextmanager
def open_databases(dsn: str | None) -> Iterator[Databases]:
    """Use the server at `dsn`, else an embedded one in a temporary directory that is removed afterwards.

    Raises:
        ConfigurationError: the server would lose acknowledged commits: what it can do is of no interest.
    """
    if dsn is not None:
        with _checked(dsn, dsn) as databases:
            yield databases
        return
    with ExitStack() as stack:
        # Not in memory, whatever the machine has: flushing is a part of what is measured.
        directory = Path(tempfile.mkdtemp(prefix="runcord-bench-", dir=_disk()))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        directory.chmod(0o711)  # for root, whose server runs as another account
        server = EmbeddedPostgres(directory)
        server.start()
        stack.callback(shutil.rmtree, server.home, ignore_errors=True)
        stack.callback(server.stop)
        yield stack.enter_context(_checked(server.dsn, server.administrator_dsn))


@contextmanager
def _checked(dsn: str, admin_dsn: str) -> Iterator[Databases]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        check_durability(conn, allow_unsafe=False)
    databases = Databases(dsn, admin_dsn)
    try:
        yield databases
    finally:
        databases.drop_all()


def _disk() -> str | None:
    """Return a directory that is a disk's even where the usual temporary one is memory; None for the usual one."""
    kept = Path("/var/tmp")
    return str(kept) if "TMPDIR" not in os.environ and kept.is_dir() else None
