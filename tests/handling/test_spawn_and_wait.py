"""A parent that waits for its child goes on, in whatever way the child ends."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest

from runcord.handling.descent import ReplayDeadLetter, SpawnRun
from runcord.handling.runs import CommandRuns
from runcord.handling.trigger import TriggerRequest
from runcord.ids import new_id
from runcord.job.state import Job
from runcord.ledger.database import service_pool
from runcord.queue.scheduler import Scheduler
from runcord.run import commands as c
from runcord.run.events import Failure
from runcord.run.state import Run
from runcord.run.status import FINISHED, Status
from runcord.testing.project import CONTEXT, Project, in_project

LEASE_SECS = 5


async def begun(project: Project, run: Run, *, start: bool = True) -> Run:
    (claim,) = await project.claim(run_id=run.run_id, lease_secs=LEASE_SECS, start=start)
    return claim.run


async def family(project: Project, **child: object) -> tuple[Job, Run, Run]:
    """Return the child's job, a parent that waits for its child, and the child."""
    job = await project.create_job("child", max_attempts=1, timeout_secs=60)
    parent = await begun(project, await project.trigger(await project.create_job("parent")))
    request = TriggerRequest(new_id("run"), **child)  # pyright: ignore[reportArgumentType]
    spawned = await project.execute(SpawnRun(CONTEXT, parent.run_id, "child", request, await_completion=True))
    assert status_of(project, parent) == "waiting"
    return job, parent, spawned.run


def status_of(project: Project, run: Run) -> str:
    return project.rows("select status from runs where run_id = %s", run.run_id)[0][0]


def heard(project: Project, parent: Run) -> object:
    """Return what the parent was told of its child."""
    rows = project.rows(
        "select data from events where stream_id = %s and type = 'run.event_received.v1'", parent.run_id
    )
    return [orjson.loads(data)["payload"] for (data,) in rows]


async def at(project: Project, seconds: float) -> None:
    """Let the scheduler look, so many seconds from now."""
    project.set_time(seconds)
    async with service_pool(project.dsn, 2) as pool:
        await Scheduler(pool, project.committer).fire()


async def complete(project: Project, child: Run) -> None:
    await begun(project, child)
    await project.command(child, c.Complete({"answer": 42}))


async def fail(project: Project, child: Run) -> None:
    await begun(project, child)
    await project.command(child, c.Fail(Failure("no"), retryable=False))


async def dead_letter(project: Project, child: Run) -> None:
    await begun(project, child)
    await project.command(child, c.Fail(Failure("no")))


async def cancel(project: Project, child: Run) -> None:
    await project.command(child, c.Cancel())


async def expire(project: Project, child: Run) -> None:
    await at(project, 1001)


async def time_out(project: Project, child: Run) -> None:
    await begun(project, child)
    await project.touch(b"update leases set expires_at = expires_at + interval '1 hour'", {})
    await at(project, 61)


async def crash(project: Project, child: Run) -> None:
    await begun(project, child)
    await at(project, LEASE_SECS + 1)


async def fail_the_system(project: Project, child: Run) -> None:
    await begun(project, child, start=False)
    await at(project, LEASE_SECS + 1)


ENDINGS: dict[Status, Callable[[Project, Run], Awaitable[None]]] = {
    Status.COMPLETED: complete,
    Status.FAILED: fail,
    Status.DEAD_LETTER: dead_letter,
    Status.CANCELED: cancel,
    Status.EXPIRED: expire,
    Status.TIMED_OUT: time_out,
    Status.CRASHED: crash,
    Status.SYSTEM_FAILED: fail_the_system,
}


def test_every_ending_is_tried() -> None:
    assert ENDINGS.keys() == FINISHED


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_parent_goes_on_however_the_child_ends(dsn: str, ending: Status) -> None:
    async def test(project: Project) -> None:
        _, parent, child = await family(project, ttl_secs=1000)
        await ENDINGS[ending](project, child)
        assert status_of(project, child) == ending
        assert status_of(project, parent) == "queued"
        result = {"answer": 42} if ending is Status.COMPLETED else None
        assert heard(project, parent) == [{"run_id": child.run_id, "status": ending, "result": result}]
        assert project.history(parent)[-2:] == ["run.event_received.v1", "run.resumed.v1"]
        await begun(project, parent)

    in_project(test)(dsn)


@in_project
async def test_a_child_that_ends_in_the_group_that_makes_it_is_not_waited_for_for_ever(project: Project) -> None:
    """The parent's wait and the child's end may come to the ledger in one transaction."""
    await project.create_job("child")
    parent = await begun(project, await project.trigger(await project.create_job("parent")))
    child_id = new_id("run")
    spawn = SpawnRun(CONTEXT, parent.run_id, "child", TriggerRequest(child_id), await_completion=True)
    end = CommandRuns(CONTEXT, [(child_id, c.Cancel())])
    await asyncio.gather(project.execute(spawn), project.execute(end))
    assert status_of(project, parent) == "queued"


@in_project
async def test_a_child_that_is_replayed_does_not_wake_its_parent_again(project: Project) -> None:
    _, parent, child = await family(project)
    await dead_letter(project, child)
    await begun(project, parent)
    await project.execute(ReplayDeadLetter(CONTEXT, child.run_id))
    await complete(project, child)
    assert status_of(project, parent) == "executing"
    assert project.history(parent).count("run.event_received.v1") == 1


@in_project
async def test_a_child_that_nobody_waits_for_wakes_nobody(project: Project) -> None:
    await project.create_job("child")
    parent = await begun(project, await project.trigger(await project.create_job("parent")))
    spawned = await project.execute(SpawnRun(CONTEXT, parent.run_id, "child", TriggerRequest(new_id("run"))))
    await project.command(parent, c.Wait())
    await complete(project, spawned.run)
    assert status_of(project, parent) == "waiting"


@in_project
async def test_a_parent_waits_no_longer_than_it_said(project: Project) -> None:
    await project.create_job("child")
    parent = await begun(project, await project.trigger(await project.create_job("parent")))
    spawn = SpawnRun(
        CONTEXT, parent.run_id, "child", TriggerRequest(new_id("run")), await_completion=True, await_timeout_secs=30
    )
    child = (await project.execute(spawn)).run
    await at(project, 31)
    assert status_of(project, parent) == "timed_out"
    await project.command(child, c.Cancel())
    assert status_of(project, parent) == "timed_out"


@in_project
async def test_the_end_of_a_child_that_its_parents_end_brings_about_changes_nothing(project: Project) -> None:
    _, parent, child = await family(project)
    await project.command(parent, c.Cancel())
    assert (status_of(project, parent), status_of(project, child)) == ("canceled", "canceled")
    assert heard(project, parent) == []
