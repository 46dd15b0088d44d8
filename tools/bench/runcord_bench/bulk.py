"""Bulk triggers over HTTP: as many runs in a request as the API takes, beside the floor's statement for as many."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import psycopg
import uvloop

from runcord.clock import monotonic
from runcord_bench import floor
from runcord_bench.database import Databases
from runcord_bench.http_load import opened, post
from runcord_bench.load import PAYLOAD
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Sample, in_turn
from runcord_bench.server import JOB, Server, count_runs, running_server

CALLERS = (1, 4)

BULK = 500
"""Runs in a request: the API takes no more."""

ITEM: Mapping[str, Any] = {"payload": PAYLOAD}

MUST = 0.5
"""How much of the floor has to be reached."""

_WARM_UP_RUNS = BULK


def measure(databases: Databases, effort: Effort) -> Report:
    """Measure with one caller and with several, then count the runs."""
    runs = 2 * effort.runs
    floor_dsn = floor.prepare(databases.create("floor"))
    answered = 0
    with running_server(databases.create("bulk")) as server:

        def product(callers: int, runs: int = runs) -> Sample:
            nonlocal answered
            answered += runs
            return trigger(server, runs, callers)

        product(1, _WARM_UP_RUNS)
        lines: list[Line] = []
        for callers in CALLERS:
            sides: dict[str, Callable[[], Sample]] = {
                "product": lambda n=callers: product(n),
                "floor": lambda n=callers: append(floor_dsn, runs, n),
            }
            what = f"{BULK} runs a request, {callers} at a time"
            lines.append(Line(what, **in_turn(effort.rounds, sides)))
        recorded = count_runs(server)
    counted = Check(
        "every run that was answered for is recorded, once", f"{answered:,} and {recorded:,}", answered == recorded
    )
    return Report(lines, [counted, *(_must(line) for line in lines)])


def trigger(server: Server, runs: int, callers: int = 1, *, item: Mapping[str, Any] = ITEM, size: int = BULK) -> Sample:
    """Trigger so many runs over HTTP, `size` in a request, so many requests under way at a time.

    Return how many runs a second were answered for, and how long each request took.
    """
    requests = {count: _request(server, item, count) for count in set(_sizes(runs, size))}

    async def send() -> Sample:
        left = _sizes(runs, size)
        latencies: list[float] = []
        connections = await opened(server.port, callers)
        begun = monotonic()

        async def call() -> None:
            connection = connections.pop()
            for count in left:
                sent = monotonic()
                answer = await connection.send(requests[count])
                latencies.append(monotonic() - sent)
                assert orjson.loads(answer)["created"] == count, answer
            connection.close()

        await asyncio.gather(*(call() for _ in range(callers)))
        return Sample(runs / (monotonic() - begun), latencies)

    return uvloop.run(send())


def append(dsn: str, runs: int, callers: int = 1) -> Sample:
    """Have the floor record as many, in process: a statement for each request, a connection for each caller."""
    left = _sizes(runs, BULK)
    latencies: list[float] = []

    def call(conn: psycopg.Connection[object]) -> None:
        for count in left:
            sent = monotonic()
            floor.append(conn, [orjson.dumps(PAYLOAD) for _ in range(count)])
            latencies.append(monotonic() - sent)
        conn.close()

    connections = [psycopg.connect(dsn, autocommit=True) for _ in range(callers)]
    begun = monotonic()
    with ThreadPoolExecutor(callers) as threads:
        for calling in [threads.submit(call, conn) for conn in connections]:
            calling.result()
    return Sample(runs / (monotonic() - begun), latencies)


def _sizes(runs: int, size: int) -> Iterator[int]:
    """Return how many of so many runs go into each request."""
    return iter([size] * (runs // size) + [runs % size] * (runs % size > 0))


def _request(server: Server, item: Mapping[str, Any], count: int) -> bytes:
    return post(f"/v1/jobs/{JOB}/trigger/bulk", server.api_key, orjson.dumps({"items": [item] * count}))


def _must(line: Line) -> Check:
    return Check(f"must: {MUST:.0%} of the floor, {line.what}", f"{line.to_floor:.0%}", line.to_floor >= MUST, True)
