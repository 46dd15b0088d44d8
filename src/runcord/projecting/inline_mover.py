"""The mover of rebuilds of inline views: folds the log into their shadows, a batch at a time.

What commits do to a view is done again: states are read, folded by the view's own `evolve`, and written by its own
statements, in one transaction with the position. So a rebuild is the same whatever is killed when, and any number of
processes may try.
"""

import threading
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog

from runcord import clock
from runcord.errors import UnknownEventType
from runcord.faults import fault_point
from runcord.ledger import mapper
from runcord.ledger.database import connect_writer
from runcord.ledger.view import Change
from runcord.projecting import generations as g
from runcord.projecting.generations import Generation
from runcord.projecting.pace import Pace
from runcord.projecting.projector import BATCH_BYTES, BATCH_EVENTS, CLOSE, Progress
from runcord.projecting.rebuildable import SQL, Rebuildable, Rebuildables
from runcord.recorded import Recorded

log = structlog.get_logger(__name__)

WINDOW = 200_000
"""How many positions are looked through for the events of one batch."""

_PATIENCE_SECS = 5.0
_PAUSE_SECS = 0.1


def connect(dsn: str) -> psycopg.Connection[Any]:
    """Return a connection to move rebuilds on with."""
    conn = connect_writer(dsn)
    conn.autocommit = True
    return conn


def build(dsn: str, rebuildables: Rebuildables, project_id: str, pace: Pace) -> None:
    """Move the rebuilds of a project on until all have caught up, or somebody else does it."""
    pause = threading.Event()
    deadline = clock.monotonic() + _PATIENCE_SECS
    with connect(dsn) as conn:
        while clock.monotonic() < deadline:
            steps = [advance(conn, project_id, one, "building") for one in rebuildables.values()]
            pace.keep(max(step.taken for step in steps))
            if any(step.position for step in steps):
                deadline = clock.monotonic() + _PATIENCE_SECS
            elif not any(step.behind for step in steps):
                return
            else:
                pause.wait(_PAUSE_SECS)


def advance(conn: psycopg.Connection[Any], project_id: str, one: Rebuildable, *statuses: str) -> Progress:
    """Move the rebuild of a view on by one batch, if it has one of the statuses and nobody else does."""
    with conn.transaction():
        found = [
            generation
            for generation in g.load_generations(conn, project_id)
            if generation.name == one.name and generation.moves and generation.status in statuses
        ]
        head = g.head_position(conn, project_id)
        behind = max((head - generation.position for generation in found), default=0)
        for generation in g.lock(conn, project_id, found):
            position = take(conn, project_id, one, generation, head)
            fault_point("inline_mover.before_commit")
            return Progress(position, head - position, position - generation.position)
        return Progress(0, behind)


def take(conn: psycopg.Connection[Any], project_id: str, one: Rebuildable, generation: Generation, head: int) -> int:
    """Fold the next events into the shadows of a generation that is locked; return how far it is then.

    It is parked if it cannot take one.
    """
    after = generation.position
    until = min(head, after + WINDOW)
    params = {"project_id": project_id, "after": after, "until": until, "prefix": one.view.prefix}
    bounds = {"limit": BATCH_EVENTS, "bytes": BATCH_BYTES}
    rows = conn.execute(SQL["events_of_kind"], params | bounds, binary=True).fetchall()
    if rows and (len(rows) == BATCH_EVENTS or rows[-1][-1] >= BATCH_BYTES):
        until = rows[-1][2]
    conn.execute(SQL["look_in"], {"shadow": one.shadow})
    changes, poison = _changes(conn, project_id, one, [row[:-1] for row in rows])
    for writer in one.writers:
        for statement, values in writer.save(project_id, changes):
            conn.execute(statement, values)
    conn.execute(SQL["look_in_public"])
    if poison is not None:
        position, reason = poison
        g.park(conn, project_id, generation, position, reason)
        log.error("rebuild_parked", project_id=project_id, projection=one.name, position=position, reason=reason)
        return position - 1
    g.move(conn, project_id, [generation], until)
    if generation.status == "building" and until + CLOSE >= head:
        g.make_ready(conn, project_id, [generation])
    return until


def _changes(
    conn: psycopg.Connection[Any], project_id: str, one: Rebuildable, rows: Sequence[tuple[Any, ...]]
) -> tuple[list[Change], tuple[int, str] | None]:
    """Return what the events did to their streams, as a commit would; and where it ended and why, if it did early."""
    before = _states(conn, project_id, one, sorted({row[0] for row in rows}))
    after = dict(before)
    recorded: dict[str, list[Recorded[Any]]] = {}
    poison: tuple[int, str] | None = None
    for row in rows:
        stream_id = row[0]
        try:
            event = mapper.recorded(row)
            after[stream_id] = one.view.evolve(after.get(stream_id), event)
        except (UnknownEventType, ValueError, TypeError, KeyError, AttributeError) as error:
            poison = row[2], f"{type(error).__name__}: {str(error).splitlines()[0]}"
            break
        recorded.setdefault(stream_id, []).append(event)
    changes = [
        Change(stream_id, before.get(stream_id), after[stream_id], events) for stream_id, events in recorded.items()
    ]
    return changes, poison


def _states(
    conn: psycopg.Connection[Any], project_id: str, one: Rebuildable, stream_ids: Sequence[str]
) -> dict[str, Any]:
    if not stream_ids:
        return {}
    rows = conn.execute(*one.view.load(project_id, stream_ids), binary=True)
    return {stream_id: one.view.decode(stored) for stream_id, _, stored in rows}
