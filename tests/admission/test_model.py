"""Random triggers against a model of the settings: what is let in, what is gathered, and what comes out of it.

Time moves in whole seconds and spans are short, so that much happens at the very edge of a span.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from tests.admission.conftest import move_clock, stop_clock

from runcord.errors import RateLimited
from runcord.handling.admission import Debouncing, Foresight, Keys, foresee
from runcord.handling.trigger import TriggerRequest, TriggerRuns
from runcord.ids import new_id
from runcord.job.state import Job
from runcord.queue.scheduler import Timer, WakeRuns
from runcord.testing.project import CONTEXT, Project, open_project

Settings = dict[str, int]

spans = st.integers(1, 4)
windows = st.one_of(
    st.just(Settings()),
    st.builds(lambda secs: {"debounce_window_secs": secs}, spans),
    st.builds(lambda secs, size: {"batch_window_secs": secs, "batch_max_size": size}, spans, st.integers(0, 4)),
)
limits = st.just(Settings()) | st.builds(
    lambda most, secs: {"rate_limit_max": most, "rate_limit_window_secs": secs}, st.integers(1, 4), spans
)
comparisons = st.just(Settings()) | st.builds(lambda secs: {"dedup_window_secs": secs}, spans)


own_windows = st.none() | st.builds(
    Debouncing, spans, st.sampled_from(["leading", "trailing"]), st.none() | st.integers(1, 6)
)


@dataclass(frozen=True)
class Trigger:
    key: str
    payload: int
    debouncing: Debouncing | None


@dataclass(frozen=True)
class Pass:
    secs: int
    fires: bool
    """Whether the scheduler looks then, or comes late."""


Story = list[Trigger | Pass]

stories = st.lists(
    st.builds(Trigger, st.sampled_from("ab"), st.integers(0, 2), own_windows)
    | st.builds(Pass, st.sampled_from([1, 1, 2, 3]), st.booleans()),
    min_size=10,
    max_size=40,
)


@dataclass
class Expected:
    """A run as it should be: when it is due, its payload, and the items that it gathers if it is a batch; what a burst
    of triggers made has one payload at a time.
    """

    due: float
    payload: Any
    batch: list[int] | None = None
    born: int = 0
    of_burst: bool = False


@dataclass
class Model:
    """What should happen, as simply as it can be said."""

    settings: Settings
    now: int = 0
    let_in: list[int] = field(default_factory=list[int])
    seen: dict[int, tuple[Expected, int]] = field(default_factory=dict[int, tuple[Expected, int]])
    open: dict[tuple[str, str], Expected] = field(default_factory=dict[tuple[str, str], Expected])
    runs: list[Expected] = field(default_factory=list[Expected])

    def trigger(self, one: Trigger) -> Expected | int:
        """Return the run that answers, or in how many seconds to come again."""
        payload = one.payload
        if payload in self.seen:
            run, until = self.seen[payload]
            replaced = run.of_burst and run.payload != payload
            if self.now < until and not replaced:
                return run
        if most := self.settings.get("rate_limit_max"):
            secs = self.settings["rate_limit_window_secs"]
            recent = [at for at in self.let_in if at > self.now - secs]
            if len(recent) >= most:
                return recent[0] + secs - self.now
            self.let_in.append(self.now)
        run, is_its_payload = self.gathered(one)
        if is_its_payload and (secs := self.settings.get("dedup_window_secs")):
            self.seen[payload] = (run, self.now + secs)
        return run

    def gathered(self, one: Trigger) -> tuple[Expected, bool]:
        """Return the run that a trigger becomes a part of, and whether its payload does."""
        debouncing = one.debouncing
        if debouncing is None and (secs := self.settings.get("debounce_window_secs")):
            debouncing = Debouncing(secs)
        if debouncing is not None:
            return self.debounced(one, debouncing)
        if secs := self.settings.get("batch_window_secs"):
            return self.batched(one, secs), True
        return self.new(Expected(self.now, one.payload)), True

    def debounced(self, one: Trigger, debouncing: Debouncing) -> tuple[Expected, bool]:
        due, run = self.now + debouncing.secs, self.waiting("debounce", one.key)
        if run is not None and debouncing.most_secs is not None and due > run.born + debouncing.most_secs:
            run = None
        if run is None:
            run = self.new(Expected(due, one.payload, born=self.now, of_burst=True))
            self.open["debounce", one.key] = run
            return run, True
        run.due = max(run.due, due)
        if debouncing.mode == "trailing":
            run.payload = one.payload
        return run, debouncing.mode == "trailing"

    def batched(self, one: Trigger, secs: int) -> Expected:
        run = self.waiting("batch", one.key)
        if run is None:
            run = self.open["batch", one.key] = self.new(Expected(self.now + secs, None, []))
        assert run.batch is not None
        run.batch.append(one.payload)
        run.payload = {"items": run.batch}
        if len(run.batch) == self.settings["batch_max_size"]:
            run.due = self.now
        return run

    def waiting(self, kind: str, key: str) -> Expected | None:
        run = self.open.get((kind, key))
        return None if run is None or run.due <= self.now else run

    def new(self, run: Expected) -> Expected:
        self.runs.append(run)
        return run


async def trigger(project: Project, job: Job, one: Trigger, foresight: Foresight) -> str:
    request = TriggerRequest(new_id("run"), one.payload, keys=Keys(one.key, one.key, one.debouncing))
    return (await project.execute(TriggerRuns(CONTEXT, job.job_id, [request], foresight=foresight)))[0].run.run_id


async def wake(project: Project) -> None:
    """Let the scheduler's command find out what time has made of every run, due or not."""
    rows = project.rows("select run_id from runs where project_id = %s order by due_at", project.project_id)
    timers = [Timer(run_id, "run", 0) for (run_id,) in rows]
    await project.execute(WakeRuns(timers, [0.5] * len(timers)))


