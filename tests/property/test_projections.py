"""Rebuilt projections equal the live ones, byte for byte, whatever happened and however it was divided into batches.

Random commands, right and wrong ones, go to a few runs; in between, the live generations are moved on by projectors
that come and go. In the end each projection is built once more in one go, once event by event, and once from whole
runs.
"""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from runcord.clock import utc_now
from runcord.errors import RuncordError
from runcord.handling.admission import Keys
from runcord.handling.descent import ContinueRun, ReplayDeadLetter, ReplayRun, SpawnRun
from runcord.handling.reschedule import RescheduleRun
from runcord.handling.trigger import TriggerRequest
from runcord.ids import new_id
from runcord.projecting import folding, projector
from runcord.projecting.projector import Projector
from runcord.projecting.registry import projections
from runcord.run import commands as c
from runcord.run.build import build
from runcord.run.events import Failure
from runcord.run.state import Run
from runcord.testing.project import CONTEXT, Project, open_project
from runcord.testing.projections import check_rebuilt

labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=2)
which = st.integers(0, 2)
failures = st.sampled_from([Failure("boom"), Failure("no route to host 10.0.0.1", "OSError")])

actions = st.one_of(
    st.tuples(st.just("trigger"), st.sampled_from(["tough", "frail"]), labels),
    st.tuples(st.just("trigger"), st.sampled_from(["tough", "frail"]), labels),
    st.tuples(st.just("die"), labels),
    st.tuples(st.just("debounce"), labels),
    st.tuples(st.just("claim"), st.integers(1, 3)),
    st.tuples(st.just("claim"), st.integers(1, 3)),
    st.tuples(st.just("complete"), which),
    st.tuples(st.just("fail"), which, failures),
    st.tuples(st.just("fail"), which, failures),
    st.tuples(st.just("tag"), which, labels),
    st.tuples(st.just("log"), which, st.sampled_from([1, 3, 55])),
    st.tuples(st.just("use"), which, st.integers(0, 1000)),
    st.tuples(st.just("spawn"), which, st.booleans()),
    st.tuples(st.just("continue"), which),
    st.tuples(st.just("replay"), which),
    st.tuples(st.just("again"), which),
    st.tuples(st.just("again"), which),
    st.tuples(st.just("stage"), which),
    st.tuples(st.just("cancel"), which),
    st.tuples(st.just("pause"), which),
    st.tuples(st.just("restart"), which),
    st.tuples(st.just("reschedule"), which),
    st.tuples(st.just("move on"), st.integers(1, 40)),
    st.tuples(st.just("another projector")),
)

EVENTFUL = (
    ("die", {"a": "x"}),
    ("move on", 5),
    ("again", 0),
    ("move on", 2),
    ("claim", 1),
    ("spawn", 0, False),
    ("log", 1, 55),
    ("move on", 3),
    ("tag", 1, {"b": "y"}),
    ("complete", 1),
)
"""What every history begins with, so that each projection has rows that change in several batches."""

numbers = itertools.count()


class Life:
    """A project that things happen in."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.runs: list[str] = []
        self.projector = Projector(project.dsn, projections())

    async def begin(self) -> None:
        """Make the jobs."""
        project = self.project
        self.jobs = {slug: await project.create_job(slug, max_attempts=n) for slug, n in (("tough", 2), ("frail", 1))}
        self.calm = await project.create_job("calm", debounce_window_secs=3600)

    async def act(self, action: Sequence[Any]) -> None:
        """Do something; what is refused leaves nothing behind."""
        name, *rest = action
        match name:
            case "trigger":
                self.runs.append((await self.project.trigger(self.jobs[rest[0]], tags=rest[1])).run_id)
            case "die":
                run = await self.project.trigger(self.jobs["frail"], tags=rest[0])
                await self.project.claim(run_id=run.run_id)
                await self.project.command(run, c.Fail(Failure("boom")))
                self.runs.append(run.run_id)
            case "debounce":
                self.runs.append((await self.project.trigger(self.calm, tags=rest[0], keys=Keys("k"))).run_id)
            case "claim":
                await self.project.claim(rest[0])
            case "move on":
                self.projector.advance(self.project.project_id, limit=rest[0])
            case "another projector":
                self.projector.close()
                self.projector = Projector(self.project.dsn, projections())
            case _ if self.runs:
                try:
                    await self._to_run(name, self.runs[-1 - rest[0] % len(self.runs)], *rest[1:])
                except RuncordError:
                    pass
            case _:
                pass

    async def _to_run(self, name: str, run_id: str, *rest: Any) -> None:
        project, new_run_id = self.project, new_id("run")
        run = build(Run, {"run_id": run_id})  # commands go by the id
        match name:
            case "complete":
                await project.command(run, c.Complete({"ok": True}))
            case "fail":
                await project.command(run, c.Fail(*rest))
            case "tag":
                await project.command(run, c.Tag(*rest))
            case "log":
                for n in range(rest[0]):
                    await project.command(run, c.Log(str(n)))
            case "use":
                await project.command(run, c.RecordUsage("p", "m", 1, 2, 3, rest[0]))
            case "spawn":
                request = TriggerRequest(new_run_id)
                await project.execute(SpawnRun(CONTEXT, run_id, "tough", request, await_completion=rest[0]))
                self.runs.append(new_run_id)
            case "continue":
                await project.execute(ContinueRun(CONTEXT, run_id, new_run_id))
                self.runs.append(new_run_id)
            case "replay":
                await project.execute(ReplayRun(CONTEXT, run_id, new_run_id))
                self.runs.append(new_run_id)
            case "again":
                await project.execute(ReplayDeadLetter(CONTEXT, run_id))
            case "stage":
                await project.command(run, c.StageReplay())
            case "cancel":
                await project.command(run, c.Cancel("no need"))
            case "pause":
                await project.command(run, c.Pause())
            case "restart":
                await project.command(run, c.Restart())
            case _:
                await project.execute(RescheduleRun(CONTEXT, run_id, utc_now() + timedelta(hours=1)))


@pytest.mark.slow
def test_what_is_rebuilt_equals_what_is_live(dsn: str) -> None:
    filled: set[str] = set()

    @settings(parent=settings(), max_examples=40, suppress_health_check=list(HealthCheck))
    @given(st.lists(actions, min_size=5, max_size=60))
    def check(history: list[Sequence[Any]]) -> None:
        async def live() -> None:
            async with open_project(dsn, f"proj_{next(numbers)}") as project:
                life = Life(project)
                await life.begin()
                for action in (*EVENTFUL, *history):
                    await life.act(action)
                while life.projector.advance(project.project_id, limit=7).position:
                    pass
                life.projector.close()
            live = check_rebuilt(dsn, project.project_id)
            filled.update(name for name, rows in live.items() if rows)
            with psycopg.connect(dsn, autocommit=True) as conn, pytest.MonkeyPatch.context() as patch:
                conn.execute("update projections set status = 'retired' where status = 'ready'")
                patch.setattr(folding, "COPIED_ROWS", 1)
                check_rebuilt(dsn, project.project_id, limit=1)
            with psycopg.connect(dsn, autocommit=True) as conn, pytest.MonkeyPatch.context() as patch:
                conn.execute("update projections set status = 'retired' where status = 'ready'")
                patch.setattr(projector, "can_outline", lambda _: False)
                check_rebuilt(dsn, project.project_id)

        asyncio.run(live())

    check()
    assert filled == set(projections())
