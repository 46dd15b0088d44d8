"""Bringing a database to the present schema.

Migrations are numbered SQL files, applied in order, each in its own transaction, under one advisory lock: any
number of servers may start at once. What was applied is kept with its checksum; a released file that has changed
since is refused, because nobody could say any more what the database holds.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg

from runcord.errors import ConfigurationError

_LOCK = 0x52756E636F7264  # "Runcord"

_HISTORY = """
create table if not exists schema_migrations (
    number integer not null primary key,
    name text not null,
    checksum bytea not null,
    applied_at timestamptz not null default clock_timestamp()
)
"""


@dataclass(frozen=True)
class Migration:
    """One step forward."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> bytes:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.sql.encode()).digest()


def migrations() -> list[Migration]:
    """Return all migrations in their order."""
    found = [f for f in (files("runcord.sql") / "migrations").iterdir() if f.name.endswith(".sql")]
    return sorted(
        (Migration(int(f.name.split("_")[0]), f.name.removesuffix(".sql"), f.read_text("utf-8")) for f in found),
        key=lambda migration: migration.number,
    )


def apply_schema(dsn: str) -> None:
    """Build the present schema in an empty database, and note all migrations as applied."""
    with psycopg.connect(dsn) as conn:
        conn.execute(_HISTORY)
        conn.execute((files("runcord.sql") / "schema.sql").read_bytes())
        for migration in migrations():
            _note(conn, migration)


def migrate(dsn: str) -> list[str]:
    """Apply what is pending and return its names.

    Raises:
        ConfigurationError: the database was changed by other files than these, or by a later Runcord.
    """
    applied: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("select pg_advisory_lock(%s)", (_LOCK,))
        conn.execute(_HISTORY)
        for migration in _pending(conn):
            with conn.transaction():
                conn.execute(migration.sql.encode())
                _note(conn, migration)
            applied.append(migration.name)
    return applied


def pending(dsn: str) -> list[str]:
    """Return the names of the migrations that `migrate` would apply, and change nothing."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        return [migration.name for migration in _pending(conn)]


def _pending(conn: psycopg.Connection[Any]) -> list[Migration]:
    known = migrations()
    row = conn.execute("select to_regclass('schema_migrations') is not null").fetchone()
    if row is None or not row[0]:
        return known
    done = {
        number: (name, bytes(checksum))
        for number, name, checksum in conn.execute("select number, name, checksum from schema_migrations")
    }
    later = sorted(done.keys() - {m.number for m in known})
    if later:
        raise ConfigurationError(
            f"the database has migration {done[later[-1]][0]}, which this version of Runcord does not know: "
            "install a later version"
        )
    for migration in known:
        if migration.number in done and done[migration.number][1] != migration.checksum:
            raise ConfigurationError(
                f"migration {migration.name} was changed after it had been applied: restore the released file"
            )
    return [migration for migration in known if migration.number not in done]


def _note(conn: psycopg.Connection[Any], migration: Migration) -> None:
    conn.execute(
        "insert into schema_migrations (number, name, checksum) values (%s, %s, %s)",
        (migration.number, migration.name, migration.checksum),
    )
