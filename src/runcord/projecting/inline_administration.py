"""What operators do to inline views: rebuild them beside their rows, compare, and heal the rows that differ.

The rows that are read are always at the ledger's end. What is ready does not follow the ledger, which would write
every row twice; it catches up when it is compared or switched to.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
import structlog

from runcord.clock import monotonic
from runcord.errors import ProjectionBuilding, ProjectionNotReady
from runcord.faults import fault_point
from runcord.projecting import generations as g
from runcord.projecting import inline_mover as mover
from runcord.projecting.comparison import Comparison, Difference, all_differences, compare
from runcord.projecting.generations import Generation
from runcord.projecting.rebuildable import SQL, Rebuildable, delete_some, drop_shadows, make_shadows

log = structlog.get_logger(__name__)

NEAR = 100
"""So many events are caught up with while the ledger is locked."""

HEALED_AT_ONCE = 200
"""So many rows that differ are healed in one transaction, for which writers wait."""

CHUNK_ROWS = 5_000
PATIENCE_SECS = 240.0
"""How long catching up may take."""

_PAUSE_SECS = 0.02


def begin(conn: psycopg.Connection[Any], project_id: str, one: Rebuildable, *, switches: bool) -> Generation:
    """Begin a rebuild and return it.

    Raises:
        ProjectionBuilding: the project has one already.
    """
    with conn.transaction():
        make_shadows(conn, one)
        params = {"name": one.name, "version": one.version, "switches": switches}
        begun = conn.execute(SQL["begin_rebuild"], {"project_id": project_id, **params}).fetchone()
        generation = _generation(conn, project_id, one)
        assert generation is not None
        if begun is None:
            raise ProjectionBuilding(
                f"{one.name} is being rebuilt already: its rebuild is {generation.status} at position "
                f"{generation.position}; switch to it or drop it"
            )
        return generation


def compare_rebuild(
    dsn: str, conn: psycopg.Connection[Any], project_id: str, one: Rebuildable
) -> tuple[Generation, Comparison]:
    """Compare what was rebuilt with what is read, without the rows of streams that move just now.

    Raises:
        ProjectionNotReady: there is no rebuild that is ready.
    """
    _ready(conn, project_id, one)
    with mover.connect(dsn) as writer:
        _catch_up(writer, project_id, one)
    with _snapshot(conn):
        ready = _ready(conn, project_id, one)
        return ready, compare(conn, one.rows.sides(conn, one.shadow), _params(conn, project_id, one, ready))


def switch(dsn: str, conn: psycopg.Connection[Any], project_id: str, one: Rebuildable) -> int:
    """Write what was rebuilt over what is read, where they differ, and drop the rebuild; return how many rows that was.

    What differs is found without a lock. Then the ledger is held, a few rows at a time: each is right from there on,
    and whoever is killed in between can do it again.

    Raises:
        ProjectionNotReady: there is no rebuild that is ready.
    """
    _ready(conn, project_id, one)
    with mover.connect(dsn) as writer:
        _catch_up(writer, project_id, one)
        with _snapshot(conn):
            since = _ready(conn, project_id, one)
            params = _params(conn, project_id, one, since)
            left = all_differences(conn, one.rows.sides(conn, one.shadow), params)
        healed = _heal(writer, project_id, one, left[:HEALED_AT_ONCE], since, is_last=len(left) <= HEALED_AT_ONCE)
        for n in range(HEALED_AT_ONCE, len(left), HEALED_AT_ONCE):
            fault_point("inline_switch.between")
            chunk, is_last = left[n : n + HEALED_AT_ONCE], n + HEALED_AT_ONCE >= len(left)
            healed += _heal(writer, project_id, one, chunk, None, is_last=is_last)
    log.info("view_switched", project_id=project_id, projection=one.name, healed=healed)
    return healed


def finish_dropping(conn: psycopg.Connection[Any], project_id: str, one: Rebuildable) -> None:
    """Delete what a rebuild that is dropping has left: its rows first, a few thousand at a time."""
    while delete_some(conn, one, project_id, CHUNK_ROWS):
        fault_point("dropping.after_chunk")
    with conn.transaction():
        conn.execute(SQL["lock_shadows"], {"shadow": one.shadow})
        conn.execute(g.SQL["dropped"], {"project_id": project_id, "name": one.name, "generation": 1})
        drop_shadows(conn, one)


def _heal(
    writer: psycopg.Connection[Any],
    project_id: str,
    one: Rebuildable,
    differences: Sequence[Difference],
    since: Generation | None,
    *,
    is_last: bool,
) -> int:
    """Heal some rows, and those of the streams that have moved since the differences were found, if that is given."""
    _catch_up(writer, project_id, one)
    with writer.transaction():
        writer.execute(g.SQL["hold"], {"project_id": project_id, "name": one.name, "generations": [1]})
        ready = _ready(writer, project_id, one)
        [(head,)] = writer.execute(SQL["hold_head"], {"project_id": project_id}).fetchall()
        while ready.position < head:
            ready = replace(ready, position=mover.take(writer, project_id, one, ready, head))
            _ready(writer, project_id, one)
        moved = [] if since is None else _moved(writer, project_id, one, since.position)
        healed = one.rows.heal(writer, project_id, one.shadow, differences, moved)
        if healed and one.after_healing is not None:
            writer.execute(one.after_healing, {"project_id": project_id, "position": head})
        if is_last:
            writer.execute(g.SQL["drop"], {"project_id": project_id, "name": one.name, "generation": 1})
        fault_point("inline_switch.before_commit")
    return healed


def _catch_up(writer: psycopg.Connection[Any], project_id: str, one: Rebuildable) -> None:
    deadline = monotonic() + PATIENCE_SECS
    while True:
        progress = mover.advance(writer, project_id, one, "ready")
        if progress.behind <= NEAR:
            return
        _ready(writer, project_id, one)
        if monotonic() > deadline:
            raise ProjectionNotReady(f"the rebuild of {one.name} is {progress.behind} events behind: try again")
        if not progress.position:  # somebody else moves it on
            threading.Event().wait(_PAUSE_SECS)


def _snapshot(conn: psycopg.Connection[Any]) -> Any:
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    return conn.transaction()


def _params(conn: psycopg.Connection[Any], project_id: str, one: Rebuildable, ready: Generation) -> dict[str, Any]:
    return {"project_id": project_id, "moved": _moved(conn, project_id, one, ready.position)}


def _moved(conn: psycopg.Connection[Any], project_id: str, one: Rebuildable, position: int) -> list[str]:
    params = {"project_id": project_id, "position": position, "prefix": one.view.prefix}
    return [stream_id for (stream_id,) in conn.execute(SQL["moved_since"], params)]


def _ready(conn: psycopg.Connection[Any], project_id: str, one: Rebuildable) -> Generation:
    found = _generation(conn, project_id, one)
    if found is None or found.status == "dropping":
        raise ProjectionNotReady(f"{one.name} is not being rebuilt: rebuild it first")
    if found.parked_at is not None:
        raise ProjectionNotReady(f"the rebuild of {one.name} cannot take the event at position {found.parked_at}")
    if found.status != "ready":
        raise ProjectionNotReady(f"the rebuild of {one.name} is at position {found.position} of {found.target}")
    return found


def _generation(conn: psycopg.Connection[Any], project_id: str, one: Rebuildable) -> Generation | None:
    return next((found for found in g.load_generations(conn, project_id) if found.name == one.name), None)
