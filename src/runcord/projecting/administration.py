"""What operators do to projections: look at them, rebuild, compare, switch, drop, try again.

All of it is safe beside any number of processes that move generations on: what is decided here is decided under the
locks of the generations' rows.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from runcord.clock import monotonic
from runcord.errors import (
    GenerationInUse,
    GenerationNotFound,
    ProjectionBuilding,
    ProjectionNotParked,
    ProjectionNotReady,
    Unavailable,
)
from runcord.ledger.database import connect_operator
from runcord.projecting import generations as g
from runcord.projecting.comparison import Comparison, Sides, compare
from runcord.projecting.generations import Generation
from runcord.projecting.projection import AnyProjection, Table
from runcord.projecting.rebuildable import Rebuildable
from runcord.sql import load

T = TypeVar("T")

Administered = AnyProjection | Rebuildable

SQL = load("runcord.sql", "queries/projections.sql")

PATIENCE_SECS = 5.0
"""How long a generation that is ready may take to stand where the live one stands."""

_PAUSE_SECS = 0.02
_AT_ONCE = 2


class Operator:
    """Runs work of operators on connections of its own, in threads, so that no request waits for it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def run(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Return what `work` returns; it is given an autocommit connection.

        Raises:
            Unavailable: the database is away, or something was held for long by somebody else.
        """
        async with self._turns:
            return await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        try:
            with connect_operator(self.dsn) as conn:
                return work(conn)
        except psycopg.OperationalError as error:
            raise Unavailable from error


@dataclass(frozen=True)
class Overview:
    """A projection in a project: the generations it has, and how long the ledger is."""

    projection: Administered
    head: int
    generations: Sequence[Generation]

    def progress(self, generation: Generation) -> float:
        """Return which part of the ledger a generation has taken, 0 to 1."""
        return 1.0 if generation.position >= self.head else generation.position / self.head

    def behind(self, generation: Generation) -> int:
        """Return how many events a generation has still to take."""
        return max(0, self.head - generation.position)


def overviews(projections: Iterable[Administered], rows: Iterable[Sequence[Any]], head: int) -> dict[str, Overview]:
    """Return the projections by name; `rows` are those of the query `generations`."""
    known: dict[str, list[Generation]] = {}
    for row in rows:
        known.setdefault(row[0], []).append(Generation(*row))
    return {one.name: Overview(one, head, known.get(one.name, ())) for one in projections}


def rebuild(conn: psycopg.Connection[Any], project_id: str, projection: AnyProjection, *, switches: bool) -> Generation:
    """Begin a further generation and return it; with `switches` it takes over by itself when it is ready.

    Raises:
        ProjectionBuilding: there is one already that is not live yet.
    """
    with conn.transaction():
        g.begin(conn, project_id, [projection])
        number = g.build(conn, project_id, projection, switches=switches)
        known = _generations(conn, project_id, projection)
        if number is None:
            other = next((one for one in known if one.status in ("building", "ready")), None)
            state = "" if other is None else f": generation {other.number} is {_state(other)}; switch to it or drop it"
            raise ProjectionBuilding(f"{projection.name} is being rebuilt already{state}")
        return next(one for one in known if one.number == number)


def switch(conn: psycopg.Connection[Any], project_id: str, projection: AnyProjection) -> Generation:
    """Have the generation that is ready take over, no further back than the one that is read; return it.

    Raises:
        ProjectionNotReady: there is none.
    """
    deadline = monotonic() + PATIENCE_SECS
    while True:
        with conn.transaction():
            live, ready = _pair(conn, project_id, projection, held=True)
            if ready.position >= live.position and g.switch(conn, project_id, ready):
                [now] = [one for one in _generations(conn, project_id, projection) if one.number == ready.number]
                return now
        _wait(deadline, live, ready)


def compare_generations(
    conn: psycopg.Connection[Any], project_id: str, projection: AnyProjection
) -> tuple[Generation, Generation, Comparison]:
    """Compare the generation that is read with the one that is ready, at one position; both move on meanwhile.

    The position is no earlier than where the ledger ended when this began.

    Raises:
        ProjectionNotReady: there is none that is ready, or one of them stands still.
    """
    deadline = monotonic() + PATIENCE_SECS
    head = g.head_position(conn, project_id)
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    while True:
        with conn.transaction():
            live, ready = _pair(conn, project_id, projection)
            if live.position == ready.position >= head:
                params = {"project_id": project_id, "live": live.number, "rebuilt": ready.number}
                return live, ready, compare(conn, _sides(projection.table), params)
        _wait(deadline, live, ready)


def drop(conn: psycopg.Connection[Any], project_id: str, projection: Administered, number: int | None) -> Generation:
    """Have a generation dropped, the only one that is not read if none is named; return it.

    Raises:
        GenerationNotFound: there is no such generation.
        GenerationInUse: it is the one that is read.
    """
    with conn.transaction():
        known = _generations(conn, project_id, projection)
        found = [one for one in known if (one.status != "live" if number is None else one.number == number)]
        if not found:
            which = "generation that is not read" if number is None else f"generation {number}"
            raise GenerationNotFound(f"{projection.name} has no {which}")
        if len(found) > 1:
            numbers = ", ".join(str(one.number) for one in found)
            raise GenerationInUse(f"{projection.name} has several generations that are not read: name one of {numbers}")
        [one] = found
        place = {"project_id": project_id, "name": one.name, "generation": one.number}
        if conn.execute(SQL["drop"], place).fetchone() is None:
            raise GenerationInUse(f"generation {one.number} of {one.name} is the one that is read: switch first")
        return next(now for now in _generations(conn, project_id, projection) if now.number == one.number)


def retry(conn: psycopg.Connection[Any], project_id: str, projection: Administered) -> None:
    """Have the parked generations try again the event that they could not take.

    Raises:
        ProjectionNotParked: none is parked.
    """
    params = {"project_id": project_id, "name": projection.name}
    if not conn.execute(SQL["unpark"], params).fetchall():
        raise ProjectionNotParked(f"{projection.name} is not parked: there is nothing to try again")


def _pair(
    conn: psycopg.Connection[Any], project_id: str, projection: AnyProjection, *, held: bool = False
) -> tuple[Generation, Generation]:
    """Return the generation that is read and the one that is to take over, held where they are if wanted."""
    known = _generations(conn, project_id, projection)
    if held:
        params = {"project_id": project_id, "name": projection.name, "generations": [one.number for one in known]}
        conn.execute(SQL["hold"], params)
        known = _generations(conn, project_id, projection)
    live = next((one for one in known if one.status == "live"), None)
    ready = next((one for one in reversed(known) if one.status == "ready"), None)
    if live is not None and ready is not None:
        return live, ready
    building = next((one for one in reversed(known) if one.status == "building"), None)
    if building is None:
        raise ProjectionNotReady(f"no generation of {projection.name} is being built: rebuild it first")
    raise ProjectionNotReady(f"generation {building.number} of {projection.name} is {_state(building)}")


def _generations(conn: psycopg.Connection[Any], project_id: str, projection: Administered) -> list[Generation]:
    return [one for one in g.load_generations(conn, project_id) if one.name == projection.name]


def _state(one: Generation) -> str:
    at = f" at position {one.position}"
    if one.parked_at is not None:
        return f"parked: it cannot take the event at position {one.parked_at}"
    of = f" of {one.target}" if one.status == "building" and one.target is not None else ""
    return f"{one.status}{at}{of}"


def _wait(deadline: float, live: Generation, ready: Generation) -> None:
    """Wait a moment for generations that move towards each other."""
    for one in (live, ready):
        if one.parked_at is not None:
            raise ProjectionNotReady(f"generation {one.number} of {one.name} is {_state(one)}")
    if monotonic() > deadline:
        raise ProjectionNotReady(
            f"generation {ready.number} of {ready.name} is at position {ready.position}, the one that is read at "
            f"{live.position}, and the ledger goes on: try again a little later"
        )
    threading.Event().wait(_PAUSE_SECS)


def _sides(table: Table[Any]) -> Sides:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    live, rebuilt = (
        sql.SQL("select {} from {} where project_id = %(project_id)s and generation = {}").format(
            columns, sql.Identifier(table.name), sql.Placeholder(which)
        )
        for which in ("live", "rebuilt")
    )
    values = [column for column in table.columns if column not in table.key]
    return Sides(live, rebuilt, table.key, values)
