"""Claims: the queue's order, exact limits, and one worker to an attempt."""

import asyncio
from datetime import timedelta

import pytest

from runcord.clock import utc_now
from runcord.errors import NoFreeSlot
from runcord.queue.claims import Selection
from runcord.queue.resumption import ResumeRun
from runcord.run import commands as c
from runcord.run.events import Failure
from runcord.run.status import Status
from runcord.testing.project import CONTEXT, Project, in_project


@in_project
async def test_the_queue_gives_high_priority_first_then_the_longest_due(project: Project) -> None:
    job, other = await project.create_job("one"), await project.create_job("two")
    late = await project.trigger(job, priority=0)
    high = await project.trigger(other, priority=7)
    higher = await project.trigger(job, priority=9)
    last = await project.trigger(other, priority=0)
    claimed = await project.claim(10)
    assert [each.run.run_id for each in claimed] == [run.run_id for run in (higher, high, late, last)]


@in_project
async def test_runs_of_one_append_are_claimed_in_the_order_of_their_positions(project: Project) -> None:
    job = await project.create_job()
    made = await project.trigger_many(job, [{"payload": {"n": n}} for n in range(200)])
    claimed = [each for _ in range(4) for each in await project.claim(50)]
    assert [each.run.run_id for each in claimed] == [each.run.run_id for each in made]
    assert claimed[7].payload == b'{"n":7}'


@in_project
async def test_no_attempt_is_given_to_two_workers(project: Project) -> None:
    job = await project.create_job()
    await project.trigger_many(job, [{} for _ in range(300)])
    claims = await asyncio.gather(*(project.claim(7, worker_id=f"w{n}") for n in range(60)))
    ids = [each.run.run_id for claim in claims for each in claim]
    assert len(ids) == len(set(ids)) == 300
    assert project.rows("select count(*) from leases") == [(300,)]


@in_project
async def test_a_jobs_limit_is_never_exceeded_and_never_left_unused(project: Project) -> None:
    job = await project.create_job(max_concurrency=5)
    free = await project.create_job("free")
    await project.trigger_many(job, [{"priority": 5} for _ in range(50)])
    await project.trigger_many(free, [{} for _ in range(3)])
    claims = await asyncio.gather(*(project.claim(4, worker_id=f"w{n}") for n in range(10)))
    claimed = [each.run for claim in claims for each in claim]
    assert sorted([run.job_slug for run in claimed]) == ["free"] * 3 + ["job"] * 5
    limited = [run for run in claimed if run.job_slug == "job"]
    await asyncio.gather(*(project.command(run, c.Complete()) for run in limited[:3]))
    assert len(await project.claim(10)) == 3


@in_project
async def test_a_concurrency_keys_limit_counts_each_key_of_each_job_by_itself(project: Project) -> None:
    job = await project.create_job(max_concurrency_per_key=2)
    twin = await project.create_job("twin", max_concurrency_per_key=1)
    await project.trigger_many(job, [{"concurrency_key": "a"} for _ in range(20)])
    await project.trigger_many(job, [{"concurrency_key": "b"} for _ in range(3)])
    await project.trigger_many(job, [{} for _ in range(2)])
    await project.trigger_many(twin, [{"concurrency_key": "a"} for _ in range(3)])
    claims = await asyncio.gather(*(project.claim(3, worker_id=f"w{n}") for n in range(8)))
    taken = sorted((each.run.job_slug, each.run.concurrency_key or "") for claim in claims for each in claim)
    assert taken == [("job", "")] * 2 + [("job", "a")] * 2 + [("job", "b")] * 2 + [("twin", "a")]
    assert await project.claim(10) == []


@in_project
async def test_a_limit_is_that_of_the_job_as_it_is_now(project: Project) -> None:
    job = await project.create_job(max_concurrency=1)
    await project.trigger_many(job, [{} for _ in range(5)])
    assert len(await project.claim(5)) == 1
    await project.update_job(job, max_concurrency=3)
    assert len(await project.claim(5)) == 2
    await project.update_job(job, max_concurrency=None)
    assert len(await project.claim(5)) == 2


@in_project
async def test_a_disabled_job_keeps_its_runs_in_the_queue(project: Project) -> None:
    job = await project.create_job()
    await project.trigger(job)
    await project.update_job(job, enabled=False)
    assert await project.claim(5) == []
    await project.update_job(job, enabled=True)
    assert len(await project.claim(5)) == 1


@in_project
async def test_a_worker_takes_only_of_the_jobs_and_queues_that_it_names(project: Project) -> None:
    one, two = await project.create_job("one"), await project.create_job("two", queue_name="slow")
    first, second = await project.trigger(one), await project.trigger(two)
    assert await project.claim(5, selection=Selection(job_ids=("job_unknown",))) == []
    (taken,) = await project.claim(5, selection=Selection(queues=("slow",)))
    assert taken.run.run_id == second.run_id
    (taken,) = await project.claim(5, selection=Selection(job_ids=(one.job_id,), queues=("default",)))
    assert taken.run.run_id == first.run_id


@in_project
async def test_a_named_run_is_claimed_ahead_of_the_queue_but_not_past_a_limit(project: Project) -> None:
    job = await project.create_job(max_concurrency=1)
    await project.trigger(job, priority=9)
    wanted = await project.trigger(job)
    (taken,) = await project.claim(run_id=wanted.run_id)
    assert taken.run.run_id == wanted.run_id
    other = await project.trigger(job)
    assert await project.claim(run_id=other.run_id) == []
    assert await project.claim(run_id="run_unknown") == []


