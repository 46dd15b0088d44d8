"""Generations: the builds of a projection, each at its own place in the ledger.

One generation of each projection is *live*: reads go to it. Another is *building*, from the first event on, beside the
live one; *ready* when it has caught up, from where on both move together; and takes over by becoming live, when what
was live is *retired*. Generations that nobody wants any more are *dropping* until the last of their rows has gone. A
generation that cannot take an event is *parked* before it, and all others go on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg

from runcord.ledger.mapper import Codec
from runcord.projecting.projection import AnyProjection
from runcord.projection.state import PREFIX, Skips
from runcord.sql import load

SQL = load("runcord.sql", "queries/projections.sql")

_SKIPS = Codec(Skips)

GenerationStatus = Literal["live", "building", "ready", "retired", "dropping"]

MOVING = ("live", "building", "ready")
"""The statuses of generations that follow the ledger, unless they are parked."""


SNAPSHOTS = "run_snapshots"
"""The projection that spares reading long histories from their beginning."""

NO_SNAPSHOTS = 0


@dataclass(frozen=True)
class Generation:
    """One build of a projection."""

    name: str
    number: int
    version: int
    """The version of the projection whose code it was begun with."""
    status: GenerationStatus
    position: int
    """It holds what the events up to here say."""
    target: int | None
    """How long the ledger was when its build began."""
    switches: bool
    """Whether it takes over as soon as it is ready."""
    created_at: datetime
    moved_at: datetime
    parked_at: int | None
    """The position of the event that it cannot take."""
    error: str | None

    @property
    def moves(self) -> bool:
        """Whether it follows the ledger."""
        return self.status in MOVING and self.parked_at is None


def load_generations(conn: psycopg.Connection[Any], project_id: str) -> list[Generation]:
    """Return all generations of a project's projections."""
    return [Generation(*row) for row in conn.execute(SQL["generations"], {"project_id": project_id})]


def load_skips(conn: psycopg.Connection[Any], project_id: str) -> dict[str, frozenset[int]]:
    """Return the positions of the events that projections pass over, by the projection's name."""
    rows = conn.execute(SQL["skips"], {"project_id": project_id})
    return {stream_id.removeprefix(PREFIX): frozenset(_SKIPS.decode(state).positions) for stream_id, _, state in rows}


def begin(conn: psycopg.Connection[Any], project_id: str, projections: Iterable[AnyProjection]) -> None:
    """Give a project the first generation of projections that it has none of."""
    known = list(projections)
    named = {"names": [one.name for one in known], "versions": [one.version for one in known]}
    conn.execute(SQL["begin"], {"project_id": project_id, **named})


def build(conn: psycopg.Connection[Any], project_id: str, projection: AnyProjection, *, switches: bool) -> int | None:
    """Begin a further generation of a projection and return its number; None if one is being built already."""
    params = {"name": projection.name, "version": projection.version, "switches": switches}
    row = conn.execute(SQL["build"], {"project_id": project_id, **params}).fetchone()
    return None if row is None else row[0]


def lock(conn: psycopg.Connection[Any], project_id: str, generations: Iterable[Generation]) -> list[Generation]:
    """Lock generations until the transaction ends, and return those that nobody else holds and are where they were."""
    wanted = {(one.name, one.number): one for one in generations}
    rows = conn.execute(SQL["lock"], {"project_id": project_id, **_named(wanted.values())}).fetchall()
    known = [(wanted[name, number], position) for name, number, position in rows]
    return [one for one, position in known if one.position == position]


def move(conn: psycopg.Connection[Any], project_id: str, generations: Sequence[Generation], position: int) -> None:
    """Say that generations have reached a position."""
    if generations:
        conn.execute(SQL["move"], {"project_id": project_id, "position": position, **_named(generations)})


def park(conn: psycopg.Connection[Any], project_id: str, generation: Generation, parked_at: int, error: str) -> None:
    """Leave a generation before an event that it cannot take."""
    place = {"project_id": project_id, "name": generation.name, "generation": generation.number}
    conn.execute(SQL["park"], {**place, "position": parked_at - 1, "parked_at": parked_at, "error": error})


def switch(conn: psycopg.Connection[Any], project_id: str, generation: Generation) -> bool:
    """Have a generation that is ready take over from the one that is read; return whether it was.

    One that was to take over by itself leaves nothing behind: what was read is dropped.
    """
    place = {"project_id": project_id, "name": generation.name, "generation": generation.number}
    with conn.transaction() as nested:
        conn.execute(SQL["retire"], {**place, "left_as": "dropping" if generation.switches else "retired"})
        if conn.execute(SQL["enliven"], place).fetchone() is not None:
            return True
        raise psycopg.Rollback(nested)
    return False


def head_position(conn: psycopg.Connection[Any], project_id: str) -> int:
    """Return how far the project's ledger has got."""
    row = conn.execute(SQL["head_position"], {"project_id": project_id}).fetchone()
    return 0 if row is None else row[0]


def _named(generations: Iterable[Generation]) -> dict[str, Any]:
    named = list(generations)
    return {"names": [one.name for one in named], "generations": [one.number for one in named]}


def make_ready(conn: psycopg.Connection[Any], project_id: str, generations: Sequence[Generation]) -> None:
    """Say that generations that were being built have caught up."""
    if generations:
        conn.execute(SQL["make_ready"], {"project_id": project_id, **_named(generations)})


def snapshots_of(group: Iterable[Generation]) -> int:
    """Return the generation of snapshots that moves with others; `NO_SNAPSHOTS` if none does."""
    return next((one.number for one in group if one.name == SNAPSHOTS), NO_SNAPSHOTS)
