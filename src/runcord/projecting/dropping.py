"""Dropping generations: their rows go a few thousand at a time, and what is known of them last.

Whoever is killed in between has done what it had done, and anybody goes on: a generation that is dropping is never
moved on, so no row of it comes back.
"""

from collections.abc import Mapping

from psycopg import sql

from runcord.clock import monotonic
from runcord.faults import fault_point
from runcord.ledger.statements import Touch
from runcord.projecting.projection import AnyProjection
from runcord.sql import load

SQL = load("runcord.sql", "queries/projections.sql")

CHUNK_ROWS = 5_000
"""So many go in one transaction."""

_AT_ONCE = 100


async def drop_some(touch: Touch, projections: Mapping[str, AnyProjection], *, secs: float) -> bool:
    """Drop what is to be dropped, for about so long; return whether all of it has gone.

    Raises:
        Unavailable: the database is away; what has gone stays gone.
    """
    deadline = monotonic() + secs
    wanted = await touch(SQL["dropping"], {"names": list(projections), "limit": _AT_ONCE})
    for project_id, name, generation in wanted:
        place = {"project_id": project_id, "name": name, "generation": generation}
        chunk = _chunk(projections[name].table.name)
        while (await touch(chunk, {**place, "limit": CHUNK_ROWS}))[0][0]:
            fault_point("dropping.after_chunk")
            if monotonic() > deadline:
                return False
        await touch(SQL["dropped"], place)
    return len(wanted) < _AT_ONCE


def _chunk(table: str) -> bytes:
    """Return the statement that deletes some rows of a generation and says how many."""
    return (
        sql.SQL(
            "with gone as (delete from {table} where ctid = any (array(select ctid from {table} "
            "where project_id = %(project_id)s and generation = %(generation)s limit %(limit)s)) "
            "and project_id = %(project_id)s and generation = %(generation)s returning 1) select count(*) from gone"
        )
        .format(table=sql.Identifier(table))
        .as_bytes(None)
    )