@in_project
async def test_a_run_that_is_not_due_is_not_claimed(project: Project) -> None:
    job = await project.create_job(retry_initial_delay_secs=60)
    delayed = await project.trigger(job, scheduled_at=utc_now() + timedelta(hours=1))
    retried = await project.trigger(job)
    await project.claim()
    after = await project.command(retried, c.Fail(Failure("no")))
    assert (delayed.status, after.status, after.attempt) == (Status.DELAYED, Status.QUEUED, 2)
    assert await project.claim(5) == []


@in_project
async def test_many_claims_that_select_differently_share_the_queue(project: Project) -> None:
    one, two = await project.create_job("one"), await project.create_job("two")
    await project.trigger_many(one, [{} for _ in range(30)])
    await project.trigger_many(two, [{} for _ in range(30)])
    selections = [
        None,
        Selection(job_ids=(one.job_id,)),
        Selection(job_ids=(two.job_id,)),
        Selection(queues=("default",)),
    ]
    claims = await asyncio.gather(*(project.claim(2, selection=selections[n % 4]) for n in range(40)))
    ids = [each.run.run_id for claim in claims for each in claim]
    assert len(ids) == len(set(ids)) == 60


@pytest.mark.parametrize(
    ("policy", "compatible", "expected"),
    [("pin", True, 1), ("latest", False, 2), ("minor", True, 2), ("minor", False, 1)],
)
def test_a_run_follows_its_job_as_the_version_policy_says(
    dsn: str, policy: str, compatible: bool, expected: int
) -> None:
    @in_project
    async def test(project: Project) -> None:
        job = await project.create_job(version_policy=policy, max_attempts=3)
        await project.trigger(job)
        await project.update_job(job, max_attempts=9, backwards_compatible=compatible)
        (taken,) = await project.claim()
        assert taken.run.job_version == expected
        assert taken.run.policy.max_attempts == (9 if expected == 2 else 3)

    test(dsn)


@in_project
async def test_a_worker_that_asks_for_more_than_there_is_gets_what_there_is(project: Project) -> None:
    job = await project.create_job()
    assert await project.claim(1000) == []
    await project.trigger_many(job, [{} for _ in range(3)])
    assert len(await project.claim(1000, start=False)) == 3
    assert project.rows("select distinct status from runs") == [("dequeued",)]


@in_project
async def test_a_run_that_goes_on_after_a_wait_takes_a_slot_if_there_is_one(project: Project) -> None:
    job = await project.create_job(max_concurrency=1)
    first, second = await project.trigger(job), await project.trigger(job)
    await project.claim()
    await project.command(first, c.Wait())
    await project.claim()
    with pytest.raises(NoFreeSlot):
        await project.execute(ResumeRun(CONTEXT, first.run_id, c.ResumeWork()))
    await project.command(second, c.Complete())
    resumed = await project.execute(ResumeRun(CONTEXT, first.run_id, c.ResumeWork()))
    assert resumed.run.status == Status.EXECUTING
    assert await project.claim() == []


@in_project
async def test_a_run_whose_time_to_live_is_over_is_not_claimed_though_nobody_has_swept_it(project: Project) -> None:
    job = await project.create_job(run_ttl_secs=0.001)
    run = await project.trigger(job)
    await project.trigger(job, ttl_secs=600)
    (taken,) = await project.claim(5)
    assert taken.run.run_id != run.run_id
    assert await project.claim(run_id=run.run_id) == []


@in_project
async def test_runs_are_claimed_and_retried_though_the_clock_was_set_back(project: Project) -> None:
    job = await project.create_job()
    project.set_time(3600)
    before = await project.trigger(job)
    project.set_time(0)
    after = await project.trigger(job)
    assert [each.run.run_id for each in await project.claim(1)] == [before.run_id]
    named = await project.claim(1, run_id=after.run_id)
    assert [each.run.run_id for each in named] == [after.run_id]
    ended = await project.command(named[0].run, c.Complete({}))
    assert ended.status is Status.COMPLETED


@in_project
async def test_runs_that_are_pushed_are_pulled_by_those_alone_who_ask_for_them(project: Project) -> None:
    pushed = await project.create_job("pushed", endpoint_url="https://example.com/")
    pulled = await project.create_job("pulled", endpoint_url="https://example.com/", execution_mode="worker")
    first, second = await project.trigger(pushed), await project.trigger(pushed)
    third = await project.trigger(pulled)
    assert [each.run.run_id for each in await project.claim(10)] == [third.run_id]
    assert [each.run.run_id for each in await project.claim(run_id=second.run_id)] == [second.run_id]
    named = await project.claim(10, selection=Selection(job_ids=(pushed.job_id,)))
    assert [each.run.run_id for each in named] == [first.run_id]


@in_project
async def test_a_job_that_loses_its_endpoint_is_pulled(project: Project) -> None:
    job = await project.create_job(endpoint_url="https://example.com/")
    run = await project.trigger(job)
    assert await project.claim() == []
    await project.update_job(job, endpoint_url=None)
    assert [each.run.run_id for each in await project.claim()] == [run.run_id]