async def play(project: Project, twin: Project, job_settings: Settings, story: Story) -> None:
    """Do what the story says on two servers in turn, and hold the answers and all runs against the model."""
    job = await project.create_job(**job_settings)
    model = Model(job_settings)
    made: dict[str, Expected] = {}
    sides = itertools.cycle((project, twin))
    foresights = itertools.cycle((foresee(job.settings), Foresight()))
    for step in story:
        if isinstance(step, Pass):
            move_clock(project.dsn, step.secs)
            model.now += step.secs
            if step.fires:
                await wake(next(sides))
            continue
        expected = model.trigger(step)
        try:
            run_id = await trigger(next(sides), job, step, next(foresights))
        except RateLimited as refusal:
            assert refusal.retry_after_secs == expected
        else:
            assert isinstance(expected, Expected), f"let in, though there is no room for {expected} seconds"
            assert made.setdefault(run_id, expected) is expected
    move_clock(project.dsn, 10)
    await wake(project)
    claimed = await project.claim(100)
    assert len(claimed) == len(made) == len(model.runs)
    for one in claimed:
        assert orjson.loads(one.payload or b"null") == made[one.run.run_id].payload
    dues = [made[one.run.run_id].due for one in claimed]
    assert dues == sorted(dues), "not in the order in which they became due"
    assert project.rows("select count(*) from trigger_windows where project_id = %s", project.project_id) == [(0,)]


@pytest.fixture
def tell(dsn: str) -> Callable[[Settings, Story], None]:
    """Plays stories, each in a project of its own, on one database with a clock that stands still."""
    stop_clock(dsn)
    names = (f"proj_{n}" for n in itertools.count())

    def run(job_settings: Settings, story: Story) -> None:
        async def inside() -> None:
            name = next(names)
            async with open_project(dsn, name) as project, open_project(dsn, name) as twin:
                await play(project, twin, job_settings, story)

        asyncio.run(inside())

    return run


@settings(
    max_examples=max(40, settings.default.max_examples // 10) if settings.default else 40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(window=windows, limit=limits, comparison=comparisons, story=stories)
def test_whatever_is_triggered_comes_out_as_the_model_says(
    tell: Callable[[Settings, Story], None], window: Settings, limit: Settings, comparison: Settings, story: Story
) -> None:
    tell({**window, **limit, **comparison}, story)
