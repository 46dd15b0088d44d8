"""Growth: what the other benchmarks come to after many runs, beside the same on a database that has hardly any.

Two servers have a database each. One is grown by commands, from size to size; at each, both do the same in turn.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import uvloop

from runcord.client import Client
from runcord_bench import bulk, http_load, latency, product
from runcord_bench.database import Databases
from runcord_bench.drain import Crew, drain
from runcord_bench.load import closed_loop
from runcord_bench.process import running_modules, wait_until
from runcord_bench.rebuild import is_done
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Sample, in_turn
from runcord_bench.server import JOB, PROJECT, Server, count_runs, running_server
from runcord_bench.triggers import BODY

GROWERS = 2
STEPS = (100, 10, 1)
"""The sizes, as parts of the last one."""
QUICK_STEPS = (1,)

CALLERS = 32
CONNECTIONS = 8
MANY = Crew("drain by 2, 100 at a time", 2, 1, 100)
SINGLE = Crew("drain by 8, one at a time", 1, 8, 1)

MUST_KEEP = 0.8

_PROJECTIONS_SECS = 1800.0
_GROWTH_SECS = 5400.0


def measure(databases: Databases, effort: Effort) -> Report:
    """Grow one database, and at each size do the same on both."""
    lines: list[Line] = []
    with ExitStack() as stack:
        small = stack.enter_context(_side(databases.create("small")))
        large = stack.enter_context(_side(databases.create("large")))
        steps = STEPS if effort.rounds > 1 else QUICK_STEPS
        for size in (effort.grown // step for step in steps):
            large.grow(size)
            for what in large.operations(effort):
                sides = {"product": large.operations(effort)[what], "floor": small.operations(effort)[what]}
                lines.append(Line(f"{what}, at {size:,} runs", **in_turn(effort.rounds, sides)))
        checks = [_all_done(side) for side in (small, large)]
    last = lines[-len(lines) // len(steps) :]
    return Report(lines, [*checks, *(_must(line) for line in last)], beside="empty")


class _Side:
    """A server with what it has had to do."""

    def __init__(self, server: Server, dsn: str) -> None:
        self.server = server
        self._dsn = dsn
        with Client(server.base_url, server.api_key) as client:
            self._job_id = client.jobs.get(JOB).id

    def grow(self, size: int) -> None:
        """Have runs live until there are so many, and wait for projections and for what vacuum does now and then."""
        missing = size - count_runs(self.server)
        arguments = (self._dsn, PROJECT, self._job_id, str(max(0, missing) // GROWERS))
        with running_modules("grower", *arguments, count=GROWERS) as growers:
            for grower in growers:
                grower.begin()
            for grower in growers:
                grower.read(_GROWTH_SECS)
        wait_until(lambda: is_done(self.server), "the projections", seconds=_PROJECTIONS_SECS, every=0.1)
        self.server.conn.execute("vacuum analyze")

    def operations(self, effort: Effort) -> Mapping[str, Callable[[], Sample]]:
        """Return what is measured, each in a short form. Drains come before the last, for which nothing may wait."""
        return {
            f"{CALLERS} triggers, no HTTP": lambda: uvloop.run(self._commit(effort.seconds / 2)),
            f"{CONNECTIONS} triggers over HTTP": lambda: self._trigger(effort.seconds / 2),
            f"bulk triggers of {bulk.BULK}": lambda: bulk.trigger(self.server, effort.runs // 2),
            MANY.what: lambda: self._drain(MANY, effort.runs // 2),
            SINGLE.what: lambda: self._drain(SINGLE, 3 * effort.triggers),
            "idle trigger to handler": lambda: self._wait(effort.triggers // 3),
        }

    async def _commit(self, seconds: float) -> Sample:
        with product.open_committer(self._dsn) as committer:
            return await closed_loop(CALLERS, seconds, lambda: product.trigger(committer, PROJECT, self._job_id))

    def _trigger(self, seconds: float) -> Sample:
        server = self.server
        arguments = (str(server.port), server.api_key, f"/v1/jobs/{JOB}/trigger", BODY.decode(), str(CONNECTIONS))
        with running_modules("http_load", *arguments, str(seconds), count=1) as [load]:
            load.begin()
            return http_load.result(load, seconds)[0]

    def _drain(self, crew: Crew, runs: int) -> Sample:
        """Trigger so many runs, and return how many a second are completed; what was left before is none of them."""
        if left := count_runs(self.server, "queued"):
            self._work_off(MANY, left)
        bulk.trigger(self.server, runs)
        return self._work_off(crew, runs)

    def _work_off(self, crew: Crew, runs: int) -> Sample:
        server = self.server
        arguments = (str(server.port), server.api_key, "product", str(crew.workers), str(crew.at_once))
        return drain(crew, runs, arguments)[0]

    def _wait(self, triggers: int) -> Sample:
        arguments = (self.server.base_url, self.server.api_key, "1", "latency")
        with running_modules("noop_worker", *arguments, count=1) as [worker]:
            worker.begin()
            asyncio.run(latency.idle(self.server, worker, latency.WARM_UP_TRIGGERS))
            return asyncio.run(latency.idle(self.server, worker, triggers))


@contextmanager
def _side(dsn: str) -> Iterator[_Side]:
    with running_server(dsn) as server:
        yield _Side(server, dsn)


def _all_done(side: _Side) -> Check:
    runs, completed = count_runs(side.server), count_runs(side.server, "completed")
    return Check("every run is completed", f"{completed:,} of {runs:,}", completed == runs > 0)


def _must(line: Line) -> Check:
    return Check(
        f"must: {MUST_KEEP:.0%} of it is kept, {line.what}",
        f"{line.to_floor:.0%}",
        line.to_floor >= MUST_KEEP,
        of_speed=True,
    )
