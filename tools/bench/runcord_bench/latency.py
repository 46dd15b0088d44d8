"""Latency: from a trigger on an idle system to the handler's first line, in another process."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import ExitStack

import orjson
import psycopg

from runcord.client import AsyncClient
from runcord.clock import monotonic
from runcord.queue.desk import RECHECK_SECS
from runcord.worker import Worker
from runcord_bench import floor
from runcord_bench.database import Databases
from runcord_bench.load import PAYLOAD
from runcord_bench.process import Process, pause, running_modules, wait_until
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Figure, Sample, in_turn
from runcord_bench.server import JOB, Server, position, running_server

EVENTS_OF_A_RUN = 4

WARM_UP_TRIGGERS = 5
_REST_SECS = 0.01
"""Between two runs, so that whoever looks for work waits again."""
_LATEST_SECS = 30.0


def measure(databases: Databases, effort: Effort) -> Report:
    """Trigger one run after the other, on either side, the next when the last one is completed and all is quiet."""
    with ExitStack() as stack:
        server = stack.enter_context(running_server(databases.create("served")))
        default = str(Worker(server.base_url, server.api_key).configuration.concurrency)
        arguments = (server.base_url, server.api_key, default, "latency")
        [worker] = stack.enter_context(running_modules("noop_worker", *arguments, count=1))
        worker.begin()

        floor_dsn = floor.prepare(databases.create("floor"))
        [floor_worker] = stack.enter_context(running_modules("floor_worker", floor_dsn, "1", "latency", count=1))
        conn = stack.enter_context(psycopg.connect(floor_dsn, autocommit=True))

        each = -(-effort.triggers // effort.rounds)
        sides: dict[str, Callable[[int], Sample]] = {
            "product": lambda triggers: asyncio.run(idle(server, worker, triggers)),
            "floor": lambda triggers: _floor(conn, floor_worker, triggers),
        }
        for side in sides.values():
            side(WARM_UP_TRIGGERS)
        figures = in_turn(effort.rounds, {name: lambda side=side: side(each) for name, side in sides.items()})
    return Report(
        [Line("idle trigger to handler entered", **figures)],
        [_all_there(figures, effort.rounds * each), _woken(figures["product"])],
    )


async def idle(server: Server, worker: Process, triggers: int) -> Sample:
    """Trigger over HTTP; a worker waits in a long poll, and says how long each run was on its way."""
    latencies: list[float] = []
    async with AsyncClient(server.base_url, server.api_key) as client:
        for _ in range(triggers):
            after = position(server) + EVENTS_OF_A_RUN
            await client.jobs.trigger(JOB, {**PAYLOAD, "at": monotonic()})
            latencies.append(worker.read(_LATEST_SECS))
            wait_until(
                lambda after=after: position(server) >= after, "the run completed", seconds=_LATEST_SECS, every=0.002
            )
            pause(_REST_SECS)
    return Sample(None, latencies)


def _floor(conn: psycopg.Connection[tuple[int]], worker: Process, triggers: int) -> Sample:
    """Record a run and notify; a worker listens."""

    def completed(after: int) -> bool:
        row = conn.execute(floor.SQL["position"]).fetchone()
        return row is not None and row[0] >= after

    latencies: list[float] = []
    for _ in range(triggers):
        [(before,)] = conn.execute(floor.SQL["position"]).fetchall()
        data = orjson.dumps({**PAYLOAD, "at": monotonic()})
        with conn.pipeline():
            conn.execute(floor.SQL["append"], {"run_ids": [uuid.uuid4()], "data": [data]})
            conn.execute(floor.SQL["tell"])
        latencies.append(worker.read(_LATEST_SECS))
        wait_until(
            lambda after=before + EVENTS_OF_A_RUN: completed(after),
            "the run completed",
            seconds=_LATEST_SECS,
            every=0.002,
        )
        pause(_REST_SECS)
    return Sample(None, latencies)


def _woken(product: Figure) -> Check:
    longest = product.percentiles_ms["max"] / 1000
    return Check(
        what="no wake-up was lost: no run waited until a waiting worker looked of its own accord",
        found=f"the longest way took {longest:.3f} s, who waits looks every {RECHECK_SECS:g} s",
        passed=longest < RECHECK_SECS * 0.8,
    )


def _all_there(figures: dict[str, Figure], triggers: int) -> Check:
    return Check(
        what="every trigger entered a handler once",
        found=f"{triggers} triggers on each side",
        passed=all(figure.latencies == triggers for figure in figures.values()),
    )
