"""Dependencies against a model of them: whatever is triggered, ends and is changed, in whatever order and company.

The model knows all and remembers everything; after each group of commands, the runs that are held back are exactly
those whose dependencies are not met, every other run was let go exactly once, and the rows that releases are found by
are exactly the runs that are held back.
"""

import asyncio
import threading
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, example, given, settings

from runcord.errors import DependencyCycle, DependencyExists, Invalid, RuncordError
from runcord.handling.descent import ReplayDeadLetter
from runcord.handling.job_dependencies import DependOnJob, EndDependency
from runcord.handling.runs import CommandRun
from runcord.handling.trigger import TriggerRequest, TriggerRuns
from runcord.ids import new_id
from runcord.job.state import Job
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.run import commands as c
from runcord.run import events as e
from runcord.testing.project import CONTEXT, Project, open_project

JOBS = 4
PROJECTS = count()
FAILED = {"failed", "timed_out", "crashed", "system_failed", "dead_letter"}

jobs = st.integers(0, JOBS - 1)
keys = st.sampled_from([None, ("idempotency_key", "k"), ("dependency_key", "k"), ("dependency_key", "l")])
picks = st.integers(0, 30)
actions = st.one_of(
    st.tuples(st.just("trigger"), jobs, keys),
    st.tuples(st.just("trigger"), jobs, keys),
    st.tuples(st.just("end"), picks, st.sampled_from(["completed", "completed", "failed", "dead_letter", "canceled"])),
    st.tuples(st.just("end"), picks, st.sampled_from(["completed", "failed"])),
    st.tuples(st.just("depend"), jobs, jobs, st.sampled_from(["completed", "failed", "any"])),
    st.tuples(st.just("undepend"), jobs, picks),
    st.tuples(st.just("replay"), picks),
    st.tuples(st.just("cancel held"), picks),
)


@dataclass
class Known:
    """A run as the model knows it."""

    run_id: str
    job: int
    matches: list[tuple[str, str]]
    status: str = "executing"
    held_by: tuple[str, str] | None = None
    ended: int = 0
    lives: int = 0
    """How often it was queued."""


@dataclass
class Model:
    """What ought to be."""

    runs: list[Known] = field(default_factory=list[Known])
    edges: dict[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])
    endings: dict[tuple[int, str, str], str] = field(default_factory=dict[tuple[int, str, str], str])
    clock: int = 0

    def met(self, job: int, match: tuple[str, str]) -> bool:
        return all(self.meets(self.endings.get((on, *match)), condition) for (of, on), condition in self.mine(job))

    def mine(self, job: int) -> list[tuple[tuple[int, int], str]]:
        return [edge for edge in self.edges.items() if edge[0][0] == job]

    def meets(self, status: str | None, condition: str) -> bool:
        if status is None:
            return False
        return condition == "any" or (status == "completed" if condition == "completed" else status in FAILED)

    def triggered(self, run_id: str, job: int, key: tuple[str, str] | None) -> None:
        match = key or ("any", "")
        run = Known(run_id, job, [("any", "")] + ([key] if key else []))
        if self.met(job, match):
            run.lives = 1
        else:
            run.status, run.held_by = "waiting", match
        self.runs.append(run)

    def ended(self, run: Known, status: str) -> None:
        self.clock += 1
        run.status, run.ended = status, self.clock
        if any(on == run.job for _, on in self.edges):
            self.endings.update({(run.job, *match): status for match in run.matches})
        self.release()

    def release(self) -> None:
        for run in self.runs:
            if run.status == "waiting" and run.held_by is not None and self.met(run.job, run.held_by):
                run.status, run.lives = "executing", run.lives + 1

    def depend(self, job: int, on: int, condition: str) -> None:
        if not any(other == on for _, other in self.edges):
            for run in sorted(self.runs, key=lambda run: run.ended):
                if run.status not in {"executing", "waiting"} and run.job == on:
                    self.endings.update({(on, *match): run.status for match in run.matches})
        self.edges[job, on] = condition

    def undepend(self, job: int, on: int) -> None:
        del self.edges[job, on]
        if not any(other == on for _, other in self.edges):
            self.endings = {place: status for place, status in self.endings.items() if place[0] != on}
        self.release()

    def reaches(self, start: int, goal: int) -> bool:
        return start == goal or any(self.reaches(on, goal) for (of, on) in self.edges if of == start)


ENDINGS: dict[str, c.Command] = {
    "completed": c.Complete(),
    "failed": c.Fail(e.Failure("bad"), retryable=False),
    "dead_letter": c.Fail(e.Failure("worse")),
    "canceled": c.Cancel(),
}


@dataclass
class Gate:
    """A command that keeps its project's writer until all that are to be executed as one group have come."""

    context: Context = CONTEXT
    weight: int = 1
    opened: threading.Event = field(default_factory=threading.Event)

    def prepare(self, plan: Plan) -> None:
        """Read nothing."""

    def handle(self, tx: Transaction) -> None:
        """Wait."""
        assert self.opened.wait(10)


