"""The scheduler: what time makes of runs. The ledger's clock is moved, nobody waits."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import psycopg

from runcord.clock import monotonic, utc_now
from runcord.http.credentials import create_project
from runcord.ledger.committer import News
from runcord.ledger.database import service_pool
from runcord.ledger.view import Change
from runcord.queue.heartbeat import renew_lease
from runcord.queue.scheduler import Scheduler
from runcord.run import commands as c
from runcord.run.commands import Claim
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.testing.project import Project, in_project, open_committer, open_project


async def at(project: Project, seconds: float) -> bool:
    """Let the scheduler look `seconds` from now; return whether anything came of it."""
    project.set_time(seconds)
    async with service_pool(project.dsn, 2) as pool:
        return await Scheduler(pool, project.committer).fire()


def run_now(project: Project, run: Run) -> tuple[str, int, str]:
    """Return status, attempt and last event of a run."""
    (row,) = project.rows(
        "select r.status, coalesce((convert_from(state, 'UTF8')::jsonb ->> 'attempt')::int, 1), e.type from runs r "
        "join events e on e.project_id = r.project_id and e.position = r.position where run_id = %s",
        run.run_id,
    )
    return row


@in_project
async def test_a_delayed_run_is_queued_when_it_is_due(project: Project) -> None:
    job = await project.create_job()
    run = await project.trigger(job, delay_secs=60)
    assert not await at(project, 30)
    assert await at(project, 61)
    assert run_now(project, run) == ("queued", 1, "run.enqueued.v1")
    assert not await at(project, 61)


@in_project
async def test_a_run_nobody_takes_expires_counted_from_when_it_was_due(project: Project) -> None:
    job = await project.create_job(run_ttl_secs=100)
    delayed = await project.trigger(job, delay_secs=1000)
    waiting = await project.trigger(job)
    forever = await project.trigger(job, ttl_secs=10_000)
    await at(project, 101)
    assert run_now(project, waiting)[0] == "expired"
    assert run_now(project, delayed)[0] == "delayed"
    await at(project, 1050)
    assert run_now(project, delayed)[0] == "queued"
    await at(project, 1101)
    assert run_now(project, delayed)[0] == "expired"
    assert run_now(project, forever)[0] == "queued"


@in_project
async def test_a_lost_lease_gives_the_run_to_another_worker_as_the_next_attempt(project: Project) -> None:
    job = await project.create_job(retry_initial_delay_secs=0)
    run = await project.trigger(job)
    (lost,) = await project.claim(worker_id="lost", lease_secs=30)
    assert not await at(project, 20)
    assert await at(project, 31)
    assert run_now(project, run) == ("queued", 2, "run.retried.v1")
    (taken,) = await project.claim(worker_id="saver")
    assert (taken.run.run_id, taken.run.attempt, taken.run.fence) == (run.run_id, 2, lost.run.fence + 1)
    assert project.rows("select worker_id from leases") == [("saver",)]


@in_project
async def test_a_heartbeat_keeps_the_lease(project: Project) -> None:
    job = await project.create_job()
    run = await project.trigger(job)
    (claimed,) = await project.claim(lease_secs=30)
    held = Claim(attempt=1, fence=claimed.run.fence)
    pulse = await renew_lease(project.touch, project.project_id, run.run_id, held, 1, 120)
    assert pulse is not None
    late = Claim(attempt=1, fence=claimed.run.fence + 1)
    assert await renew_lease(project.touch, project.project_id, run.run_id, late, 1, 120) is None
    assert not await at(project, 60)
    assert run_now(project, run)[0] == "executing"
    assert await at(project, 130)


@in_project
async def test_the_last_lost_attempt_is_a_crash_and_one_never_begun_a_system_failure(project: Project) -> None:
    job = await project.create_job(max_attempts=1)
    begun, taken = await project.trigger(job), await project.trigger(job)
    await project.claim(lease_secs=5)
    await project.claim(lease_secs=5, start=False)
    await at(project, 6)
    assert run_now(project, begun) == ("crashed", 1, "run.crashed.v1")
    assert run_now(project, taken) == ("system_failed", 1, "run.system_failed.v1")
    assert project.rows("select count(*) from leases") == [(0,)]


@in_project
async def test_an_attempt_that_takes_too_long_is_tried_again_then_timed_out(project: Project) -> None:
    job = await project.create_job(timeout_secs=10, max_attempts=2, retry_initial_delay_secs=0)
    run = await project.trigger(job)
    await project.claim(lease_secs=1000)
    await at(project, 11)
    assert run_now(project, run) == ("queued", 2, "run.retried.v1")
    await project.claim(lease_secs=1000)
    await at(project, 40)
    assert run_now(project, run) == ("timed_out", 2, "run.timed_out.v1")


@in_project
async def test_a_wait_ends_at_its_time(project: Project) -> None:
    job = await project.create_job()
    sleeping, waiting = await project.trigger(job), await project.trigger(job)
    await project.claim(2)
    await project.command(sleeping, c.Wait("rest", until=utc_now() + timedelta(seconds=50)))
    await project.command(waiting, c.WaitForEvent("key", "trig_1", timeout_secs=70))
    assert not await at(project, 49)
    await at(project, 51)
    assert run_now(project, sleeping) == ("queued", 1, "run.resumed.v1")
    await at(project, 71)
    assert run_now(project, waiting)[0] == Status.TIMED_OUT


@in_project
async def test_schedulers_of_two_processes_fire_each_timer_once(project: Project) -> None:
    job = await project.create_job()
    await project.trigger_many(job, [{"delay_secs": 10} for _ in range(250)])
    project.set_time(20)
    async with open_project(project.dsn, project.project_id) as twin, service_pool(project.dsn, 2) as pool:
        each = [Scheduler(pool, one.committer) for one in (project, twin, project, twin)]
        await asyncio.gather(*(scheduler.fire() for scheduler in each))
    assert project.rows("select count(*) from events where type = 'run.enqueued.v1'") == [(250,)]


def test_a_timer_that_is_set_while_the_scheduler_sleeps_is_not_slept_through(dsn: str) -> None:
    schedulers: list[Scheduler] = []

    def committed(project_id: str, position: int, changes: Sequence[Change]) -> list[News]:
        return [schedulers[0].committed(changes)]

    async def test() -> None:
        with psycopg.connect(dsn) as conn:
            create_project(conn, "proj_test", "test")
        committer = open_committer(dsn, on_commit=committed)
        project = Project(dsn, "proj_test", committer)
        async with service_pool(dsn, 2) as pool:
            schedulers.append(Scheduler(pool, committer))
            running = asyncio.create_task(schedulers[0].run())
            try:
                job = await project.create_job()
                for _ in range(4):
                    await project.trigger(job, delay_secs=0.25)
                    await until_enqueued(project)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                committer.close()
        # One that looks once a second would be half a second late in the mean.
        late = project.rows(
            "select extract(epoch from e.recorded_at - t.recorded_at)::float - 0.25 from events e "
            "join events t using (project_id, stream_id) where (e.type, t.type) = "
            "('run.enqueued.v1', 'run.triggered.v1')"
        )
        assert len(late) == 4 and sum(secs for (secs,) in late) / 4 < 0.25, late

    asyncio.run(test())


async def until_enqueued(project: Project) -> None:
    """Return when no run is delayed any more."""
    deadline = monotonic() + 10
    while project.rows("select 1 from runs where status = 'delayed'"):
        assert monotonic() < deadline
        await asyncio.sleep(0.02)


@in_project
async def test_a_run_that_cannot_be_woken_keeps_no_other_asleep(project: Project) -> None:
    job = await project.create_job()
    runs = await project.trigger_many(job, [{"delay_secs": 10} for _ in range(9)])
    with psycopg.connect(project.dsn, autocommit=True) as conn:  # a time that no delay can be counted from
        conn.execute(
            "update runs set state = convert_to(replace(convert_from(state, 'UTF8'), 'due_at\":\"', 'due_at\":\"x'),"
            " 'UTF8') where run_id = %s",
            (runs[4].run.run_id,),
        )
    await at(project, 11)
    assert project.rows("select count(*) from events where type = 'run.enqueued.v1'") == [(8,)]


@in_project
async def test_keys_whose_life_is_over_are_swept_and_others_kept(project: Project) -> None:
    job = await project.create_job()
    await project.trigger(job, idempotency_key="short", fingerprint="f", idempotency_ttl_secs=60)
    await project.trigger(job, idempotency_key="long", fingerprint="f")
    project.set_time(3 * 3600)
    async with service_pool(project.dsn, 1) as pool:
        await Scheduler(pool, project.committer).sweep()
    assert project.rows("select key from idempotency_keys") == [("long",)]
