"""Drains over HTTP: workers take runs that are there and complete them, many at a time or one by one.

Workers speak to the server without a library in between, as one in any language may. How far Python's own comes is a
line of its own. Peers are called in process.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import psycopg

from runcord.clock import monotonic
from runcord_bench import bulk, floor
from runcord_bench.database import Databases
from runcord_bench.load import PAYLOAD
from runcord_bench.peers import PEERS, Installed
from runcord_bench.process import Process, ProcessFailed, running_modules, wait_until
from runcord_bench.report import Check, Line, Report, line_of
from runcord_bench.sampling import Effort, Sample, in_turn
from runcord_bench.server import Server, count_runs, running_server

_START_SECS = 30.0
_LATEST_SECS = 120.0
_EVERY_SECS = 0.005


class Crew(NamedTuple):
    """Processes of so many workers each, who each take so many runs at a time."""

    what: str
    processes: int
    workers: int
    at_once: int
    peers: Sequence[str] = ()
    """Who else takes as many at a time."""
    must: float | None = None
    """How much of the floor has to be reached."""


FIRST = Crew("2 workers, 100 at a time", 2, 1, 100, peers=("pgqueuer", "procrastinate"))
CREWS = (
    FIRST,
    Crew("4 workers, 50 at a time", 4, 1, 50),
    Crew("8 workers, one at a time", 1, 8, 1, must=0.7),
    Crew("32 workers, one at a time", 1, 32, 1, must=0.7),
    Crew("64 workers, one at a time", 1, 64, 1, peers=("procrastinate",)),
)
LIBRARY = "2 runcord.worker, 100 at a time"

MUST_PGQUEUER = 0.6
"""How much of that peer's rate has to be reached by the first crew."""


def measure(databases: Databases, effort: Effort) -> Report:
    """Have each crew drain as many runs on either side, and count who was given what."""
    with ExitStack() as stack:
        product = stack.enter_context(_product(databases.create("served")))
        least = stack.enter_context(_floor(databases.create("floor")))
        peers = {name: Installed(name, databases.create(name)) for name in (PEERS if effort.peers else ())}
        lines: list[Line] = []
        for crew in CREWS:
            one_by_one = 5 * effort.triggers
            runs = effort.runs if crew.at_once > 1 else one_by_one
            sides: dict[str, Callable[[], Sample]] = {
                "product": lambda crew=crew, runs=runs: product.drain(crew, runs),
                "floor": lambda crew=crew, runs=runs: least.drain(crew, runs),
            }
            for name in peers.keys() & set(crew.peers):
                jobs = runs if peers[name].takes_many else one_by_one
                sides[name] = lambda name=name, crew=crew, jobs=jobs: peers[name].drain(
                    jobs, crew.processes, crew.at_once * crew.workers
                )
            if crew is FIRST:
                sides[LIBRARY] = lambda runs=runs: product.drain_by_library(FIRST, runs)
            figures = in_turn(effort.rounds, sides)
            library = figures.pop(LIBRARY, None)
            lines.append(line_of(crew.what, figures))
            if library is not None:
                lines.append(line_of(LIBRARY, {**figures, "product": library}))
        completed = count_runs(product.server, "completed")
        checks = [product.shares.check(completed), floor.check_whole(least.conn)]
    return Report(lines, [*checks, *_musts({line.what: line for line in lines})])


@dataclass
class Shares:
    """Who was given what."""

    runs: int = 0
    unwatched: int = 0
    """Of these, so many were given to whom nobody asked."""
    given: Counter[str] = field(default_factory=Counter[str])

    def check(self, completed: int) -> Check:
        """Compare with how many runs are completed."""
        twice = sum(times - 1 for times in self.given.values())
        return Check(
            what="every run was given out once and is completed",
            found=f"{self.runs:,} runs, {completed:,} completed; of {self.runs - self.unwatched:,} that were watched, "
            f"{len(self.given):,} given out, {twice} twice",
            passed=twice == 0 and self.runs == completed == len(self.given) + self.unwatched,
        )


class _Product:
    """A server to drain, and what it has given to whom."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.shares = Shares()

    def drain(self, crew: Crew, runs: int) -> Sample:
        """Trigger so many runs in bulk, and return how many a second the crew completes."""
        bulk.trigger(self.server, runs)
        arguments = (str(self.server.port), self.server.api_key, "product", str(crew.workers), str(crew.at_once))
        sample, taken = drain(crew, runs, arguments)
        self.shares.runs += runs
        self.shares.given.update(taken)
        return sample

    def drain_by_library(self, crew: Crew, runs: int) -> Sample:
        """Do the same with processes as users write them, from the first run that is handled on."""
        bulk.trigger(self.server, runs)
        self.shares.runs += runs
        self.shares.unwatched += runs
        arguments = (self.server.base_url, self.server.api_key, str(crew.at_once), "first")
        with running_modules("noop_worker", *arguments, count=crew.processes) as processes:
            for process in processes:
                process.begin()
            wait_until(
                lambda: count_runs(self.server, "completed") >= self.shares.runs,
                "all runs completed",
                seconds=_LATEST_SECS,
                every=_EVERY_SECS,
            )
            ended = monotonic()
            began: list[float] = []
            for process in processes:
                with suppress(ProcessFailed):  # it came too late to get one
                    began.append(process.read(0))
        return Sample(runs / (ended - min(began)))


class _Floor:
    """The floor's server."""

    def __init__(self, port: int, conn: psycopg.Connection[Any]) -> None:
        self.conn = conn
        self._port = port

    def drain(self, crew: Crew, runs: int) -> Sample:
        """Record so many runs, and return how many a second the crew completes."""
        floor.append(self.conn, [orjson.dumps(PAYLOAD) for _ in range(runs)])
        sample, _ = drain(crew, runs, (str(self._port), "-", "floor", str(crew.workers), str(crew.at_once)))
        return sample


def drain(crew: Crew, runs: int, arguments: Sequence[str]) -> tuple[Sample, list[str]]:
    """Have a crew take and complete all there is; return how many runs a second, and which were given out."""
    with running_modules("drainer", *arguments, count=crew.processes) as processes:
        begun = monotonic()
        for process in processes:
            process.begin()
        said = [process.read(_LATEST_SECS) for process in processes]
    taken = [run_id for one in said for run_id in one["taken"]]
    latencies = [seconds for one in said for seconds in one["latencies"]]
    return Sample(runs / (max(one["ended"] for one in said) - begun), latencies), taken


def _musts(lines: Mapping[str, Line]) -> Iterator[Check]:
    for crew in CREWS:
        line = lines[crew.what]
        if crew.must is not None:
            what = f"must: {crew.must:.0%} of the floor, {crew.what}"
            yield Check(what, f"{line.to_floor:.0%}", line.to_floor >= crew.must, of_speed=True)
    ratio = lines[FIRST.what].to_peers.get("pgqueuer")
    if ratio is not None:
        what = f"must: {MUST_PGQUEUER:g} times pgqueuer, {FIRST.what}"
        yield Check(what, f"{ratio:.2f} times", ratio >= MUST_PGQUEUER, of_speed=True)


@contextmanager
def _product(dsn: str) -> Iterator[_Product]:
    with running_server(dsn) as server:
        yield _Product(server)


@contextmanager
def _floor(dsn: str) -> Iterator[_Floor]:
    floor.prepare(dsn)
    with running_modules("floor_server", dsn, count=1) as [server], psycopg.connect(dsn, autocommit=True) as conn:
        yield _Floor(_port(server), conn)


def _port(server: Process) -> int:
    return server.read(_START_SECS)
