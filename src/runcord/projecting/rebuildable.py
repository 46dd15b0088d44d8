"""What can be rebuilt of what is written with the events: inline views, folded again from the log beside their rows.

The rows of a rebuild lie in shadows: tables of the same names in a schema of their own, so that the very statements
that commits run write them. Nobody reads them; a switch writes what differs over what is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from psycopg import sql

from runcord.ledger.view import InlineProjection, InlineView
from runcord.projecting.comparison import Difference, Sides
from runcord.sql import load

SQL = load("runcord.sql", "queries/rebuilds.sql")


class Rows(Protocol):
    """How the rows of a rebuild and those that are read are compared, and how the latter are healed."""

    def sides(self, conn: psycopg.Connection[Any], shadow: str) -> Sides:
        """Return what to compare, without what concerns the streams `%(moved)s`."""
        ...

    def heal(
        self,
        conn: psycopg.Connection[Any],
        project_id: str,
        shadow: str,
        differences: Sequence[Difference],
        moved: Sequence[str],
    ) -> int:
        """Make what is read as the shadow is, where they differed and where streams have moved since; return how much.

        The ledger is locked, and the shadow is at its end.
        """
        ...


@dataclass(frozen=True)
class Rebuildable:
    """An inline view, or inline projection, that can be rebuilt."""

    name: str
    version: int
    view: InlineView
    """Holds the states of the streams concerned."""
    writers: Sequence[InlineProjection]
    """Write the rows: the view, and what is derived beside it."""
    tables: Sequence[str]
    """The tables that the writers write to; each has its shadow, also those that are not compared."""
    rows: Rows
    after_healing: bytes | None = None
    """A statement that tells others that rows have changed; it is given project and position."""

    @property
    def shadow(self) -> str:
        """The schema that the shadows lie in."""
        return f"rebuild_{self.name}"


@dataclass(frozen=True)
class RowsOfStreams:
    """Rows of which each is the state of one stream."""

    table: str
    key: str
    """The column of the stream's id."""

    def sides(self, conn: psycopg.Connection[Any], shadow: str) -> Sides:
        """Compare all columns."""
        columns = [name for (name,) in conn.execute(SQL["columns"], {"table": self.table})]
        live, rebuilt = (
            sql.SQL(
                "select {columns} from {table} where project_id = %(project_id)s and {key} <> all (%(moved)s::text[])"
            ).format(
                columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
                table=sql.Identifier(schema, self.table),
                key=sql.Identifier(self.key),
            )
            for schema in ("public", shadow)
        )
        return Sides(live, rebuilt, (self.key,), [name for name in columns if name not in ("project_id", self.key)])

    def heal(
        self,
        conn: psycopg.Connection[Any],
        project_id: str,
        shadow: str,
        differences: Sequence[Difference],
        moved: Sequence[str],
    ) -> int:
        """Delete what is not as in the shadow, then insert what is not there."""
        params = {"project_id": project_id, "keys": sorted({*moved, *(one.key[self.key] for one in differences)})}
        names = {
            "live": sql.Identifier("public", self.table),
            "shadow": sql.Identifier(shadow, self.table),
            "key": sql.Identifier(self.key),
        }
        deleted = conn.execute(_DELETE.format(**names), params).rowcount
        inserted = conn.execute(_INSERT.format(**names), params).rowcount
        return max(deleted, inserted)


_DELETE = sql.SQL(
    "delete from {live} l where l.project_id = %(project_id)s and l.{key} = any (%(keys)s::text[]) and not exists ("
    "select from {shadow} s where s.project_id = %(project_id)s and s.{key} = l.{key} "
    "and row(s.*) is not distinct from row(l.*))"
)
_INSERT = sql.SQL(
    "insert into {live} select s.* from {shadow} s where s.project_id = %(project_id)s "
    "and s.{key} = any (%(keys)s::text[]) and not exists ("
    "select from {live} l where l.project_id = %(project_id)s and l.{key} = s.{key})"
)


def make_shadows(conn: psycopg.Connection[Any], one: Rebuildable) -> None:
    """Make the shadows that are not there yet. Nobody drops them until this transaction ends."""
    conn.execute(SQL["lock_shadows"], {"shadow": one.shadow})
    conn.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(one.shadow)))
    for table in one.tables:
        conn.execute(
            sql.SQL("create table if not exists {} (like {} including all)").format(
                sql.Identifier(one.shadow, table), sql.Identifier("public", table)
            )
        )


def drop_shadows(conn: psycopg.Connection[Any], one: Rebuildable) -> None:
    """Drop the shadows if no project has a rebuild. The lock is held already."""
    [(is_used,)] = conn.execute(SQL["is_rebuilt_anywhere"], {"name": one.name}).fetchall()
    if not is_used:
        conn.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(one.shadow)))


def delete_some(conn: psycopg.Connection[Any], one: Rebuildable, project_id: str, limit: int) -> int:
    """Delete some of a project's rows from the shadows; return how many."""
    gone = 0
    for table in one.tables:
        statement = sql.SQL(
            "delete from {table} where project_id = %(project_id)s and ctid = any (array("
            "select ctid from {table} where project_id = %(project_id)s limit %(limit)s))"
        ).format(table=sql.Identifier(one.shadow, table))
        gone += conn.execute(statement, {"project_id": project_id, "limit": limit}).rowcount
    return gone


Rebuildables = Mapping[str, Rebuildable]
"""By name."""
