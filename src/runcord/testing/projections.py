"""Holding projections against a build of them from the first event on."""

from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from runcord.projecting import generations as g
from runcord.projecting.projector import BATCH_EVENTS, Projector
from runcord.projecting.registry import projections

Rows = Mapping[str, Sequence[str]]
"""The rows of each projection, as text."""


def move_on(dsn: str, project_id: str, *, limit: int = BATCH_EVENTS) -> None:
    """Move all generations of a project on to the end of its ledger, in batches of so many events."""
    projector = Projector(dsn, projections())
    try:
        while projector.advance(project_id, limit=limit).position:
            pass
    finally:
        projector.close()


def rebuild(dsn: str, project_id: str, *, limit: int = BATCH_EVENTS) -> None:
    """Build each projection of a project once more, from the first event on, until it is ready."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for projection in projections().values():
            assert g.build(conn, project_id, projection, switches=False) is not None, "it is being built already"
    move_on(dsn, project_id, limit=limit)


def rows_of(dsn: str, project_id: str, status: g.GenerationStatus) -> Rows:
    """Return the rows of the generations that have a status."""
    statement = sql.SQL(
        "select (to_jsonb(t) - 'generation')::text from {table} t where t.project_id = %(project_id)s "
        "and t.generation = (select p.generation from projections p where p.project_id = %(project_id)s "
        "and p.name = %(name)s and p.status = %(status)s) order by 1"
    )
    found: dict[str, list[str]] = {}
    with psycopg.connect(dsn, autocommit=True) as conn:
        for name, projection in projections().items():
            params = {"project_id": project_id, "name": name, "status": status}
            rows = conn.execute(statement.format(table=sql.Identifier(projection.table.name)), params)
            found[name] = [row for (row,) in rows]
    return found


def check_rebuilt(dsn: str, project_id: str, *, limit: int = BATCH_EVENTS) -> Rows:
    """Raise AssertionError unless what the live generations hold is what a build of them holds; return it.

    The build stays, and is ready.
    """
    move_on(dsn, project_id)
    rebuild(dsn, project_id, limit=limit)
    live, ready = rows_of(dsn, project_id, "live"), rows_of(dsn, project_id, "ready")
    for name in live:
        assert ready[name] == live[name], f"{name}: rebuilt rows differ from the live ones"
    return live