class Player:
    """Plays actions on a project and on the model alike."""

    def __init__(self, project: Project, made: list[Job]) -> None:
        self.project = project
        self.jobs = made
        self.model = Model()
        self.edge_ids: dict[tuple[int, int], str] = {}
        self.unique = count()

    async def play(self, group: list[tuple[Any, ...]]) -> None:
        """Send a group of commands at once, and have the model do the same."""
        handlers: list[Any] = []
        expected: list[type[RuncordError] | None] = []
        for action in group:
            made = self.step(*action)
            if made is not None:
                handlers.append(made[0])
                expected.append(made[1])
        gate = Gate()
        tasks = [asyncio.create_task(self.project.execute(handler)) for handler in (gate, *handlers)]
        await asyncio.sleep(0)  # all of them have been handed in now
        gate.opened.set()
        _, *outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome, refusal in zip(outcomes, expected, strict=True):
            if refusal is None:
                assert not isinstance(outcome, BaseException), outcome
            else:
                assert isinstance(outcome, refusal), outcome
        await self.project.claim(100)

    def step(self, kind: str, *details: Any) -> tuple[Any, type[RuncordError] | None] | None:
        """Return the command, and the refusal that it ought to meet; None if there is nothing to do it to."""
        model = self.model
        match kind:
            case "trigger":
                job, key = details
                run_id = new_id("run")
                if key is not None and key[0] == "idempotency_key":
                    # A job's key makes one run; the keys of different jobs are the same.
                    key = key if all(run.job != job or key not in run.matches for run in model.runs) else None
                payload = {"dependency_key": key[1]} if key and key[0] == "dependency_key" else {"n": 1}
                request = TriggerRequest(
                    run_id, payload, idempotency_key=key[1] if key and key[0] == "idempotency_key" else None
                )
                model.triggered(run_id, job, key)
                return TriggerRuns(CONTEXT, self.jobs[job].job_id, [request]), None
            case "end":
                run = self.pick(details[0], {"executing"}, claimed=details[1] != "canceled")
                if run is None:
                    return None
                model.ended(run, details[1])
                return CommandRun(CONTEXT, run.run_id, ENDINGS[details[1]]), None  # pyright: ignore[reportArgumentType]
            case "cancel held":
                run = self.pick(details[0], {"waiting"})
                if run is None:
                    return None
                model.ended(run, "canceled")
                return CommandRun(CONTEXT, run.run_id, c.Cancel()), None
            case "replay":
                run = self.pick(details[0], {"dead_letter"})
                if run is None:
                    return None
                run.status = "executing"
                return ReplayDeadLetter(CONTEXT, run.run_id), None
            case "depend":
                job, on, condition = details
                dependency_id = new_id("dep")
                handler = DependOnJob(
                    CONTEXT, self.jobs[job].job_id, new_id("ver"), dependency_id, self.jobs[on].settings.slug, condition
                )
                if job == on:
                    return handler, Invalid
                if (job, on) in model.edges:
                    return handler, DependencyExists
                if model.reaches(on, job):
                    return handler, DependencyCycle
                model.depend(job, on, condition)
                self.edge_ids[job, on] = dependency_id
                return handler, None
            case _:
                mine = [edge for edge, _ in model.mine(details[0])]
                if not mine:
                    return None
                edge = mine[details[1] % len(mine)]
                model.undepend(*edge)
                return EndDependency(CONTEXT, self.jobs[edge[0]].job_id, new_id("ver"), self.edge_ids.pop(edge)), None

    def pick(self, number: int, statuses: set[str], *, claimed: bool = False) -> Known | None:
        """Return one of the runs in such a status; one that a worker has had time to take, if asked."""
        found = [run for run in self.model.runs if run.status in statuses]
        if claimed:
            found = [run for run in found if run.run_id in self.taken]
        return found[number % len(found)] if found else None

    taken: set[str]

    async def play_all(self, groups: list[list[tuple[Any, ...]]]) -> None:
        for group in groups:
            executing = [run.run_id for run in self.model.runs if run.status == "executing"]
            self.taken = set(executing)
            await self.play(group)
            self.compare()

    def compare(self) -> None:
        """Hold the database against the model."""
        rows = self.project.rows("select run_id, status from runs where project_id = %s", self.project.project_id)
        assert dict(rows) == {run.run_id: run.status for run in self.model.runs}
        released = self.project.rows(
            "select stream_id, count(*) from events where project_id = %s and type = 'run.resumed.v1' group by 1",
            self.project.project_id,
        )
        assert dict(released) == {run.run_id: 1 for run in self.model.runs if run.held_by and run.lives}
        waits = self.project.rows(
            "select run_id, match, key from dependency_waits where project_id = %s", self.project.project_id
        )
        assert sorted(waits) == sorted(
            (run.run_id, *run.held_by) for run in self.model.runs if run.held_by and run.status == "waiting"
        )


async def play(dsn: str, groups: list[list[tuple[Any, ...]]]) -> None:
    async with open_project(dsn, f"proj_{next(PROJECTS)}") as project:
        made = [await project.create_job(f"job-{n}", max_attempts=1) for n in range(JOBS)]
        await Player(project, made).play_all(groups)


DEPENDS = ("depend", 1, 0, "completed")


@given(groups=st.lists(st.lists(actions, min_size=1, max_size=4), min_size=3, max_size=25))
@settings(
    max_examples=settings.default.max_examples // 3,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(groups=[[DEPENDS], [("trigger", 0, None), ("trigger", 1, None)], [("end", 0, "completed")]])
@example(groups=[[DEPENDS], [("trigger", 0, None)], [("trigger", 1, None), ("end", 0, "completed")]])
@example(groups=[[DEPENDS], [("trigger", 0, None)], [("end", 0, "completed"), ("trigger", 1, None)]])
@example(groups=[[("trigger", 0, None)], [("end", 0, "completed"), DEPENDS, ("trigger", 1, None)]])
@example(groups=[[DEPENDS], [("trigger", 1, None), ("undepend", 1, 0)]])
def test_runs_are_let_go_when_their_dependencies_are_met_and_not_before(
    dsn: str, groups: list[list[tuple[Any, ...]]]
) -> None:
    asyncio.run(play(dsn, groups))
