"""A PostgreSQL server for tests: up in under a second, a fresh database in some 20 ms.

One server serves one test process; under pytest-xdist every worker has its own, so nothing is shared or counted.
"""

import itertools
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runcord.embedded.cluster import ADMINISTRATOR, ROLE
from runcord.embedded.supervisor import EmbeddedPostgres

# What makes tests fast and data mortal.
_FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}

_ROOM_BYTES = 2_000_000_000


class TestServer:
    """A throw-away server in a temporary directory; `close` leaves nothing behind.

    With `durable` it flushes like a real one, for tests that kill it and count what is left.
    """

    __test__ = False  # not a test class, whatever pytest makes of its name

    def __init__(self, *, durable: bool = False) -> None:
        base = None if durable else directory_for_throwaway_files()
        self._directory = Path(tempfile.mkdtemp(prefix="runcord-test-", dir=base))
        # For root, whose server runs as another account.
        self._directory.chmod(0o711)
        self._server = EmbeddedPostgres(
            self._directory, settings={} if durable else _FORGETFUL, allow_unsafe=not durable
        )
        self._numbers = itertools.count(1)
        try:
            self.dsn = self._server.start()
        except BaseException:
            shutil.rmtree(self._directory)
            raise

    @property
    def server(self) -> EmbeddedPostgres:
        """The supervised server, for tests that kill it."""
        return self._server

    def create_database(self, template: str | None = None) -> str:
        """Create an empty database, or a copy of the one with the DSN `template`, and return its DSN.

        Nobody may be connected to the template meanwhile.
        """
        name = f"test_{next(self._numbers)}"
        statement = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(ROLE))
        if template is not None:
            source = sql.Identifier(_database(template))
            statement += sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(source)
        self._execute(statement)
        return make_conninfo(self.dsn, dbname=name)

    def drop_database(self, dsn: str) -> None:
        """Drop the database and close whatever is still connected to it."""
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(_database(dsn))))

    def close(self) -> None:
        """Stop the server and delete its files."""
        self._server.stop()
        shutil.rmtree(self._server.home, ignore_errors=True)
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._server.administrator_dsn, autocommit=True) as connection:
            connection.execute(statement)


def directory_for_throwaway_files() -> Path:
    """Return a directory in memory where the machine has one with room for servers, else the temporary directory.

    In memory a test is spared the machine's disk and whoever else keeps it busy.
    """
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK):
        # Containers often have a tiny one, and forbid to execute the copies of programs that root's server needs.
        found = os.statvfs(memory)
        if found.f_bavail * found.f_frsize >= _ROOM_BYTES and not found.f_flag & os.ST_NOEXEC:
            return memory
    return Path(tempfile.gettempdir())


def as_superuser(dsn: str) -> str:
    """Return the DSN of the same database for the superuser, who may do what the server's own role may not."""
    return make_conninfo(dsn, user=ADMINISTRATOR)


def _database(dsn: str) -> str:
    name = conninfo_to_dict(dsn)["dbname"]
    assert isinstance(name, str)
    return name
