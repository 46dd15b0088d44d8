"""Dependencies between jobs where it matters how many runs wait, who looks, and what time does."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from runcord.handling.dependencies import ENDINGS_REMEMBERED, RELEASED_AT_ONCE
from runcord.handling.dependency_graph import SQL
from runcord.handling.job_dependencies import DependOnJob, EndDependency
from runcord.handling.runs import CommandRun
from runcord.handling.trigger import TriggerRequest, TriggerRuns
from runcord.ids import new_id
from runcord.job.events import Condition
from runcord.job.state import Job
from runcord.ledger.channel import Channel
from runcord.ledger.database import service_pool
from runcord.queue.scheduler import Scheduler
from runcord.run import commands as c
from runcord.run.state import Run
from runcord.testing.project import CONTEXT, Project, in_project, open_committer

ABOUT_DEPENDENCIES = set(SQL.values())


async def depend(project: Project, job: Job, on: Job, condition: Condition = "completed") -> Job:
    command = DependOnJob(CONTEXT, job.job_id, new_id("ver"), new_id("dep"), on.job_id, condition)
    return await project.execute(command)


async def two_jobs(project: Project) -> tuple[Job, Job]:
    """Return a job, and one that it depends on."""
    upstream = await project.create_job("upstream")
    return await depend(project, await project.create_job("job"), upstream), upstream


async def complete(project: Project, run: Run) -> None:
    await project.claim(run_id=run.run_id)
    await project.command(run, c.Complete())


def statuses(project: Project, job: Job) -> dict[str, int]:
    return dict(project.rows("select status, count(*) from runs where job_id = %s group by 1", job.job_id))


async def fire(project: Project) -> bool:
    async with service_pool(project.dsn, 2) as pool:
        return await Scheduler(pool, project.committer).fire()


@in_project
async def test_an_ending_lets_some_runs_go_and_the_scheduler_all_others(project: Project) -> None:
    job, upstream = await two_jobs(project)
    many = RELEASED_AT_ONCE * 2 + 30
    made = await project.trigger_many(job, [{} for _ in range(many)])
    await complete(project, await project.trigger(upstream))
    assert statuses(project, job) == {"queued": RELEASED_AT_ONCE, "waiting": many - RELEASED_AT_ONCE}
    # What has been decided stays so, whatever ends before the scheduler comes.
    await project.command(await project.trigger(upstream), c.Cancel())
    late = await project.trigger(job)
    while await fire(project):
        pass
    assert statuses(project, job) == {"queued": many, "waiting": 1}
    assert project.rows("select run_id from dependency_waits") == [(late.run_id,)]
    assert {tuple(project.history(one.run)) for one in made} == {("run.triggered.v1", "run.resumed.v1")}


@in_project
async def test_two_schedulers_let_each_run_go_once(project: Project) -> None:
    job, upstream = await two_jobs(project)
    await project.trigger_many(job, [{} for _ in range(RELEASED_AT_ONCE * 3)])
    await complete(project, await project.trigger(upstream))
    await asyncio.gather(*(fire(project) for _ in range(3)))
    assert project.rows("select count(*), count(distinct stream_id) from events where type = 'run.resumed.v1'") == [
        (RELEASED_AT_ONCE * 3, RELEASED_AT_ONCE * 3)
    ]


@in_project
async def test_the_time_to_live_ends_the_wait(project: Project) -> None:
    job, upstream = await two_jobs(project)
    mortal, patient = await project.trigger(job, ttl_secs=60), await project.trigger(job)
    project.set_time(61)
    assert await fire(project)
    assert statuses(project, job) == {"timed_out": 1, "waiting": 1}
    assert project.history(mortal) == ["run.triggered.v1", "run.timed_out.v1"]
    await complete(project, await project.trigger(upstream))
    assert project.history(patient) == ["run.triggered.v1", "run.resumed.v1"]
    assert not await fire(project)


@in_project
async def test_a_run_that_is_due_later_waits_for_its_time_as_well(project: Project) -> None:
    job, upstream = await two_jobs(project)
    run = await project.trigger(job, delay_secs=100)
    await complete(project, await project.trigger(upstream))
    assert statuses(project, job) == {"queued": 1}
    assert await project.claim(run_id=run.run_id) == []
    project.set_time(101)
    assert len(await project.claim(run_id=run.run_id)) == 1


@in_project
async def test_another_process_lets_go_what_this_one_holds_back(project: Project) -> None:
    """Each process remembers what depends on what: it has to notice when another one changes that."""
    job, upstream = await project.create_job("job"), await project.create_job("upstream")
    other = open_committer(project.dsn, writers=1)

    async def elsewhere(handler: object) -> object:
        return (await other.execute(project.project_id, handler)).value  # pyright: ignore[reportArgumentType]

    try:
        for _ in range(2):
            ending = await project.trigger(upstream)
            await project.claim(run_id=ending.run_id)
            await elsewhere(CommandRun(CONTEXT, ending.run_id, c.Annotate({"a": "b"})))
            depending = await depend(project, job, upstream, "any")
            run = (await project.trigger_many(depending, [{"payload": {"dependency_key": new_id("k")}}]))[0].run
            assert run.is_held
            key = project.rows("select key from dependency_waits")[0][0]
            ending = (await project.trigger_many(upstream, [{"payload": {"dependency_key": key}}]))[0].run
            await project.claim(run_id=ending.run_id)
            await elsewhere(CommandRun(CONTEXT, ending.run_id, c.Complete()))
            assert project.history(run)[-1] == "run.resumed.v1"
            edge = depending.dependencies[-1].dependency_id
            await elsewhere(EndDependency(CONTEXT, job.job_id, new_id("ver"), edge))
            assert not (await project.trigger(job)).is_held
    finally:
        other.close()


@in_project
async def test_only_so_many_earlier_endings_count(project: Project) -> None:
    job, upstream = await project.create_job("job"), await project.create_job("upstream")
    keys = [{"payload": {"dependency_key": f"k{n}"}} for n in range(ENDINGS_REMEMBERED + 1)]
    for one in await project.trigger_many(upstream, keys):
        await project.command(one.run, c.Cancel())
    await depend(project, job, upstream, "any")
    first, second = (one.run for one in await project.trigger_many(job, keys[:2]))
    assert (first.is_held, second.is_held) == (True, False)


@in_project
async def test_endings_are_kept_only_as_long_as_somebody_asks_for_them(project: Project) -> None:
    job, upstream = await two_jobs(project)
    await complete(project, await project.trigger(upstream))
    assert project.rows("select job_id, match, status from upstream_endings") == [(upstream.job_id, "any", "completed")]
    await complete(project, await project.trigger(job))
    assert len(project.rows("select * from upstream_endings")) == 1
    (edge,) = (await project.update_job(job, description="x")).dependencies
    await project.execute(EndDependency(CONTEXT, job.job_id, new_id("ver"), edge.dependency_id))
    assert project.rows("select * from upstream_endings") == []


@in_project
async def test_what_nobody_depends_on_costs_no_query(project: Project) -> None:
    """Triggers and endings of other jobs ask the database nothing more, in a project with dependencies as well."""
    _, upstream = await two_jobs(project)
    plain = await project.create_job("plain")
    one = open_committer(project.dsn, writers=1)
    fetched: list[bytes] = []
    original = Channel.fetch

    def fetch(self: Channel, statement: bytes, params: Mapping[str, Any]) -> Any:
        fetched.append(statement)
        return original(self, statement, params)

    async def asked_by_an_ending_of(job: Job) -> list[bytes]:
        """Return the queries about dependencies that a trigger and an ending cost."""
        fetched.clear()
        trigger = TriggerRuns(CONTEXT, job.job_id, [TriggerRequest(new_id("run"))])
        (made,) = (await one.execute("proj_test", trigger)).value
        await one.execute("proj_test", CommandRun(CONTEXT, made.run.run_id, c.Cancel()))
        return [statement for statement in fetched if statement in ABOUT_DEPENDENCIES]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Channel, "fetch", fetch)
        assert await asked_by_an_ending_of(plain) == [SQL["depending_jobs"]], "once, to know it from then on"
        assert await asked_by_an_ending_of(plain) == []
        assert await asked_by_an_ending_of(upstream) == [SQL["held"]]
        await two_more(project)
        assert await asked_by_an_ending_of(plain) == [SQL["depending_jobs"]], "it has changed"
        assert await asked_by_an_ending_of(plain) == []
    one.close()


async def two_more(project: Project) -> None:
    await depend(project, await project.create_job("third"), await project.create_job("fourth"))
