"""Fairness: one project keeps the server as busy as it can, and another triggers a run now and then."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import orjson
import psycopg

from runcord.client import Client
from runcord.clock import monotonic
from runcord.http.credentials import create_project
from runcord.http.key_administration import create_key
from runcord_bench import http_load
from runcord_bench.bulk import BULK, ITEM
from runcord_bench.database import Databases
from runcord_bench.http_load import Connection, post
from runcord_bench.process import running_modules
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Figure, Sample, in_turn
from runcord_bench.server import JOB, Server, count_runs, running_server

OTHER = "proj_other"

SINGLES = 32
"""Connections that trigger one run after the other."""
BULKS = 4
"""Connections that trigger as many as the API takes."""

PACE_SECS = 0.005
"""Between an answer and the other project's next trigger."""

MUST_MS = 50.0


def measure(databases: Databases, effort: Effort) -> Report:
    """Time the other project's triggers, alone and beside two kinds of flood."""
    dsn = databases.create("fairness")
    with ExitStack() as stack:
        busy = stack.enter_context(running_server(dsn))
        other = _second_project(busy, dsn)
        answered = {busy.project_id: 0, OTHER: 0}
        single, bulk = orjson.dumps(ITEM), orjson.dumps({"items": [ITEM] * BULK})

        def alone() -> Sample:
            sample = asyncio.run(_trigger(other, effort.seconds))
            answered[OTHER] += len(sample.latencies)
            return sample

        def beside(path: str, body: bytes, connections: int, runs: int) -> Sample:
            arguments = (str(busy.port), busy.api_key, path, body.decode(), str(connections), str(effort.seconds))
            with running_modules("http_load", *arguments, count=1) as [flood]:
                flood.begin()
                sample = alone()
                answered[busy.project_id] += http_load.result(flood, effort.seconds)[1] * runs
            return sample

        sides: dict[str, Callable[[], Sample]] = {
            "alone": alone,
            "singles": lambda: beside(f"/v1/jobs/{JOB}/trigger", single, SINGLES, 1),
            "bulks": lambda: beside(f"/v1/jobs/{JOB}/trigger/bulk", bulk, BULKS, BULK),
        }
        figures = in_turn(effort.rounds, sides)
        recorded = {server.project_id: count_runs(server) for server in (busy, other)}
    lines = [
        Line(f"a trigger beside {SINGLES} callers", product=figures["singles"], floor=figures["alone"]),
        Line(f"a trigger beside {BULKS} bulk callers", product=figures["bulks"], floor=figures["alone"]),
    ]
    counted = Check("every trigger that was answered is recorded, once", f"{recorded}", recorded == answered)
    return Report(lines, [counted, *(_must(line.what, line.product) for line in lines)], beside="alone")


def _second_project(server: Server, dsn: str) -> Server:
    """Return the same server as another project sees it, which has a job of the same name."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        create_project(conn, OTHER, OTHER)
    api_key = create_key(dsn, OTHER, "bench").secret
    with Client(server.base_url, api_key) as client:
        client.jobs.create(JOB)
    return replace(server, api_key=api_key, project_id=OTHER)


async def _trigger(server: Server, seconds: float) -> Sample:
    """Trigger one run after the other, with a rest in between; return how long each took."""
    request = post(f"/v1/jobs/{JOB}/trigger", server.api_key, orjson.dumps(ITEM))
    connection = await Connection.open(server.port)
    latencies: list[float] = []
    end = monotonic() + seconds
    while (sent := monotonic()) < end:
        await connection.send(request)
        latencies.append(monotonic() - sent)
        await asyncio.sleep(PACE_SECS)
    connection.close()
    return Sample(None, latencies)


def _must(what: str, figure: Figure) -> Check:
    found = figure.percentiles_ms["p99"]
    return Check(f"must: {what}, p99 under {MUST_MS:g} ms", f"{found:.1f} ms", found < MUST_MS, of_speed=True)
