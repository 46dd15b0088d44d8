"""What a run costs the database that does nothing: bytes of write-ahead log, and rows written.

Measured is from the bulk trigger until the last run is completed and every projection has taken its events. The policy
on checkpoints: none falls into it. A page that is changed for the first time after a checkpoint is written to the log
as a whole, which says more about when the last one was than about runs; so there are runs before those that are
measured, and a sample with a checkpoint in it is taken again.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import orjson
import psycopg

from runcord.sql import load
from runcord_bench import bulk, floor
from runcord_bench.database import Databases
from runcord_bench.drain import Crew, drain
from runcord_bench.load import PAYLOAD
from runcord_bench.process import ProcessFailed, running_modules, wait_until
from runcord_bench.rebuild import is_done
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Sample, figure, in_turn
from runcord_bench.server import Server, running_server

SQL = load("runcord_bench", "cost.sql")

TAGS = {"customer": "4711", "environment": "bench"}
CREW = Crew("one worker, 100 at a time", 1, 1, 100)

MUST_BYTES = 3_500
MUST_WRITES = 6

EVENTS_OF_A_RUN = 4

_TRIES = 3
_LATEST_SECS = 60.0
_SHOWN = 0.05
"""Tables with fewer writes a run are not named."""


class Writes(NamedTuple):
    """What was written to one table."""

    table: str
    inserted: int
    updated: int
    deleted: int

    @property
    def total(self) -> int:
        """Of any kind."""
        return self.inserted + self.updated + self.deleted


def measure(databases: Databases, effort: Effort) -> Report:
    """Have runs live on either side, and ask the database what that was."""
    product_dsn, floor_dsn = databases.create("cost"), floor.prepare(databases.create("floor"))
    lives = {"product": 0, "floor": 0}
    with ExitStack() as stack:
        server = stack.enter_context(running_server(product_dsn))
        [least] = stack.enter_context(running_modules("floor_server", floor_dsn, count=1))
        conn = stack.enter_context(psycopg.connect(floor_dsn, autocommit=True))
        port = least.read(_LATEST_SECS)
        operate: dict[str, Callable[[int], None]] = {
            "product": lambda runs: _live(server, runs),
            "floor": lambda runs: _live_on_floor(port, conn, runs),
        }

        def live(side: str) -> None:
            operate[side](effort.runs)
            lives[side] += effort.runs

        for side in operate:
            live(side)  # so that what is touched once has been touched
        sides = {side: lambda side=side: Sample(_bytes(conn, lambda: live(side)) / effort.runs) for side in operate}
        figures = in_turn(effort.rounds, sides)
        whole = floor.check_whole(conn)
    # Processes that have ended have told the statistics everything.
    writes = {
        "product": _writes(product_dsn, "events", EVENTS_OF_A_RUN * lives["product"]),
        "floor": _writes(floor_dsn, "floor_event", EVENTS_OF_A_RUN * lives["floor"]),
    }
    rows = {side: sum(one.total for one in writes[side]) / lives[side] for side in writes}
    lines = [
        Line("bytes of write-ahead log", **figures),
        Line("rows written", **{side: figure([Sample(rows[side])]) for side in rows}),
    ]
    return Report(lines, [whole, *_musts(lines, writes["product"], lives["product"])], unit="a run")


def _live(server: Server, runs: int) -> None:
    """Trigger runs with tags, a hundred a request; work them off; and wait for the projections."""
    bulk.trigger(server, runs, item={"payload": PAYLOAD, "tags": TAGS}, size=CREW.at_once)
    drain(CREW, runs, (str(server.port), server.api_key, "product", str(CREW.workers), str(CREW.at_once)))
    wait_until(lambda: is_done(server), "the projections", seconds=_LATEST_SECS, every=0.02)


def _live_on_floor(port: int, conn: psycopg.Connection[Any], runs: int) -> None:
    data = orjson.dumps({**PAYLOAD, "tags": TAGS})
    for first in range(0, runs, CREW.at_once):
        floor.append(conn, [data] * min(CREW.at_once, runs - first))
    drain(CREW, runs, (str(port), "-", "floor", str(CREW.workers), str(CREW.at_once)))


def _bytes(conn: psycopg.Connection[Any], operate: Callable[[], None]) -> int:
    """Return how much is written to the log meanwhile, by everybody on this server."""
    for _ in range(_TRIES):
        [(before, checkpoint)] = conn.execute(SQL["wal"]).fetchall()
        operate()
        [(after, latest)] = conn.execute(SQL["wal"]).fetchall()
        if latest == checkpoint:
            return after - before
    raise ProcessFailed(f"a checkpoint fell into each of {_TRIES} samples")


def _writes(dsn: str, table: str, least: int) -> Sequence[Writes]:
    """Return what was written to each table, when it is known that `table` has had so many rows at least."""
    found: list[Writes] = []

    def is_told() -> bool:
        with psycopg.connect(dsn) as conn:
            found[:] = [Writes(*row) for row in conn.execute(SQL["row_writes"])]
        return any(one.table == table and one.inserted >= least for one in found)

    wait_until(is_told, "the statistics of the tables", seconds=_LATEST_SECS, every=0.1)
    return found


def _musts(lines: Sequence[Line], writes: Sequence[Writes], runs: int) -> Sequence[Check]:
    written, rows = (line.product.rate or 0.0 for line in lines)
    tables = ", ".join(f"{one.table} {one.total / runs:.1f}" for one in writes if one.total / runs >= _SHOWN)
    return [
        Check(f"must: {MUST_BYTES:,} bytes of log a run", f"{written:,.0f}", written <= MUST_BYTES, of_speed=True),
        Check(f"must: {MUST_WRITES} rows a run", f"{rows:.1f} ({tables})", rows <= MUST_WRITES, of_speed=True),
    ]
