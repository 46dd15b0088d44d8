"""Whole lives: from a bulk trigger over HTTP to completed by worker processes, with all four events of each run."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import orjson
import psycopg

from runcord.client import AsyncClient
from runcord.clock import monotonic
from runcord_bench import floor
from runcord_bench.database import Databases
from runcord_bench.load import PAYLOAD
from runcord_bench.process import running_modules, wait_until
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Sample, in_turn
from runcord_bench.server import JOB, Server, position, running_server

WORKERS = 2
AT_ONCE = 100
BULK = 500
EVENTS = ["run.triggered.v1", "run.dequeued.v1", "run.attempted.v1", "run.completed.v1"]

_WARM_UP_RUNS = 200
_LATEST_SECS = 120.0
_EVERY_SECS = 0.005
_READERS = 16


def measure(databases: Databases, effort: Effort) -> Report:
    """Measure both sides, then read every run's history and see that it is whole."""
    with ExitStack() as stack:
        product = stack.enter_context(_product(databases.create("served")))
        least = stack.enter_context(_floor(databases.create("floor")))
        product.live(_WARM_UP_RUNS)
        least.live(_WARM_UP_RUNS)
        sides = {"product": lambda: product.live(effort.runs), "floor": lambda: least.live(effort.runs)}
        figures = in_turn(effort.rounds, sides)
        checks = [asyncio.run(product.check()), floor.check_whole(least.conn)]
    return Report([Line(f"whole runs, {WORKERS} workers of {AT_ONCE}", **figures)], checks)


class _Product:
    """Triggers runs at a server that has workers, and remembers them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._run_ids: list[str] = []

    def live(self, runs: int) -> Sample:
        """Trigger runs in bulk and return how many a second were completed, from the first request on."""
        before = position(self._server)
        began = monotonic()
        asyncio.run(self._trigger(runs))
        after = before + runs * len(EVENTS)
        # The ledger's position costs the server nothing; that these events are the right ones is checked later.
        wait_until(
            lambda: position(self._server) >= after, "all runs completed", seconds=_LATEST_SECS, every=_EVERY_SECS
        )
        return Sample(runs / (monotonic() - began))

    async def _trigger(self, runs: int) -> None:
        async with AsyncClient(self._server.base_url, self._server.api_key) as client:
            for first in range(0, runs, BULK):
                items = [{"payload": PAYLOAD} for _ in range(min(BULK, runs - first))]
                batch = await client.jobs.trigger_many(JOB, items)
                self._run_ids.extend(item.id for item in batch.results)

    async def check(self) -> Check:
        """Read the history of every run over HTTP."""
        unread = iter(self._run_ids)
        wrong: list[str] = []

        async with AsyncClient(self._server.base_url, self._server.api_key) as client:

            async def read() -> None:
                for run_id in unread:
                    history = [event async for event in client.runs.history(run_id)]
                    if [event.type for event in history] != EVENTS or [e.version for e in history] != [1, 2, 3, 4]:
                        wrong.append(f"{run_id}: {', '.join(event.type for event in history)}")

            await asyncio.gather(*(read() for _ in range(_READERS)))
        return Check(
            what="every run's history over HTTP is triggered, dequeued, attempted, completed",
            found=f"{len(self._run_ids):,} runs read, {len(wrong)} wrong{''.join(f'; {one}' for one in wrong[:3])}",
            passed=not wrong and bool(self._run_ids),
        )


class _Floor:
    """The same on the floor's tables: whoever triggers and whoever works uses plain psycopg."""

    def __init__(self, conn: psycopg.Connection[tuple[int]]) -> None:
        self.conn = conn

    def live(self, runs: int) -> Sample:
        """Record new runs in bulk and return how many a second were completed, from the first statement on."""
        after = floor.position(self.conn) + runs * len(EVENTS)
        began = monotonic()
        for first in range(0, runs, BULK):
            floor.append(self.conn, [orjson.dumps(PAYLOAD) for _ in range(min(BULK, runs - first))])
            self.conn.execute(floor.SQL["tell"])
        wait_until(
            lambda: floor.position(self.conn) >= after, "all runs completed", seconds=_LATEST_SECS, every=_EVERY_SECS
        )
        return Sample(runs / (monotonic() - began))


@contextmanager
def _product(dsn: str) -> Iterator[_Product]:
    with running_server(dsn) as server:
        arguments = (server.base_url, server.api_key, str(AT_ONCE), "quiet")
        with running_modules("noop_worker", *arguments, count=WORKERS) as workers:
            for worker in workers:
                worker.begin()
            yield _Product(server)


@contextmanager
def _floor(dsn: str) -> Iterator[_Floor]:
    floor.prepare(dsn)
    with (
        running_modules("floor_worker", dsn, str(AT_ONCE), "quiet", count=WORKERS),
        psycopg.connect(dsn, autocommit=True) as conn,
    ):
        yield _Floor(conn)
