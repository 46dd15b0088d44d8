"""Comparing two sets of rows in one look: what a rebuild made of the ledger, and what is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import sql

SHOWN = 10
"""So many of the rows that differ are named."""

How = Literal["differs", "missing", "surplus"]


@dataclass(frozen=True)
class Difference:
    """A row of which the rebuilt side has something else, nothing, or more than what is read."""

    key: Mapping[str, Any]
    """The columns of the key; with the name of the table where rows of several are compared."""
    how: How


@dataclass(frozen=True)
class Comparison:
    """What comparing came to."""

    live_rows: int
    rebuilt_rows: int
    differing: int
    missing: int
    """Rows that are read, and that the rebuild has not made."""
    surplus: int
    """Rows that the rebuild has made, and that are not read."""
    first: Sequence[Difference]
    """The first of them by their keys."""

    @property
    def equal(self) -> bool:
        """Whether both sides have the same rows, each of the same bytes."""
        return not (self.differing or self.missing or self.surplus)


@dataclass(frozen=True)
class Sides:
    """Two queries that give the same columns, and which of these are the key; parameters are named in both."""

    live: sql.Composable
    rebuilt: sql.Composable
    key: Sequence[str]
    values: Sequence[str]


def compare(conn: psycopg.Connection[Any], sides: Sides, params: Mapping[str, Any]) -> Comparison:
    """Compare column by column, as they are stored. The connection is in a snapshot if the sides may change."""
    [(live_rows, rebuilt_rows, differing, missing, surplus)] = conn.execute(_counts(sides), params).fetchall()
    first = _differences(conn, sides, params, SHOWN) if differing or missing or surplus else []
    return Comparison(live_rows, rebuilt_rows, differing, missing, surplus, first)


def all_differences(conn: psycopg.Connection[Any], sides: Sides, params: Mapping[str, Any]) -> list[Difference]:
    """Return all rows that differ, in the order of their keys."""
    return _differences(conn, sides, params, None)


def _differences(
    conn: psycopg.Connection[Any], sides: Sides, params: Mapping[str, Any], limit: int | None
) -> list[Difference]:
    rows = conn.execute(_differing(sides), {**params, "shown": limit})
    return [Difference(dict(zip(sides.key, key, strict=True)), how) for *key, how in rows]


def _counts(sides: Sides) -> sql.Composed:
    return sql.SQL(
        "select count(*) filter (where {in_live}), count(*) filter (where {in_rebuilt}), "
        "count(*) filter (where {in_live} and {in_rebuilt} and {differs}), "
        "count(*) filter (where not ({in_rebuilt})), count(*) filter (where not ({in_live})) from {both}"
    ).format(**_parts(sides))


def _differing(sides: Sides) -> sql.Composed:
    return sql.SQL(
        "select {key}, case when not ({in_rebuilt}) then 'missing' when not ({in_live}) then 'surplus' "
        "else 'differs' end from {both} where not ({in_live}) or not ({in_rebuilt}) or {differs} "
        "order by {key} limit %(shown)s"
    ).format(
        key=sql.SQL(", ").join(
            sql.SQL("coalesce({}, {})").format(sql.Identifier("a", column), sql.Identifier("b", column))
            for column in sides.key
        ),
        **_parts(sides),
    )


def _parts(sides: Sides) -> dict[str, sql.Composable]:
    same = sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier("a", column), sql.Identifier("b", column)) for column in sides.key
    )
    differs = sql.SQL(" or ").join(
        sql.SQL("{} is distinct from {}").format(sql.Identifier("a", column), sql.Identifier("b", column))
        for column in sides.values
    )
    return {
        "both": sql.SQL("({}) a full join ({}) b on {}").format(sides.live, sides.rebuilt, same),
        "differs": sql.SQL("({})").format(differs) if sides.values else sql.SQL("false"),
        # No column of a key is ever null.
        "in_live": sql.SQL("{} is not null").format(sql.Identifier("a", sides.key[0])),
        "in_rebuilt": sql.SQL("{} is not null").format(sql.Identifier("b", sides.key[0])),
    }
