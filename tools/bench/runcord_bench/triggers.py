"""Triggers over HTTP: single requests, on connections that each send the next one when the last was answered."""

from collections.abc import Callable

import orjson
import psycopg

from runcord_bench import floor, http_load
from runcord_bench.database import Databases
from runcord_bench.floor_server import APPEND
from runcord_bench.load import PAYLOAD
from runcord_bench.process import running_modules
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Sample, in_turn
from runcord_bench.server import JOB, count_runs, running_server

CONNECTIONS = (1, 8, 32)

MUSTS = {8: 0.62, 32: 0.5}
"""How much of the floor has to be reached."""
MOST_MS = 10.0

BODY = orjson.dumps({"payload": PAYLOAD})

_START_SECS = 30.0


def measure(databases: Databases, effort: Effort) -> Report:
    """Measure at each number of connections, then count the runs."""
    floor_dsn = floor.prepare(databases.create("floor"))
    with (
        running_server(databases.create("triggers")) as server,
        running_modules("floor_server", floor_dsn, count=1) as [least],
    ):
        floor_port = least.read(_START_SECS)
        answered = {"product": 0, "floor": 0}

        def sampler(side: str, connections: int) -> Callable[[], Sample]:
            def take() -> Sample:
                port, path = (server.port, f"/v1/jobs/{JOB}/trigger") if side == "product" else (floor_port, APPEND)
                arguments = (str(port), server.api_key, path, BODY.decode(), str(connections), str(effort.seconds))
                with running_modules("http_load", *arguments, count=1) as [load]:
                    load.begin()
                    sample, done = http_load.result(load, effort.seconds)
                answered[side] += done
                return sample

            return take

        lines = [
            Line(f"{n} connections", **in_turn(effort.rounds, {side: sampler(side, n) for side in answered}))
            for n in CONNECTIONS
        ]
        with psycopg.connect(floor_dsn) as conn:
            recorded = {"product": count_runs(server), "floor": floor.position(conn)}
    counted = Check("every trigger that was answered is recorded, once", f"{recorded}", recorded == answered)
    return Report(lines, [counted, *_musts(lines)])


def _musts(lines: list[Line]) -> list[Check]:
    checks: list[Check] = []
    for connections, line in zip(CONNECTIONS, lines, strict=True):
        if connections in MUSTS:
            least, found = MUSTS[connections], line.to_floor
            what = f"must: {least:.0%} of the floor with {line.what}"
            checks.append(Check(what, f"{found:.0%}", found >= least, of_speed=True))
            longest = line.product.percentiles_ms["p99"]
            what = f"must: p99 within {MOST_MS:g} ms with {line.what}"
            checks.append(Check(what, f"{longest:.1f} ms", longest <= MOST_MS, of_speed=True))
    return checks
