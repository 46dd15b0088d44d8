"""Triggers of jobs whose settings say more of them: decided under the ledger's lock, exactly."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import orjson
import psycopg
import pytest
from tests.admission.conftest import at_a_standing_clock, fire, move_clock

from runcord.errors import Invalid, JobDisabled, RateLimited, RuncordError
from runcord.handling.admission import Debouncing, Foresight, Keys, foresee
from runcord.handling.descent import ReplayRun
from runcord.handling.job_dependencies import DependOnJob
from runcord.handling.trigger import Triggering, TriggerRequest, TriggerRuns
from runcord.ids import new_id
from runcord.job.state import Job
from runcord.ledger.database import service_pool
from runcord.projecting.time_travel import documents
from runcord.queue.scheduler import Scheduler
from runcord.run import commands as c
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.testing.project import CONTEXT, Project, open_project


async def trigger(
    project: Project,
    job: Job,
    payload: Any = None,
    *,
    key: str = "",
    given: Keys | None = None,
    foresight: Foresight | None = None,
    **request: Any,
) -> Triggering:
    """Trigger as the HTTP API does."""
    one = TriggerRequest(new_id("run"), payload, keys=given or Keys(key, key), **request)
    foreseen = foresee(job.settings) if foresight is None else foresight
    return (await project.execute(TriggerRuns(CONTEXT, job.job_id, [one], foresight=foreseen)))[0]


async def bulk(project: Project, job: Job, *payloads: Any) -> list[Triggering]:
    requests = [TriggerRequest(new_id("run"), payload) for payload in payloads]
    return await project.execute(TriggerRuns(CONTEXT, job.job_id, requests, batch_id=new_id("batch")))


async def taken(project: Project) -> list[Any]:
    """Return the payloads that workers get now, in the queue's order."""
    await fire(project)
    return [None if one.payload is None else orjson.loads(one.payload) for one in await project.claim(100)]


# --- debounce -----------------------------------------------------------------------------------------


@at_a_standing_clock
async def test_of_a_burst_the_last_one_runs_once_the_window_after_it(project: Project) -> None:
    job = await project.create_job(debounce_window_secs=10)
    first = await trigger(project, job, 1)
    assert (first.fate, first.run.status, first.run.triggered_by) == ("debounced", Status.DELAYED, "debounce")
    for payload in (2, 3):
        move_clock(project.dsn, 9)
        assert (await trigger(project, job, payload)).run.run_id == first.run.run_id
    move_clock(project.dsn, 9)
    assert await taken(project) == []
    move_clock(project.dsn, 1)
    assert await taken(project) == [3]
    history = ["run.triggered.v1", "run.debounced.v1", "run.debounced.v1", "run.enqueued.v1"]
    assert project.history(first.run)[:4] == history
    assert project.rows("select count(*) from trigger_windows") == [(0,)]


@at_a_standing_clock
async def test_a_trigger_may_bring_a_debounce_window_of_its_own(project: Project) -> None:
    job = await project.create_job(batch_window_secs=60)
    leading, trailing = (Keys("k", "k", Debouncing(10, mode)) for mode in ("leading", "trailing"))
    first, second, third, fourth = [
        await trigger(project, job, payload, given=given)
        for payload, given in ((1, leading), (2, leading), (3, trailing), (4, leading))
    ]
    assert len({one.run.run_id for one in (first, second, third, fourth)}) == 1
    assert [one.is_postponed for one in (first, second, third, fourth)] == [False, True, False, True]
    assert project.history(first.run) == [
        "run.triggered.v1",
        "run.postponed.v1",
        "run.debounced.v1",
        "run.postponed.v1",
    ]
    batched = await trigger(project, job, 5, key="k")
    assert batched.fate == "buffered"
    move_clock(project.dsn, 10)
    assert await taken(project) == [3]


@at_a_standing_clock
async def test_a_delay_of_the_first_trigger_and_a_parent_go_with_a_window_of_its_own(project: Project) -> None:
    job = await project.create_job()
    parent = await project.trigger(job)
    given = Keys("k", debouncing=Debouncing(10))
    first = await trigger(project, job, 1, given=given, delay_secs=60, parent_run_id=parent.run_id)
    second = await trigger(project, job, 2, given=given, delay_secs=600)
    assert (second.run.run_id, second.run.due_at, second.run.parent_run_id) == (
        first.run.run_id,
        first.run.created_at + timedelta(seconds=60),
        parent.run_id,
    )
    upstream = await project.create_job("upstream")
    depends = DependOnJob(CONTEXT, job.job_id, new_id("ver"), new_id("dep"), upstream.job_id, "completed")
    await project.execute(depends)
    with pytest.raises(Invalid, match="the job has dependencies"):
        await trigger(project, job, 3, given=given)


@at_a_standing_clock
async def test_racing_triggers_of_two_servers_that_bring_a_window_make_one_run(project: Project) -> None:
    job = await project.create_job(rate_limit_max=40, rate_limit_window_secs=10)
    given = Keys("k", debouncing=Debouncing(10, "leading"))
    async with open_project(project.dsn) as twin:
        made = await asyncio.gather(
            *(trigger((project, twin)[n % 2], job, n, given=given) for n in range(41)), return_exceptions=True
        )
    refused = [one for one in made if isinstance(one, RateLimited)]
    (run_id,) = {one.run.run_id for one in made if isinstance(one, Triggering)}
    assert len(refused) == 1
    assert project.rows("select count(*) from events where stream_id = %s", run_id) == [(40,)]
    move_clock(project.dsn, 10)
    assert len(await taken(project)) == 1


@at_a_standing_clock
async def test_a_payload_that_only_put_a_run_off_is_not_found(project: Project) -> None:
    job = await project.create_job(dedup_window_secs=100)
    given = Keys("k", debouncing=Debouncing(10, "leading"))
    made = [await trigger(project, job, payload, given=given) for payload in (1, 2, 1, 2)]
    assert [one.fate for one in made] == ["debounced", "debounced", "deduplicated", "debounced"]
    move_clock(project.dsn, 10)
    assert await taken(project) == [1]
    assert (await trigger(project, job, 2)).fate == "triggered"


@at_a_standing_clock
async def test_keys_have_windows_of_their_own(project: Project) -> None:
    job, other = (
        await project.create_job(debounce_window_secs=10),
        await project.create_job("b", debounce_window_secs=5),
    )
    made = [
        await trigger(project, *what, key=key)
        for what, key in (((job, 1), "a"), ((job, 2), "b"), ((job, 3), "a"), ((other, 4), "a"))
    ]
    assert len({one.run.run_id for one in made}) == 3
    move_clock(project.dsn, 10)
    assert sorted(await taken(project)) == [2, 3, 4]


@at_a_standing_clock
async def test_a_window_whose_time_is_up_takes_nothing_more_though_nobody_fired_it_yet(project: Project) -> None:
    job = await project.create_job(debounce_window_secs=10)
    first = await trigger(project, job, 1)
    move_clock(project.dsn, 10)
    second = await trigger(project, job, 2)
    assert second.run.run_id != first.run.run_id
    assert await taken(project) == [1]
    # The first one's end has left the second one's window alone.
    third = await trigger(project, job, 3)
    assert third.run.run_id == second.run.run_id


@at_a_standing_clock
async def test_a_debounced_run_is_queued_as_its_last_trigger_wants(project: Project) -> None:
    job = await project.create_job(debounce_window_secs=10, max_concurrency_per_key=1)
    await trigger(project, job, 1, concurrency_key="x")
    job = await project.update_job(job, queue_name="other")
    run = (await trigger(project, job, 2, concurrency_key="y", priority=4)).run
    rows = project.rows("select queue, concurrency_key, priority from runs")
    assert rows == [("other", "y", 4)]
    assert (run.job_version, run.payload_version) == (2, 2)


@at_a_standing_clock
async def test_a_cancelled_run_gathers_nothing(project: Project) -> None:
    job = await project.create_job(debounce_window_secs=10)
    first = await trigger(project, job, 1)
    canceled, second = await asyncio.gather(project.command(first.run, c.Cancel()), trigger(project, job, 2))
    assert (canceled.status, second.run.run_id != first.run.run_id) == (Status.CANCELED, True)
    move_clock(project.dsn, 10)
    assert await taken(project) == [2]


@at_a_standing_clock
async def test_a_repeated_debounced_trigger_does_not_undo_a_later_one(project: Project) -> None:
    job = await project.create_job(debounce_window_secs=10)
    for payload in (1, 2):
        await trigger(project, job, payload, idempotency_key=f"k{payload}", fingerprint="f")
        move_clock(project.dsn, 5)
    again = await trigger(project, job, 1, idempotency_key="k1", fingerprint="f")
    assert again.idempotency_hit
    move_clock(project.dsn, 5)
    assert await taken(project) == [2]
    reset = await project.command(again.run, c.ResetIdempotency())
    assert reset.idempotency_key is None
    assert project.rows("select key from idempotency_keys order by key") == [("k1",)]


@at_a_standing_clock
async def test_many_callers_on_two_servers_debounce_to_one_run(project: Project) -> None:
    job = await project.create_job(debounce_window_secs=10)
    async with open_project(project.dsn, project.project_id) as twin:
        made = await asyncio.gather(*(trigger((project, twin)[n % 2], job, n) for n in range(60)))
    assert len({one.run.run_id for one in made}) == 1
    counts = Counter(project.history(made[0].run))
    assert counts == {"run.triggered.v1": 1, "run.debounced.v1": 59}
    last = max(made, key=lambda one: one.run.version)
    move_clock(project.dsn, 10)
    assert await taken(project) == [last.payload]


# --- batches ------------------------------------------------------------------------------------------


@at_a_standing_clock
async def test_a_batch_runs_when_its_window_ends_with_all_it_has_gathered(project: Project) -> None:
    job = await project.create_job(batch_window_secs=10)
    made = [await trigger(project, job, {"n": n}) for n in range(3)]
    assert [one.fate for one in made] == ["buffered"] * 3
    assert made[0].run.triggered_by == "batch"
    move_clock(project.dsn, 10)
    assert await taken(project) == [{"items": [{"n": 0}, {"n": 1}, {"n": 2}]}]


@at_a_standing_clock
async def test_a_full_batch_runs_at_once(project: Project) -> None:
    job = await project.create_job(batch_window_secs=10, batch_max_size=3)
    made = [await trigger(project, job, n) for n in range(7)]
    assert [one.fate for one in made] == [*["buffered", "buffered", "batched"] * 2, "buffered"]
    assert made[2].run.status is Status.QUEUED
    assert await taken(project) == [{"items": [0, 1, 2]}, {"items": [3, 4, 5]}]
    assert project.rows("select count(*) from trigger_windows") == [(1,)]
    alone = await project.create_job("alone", batch_window_secs=10, batch_max_size=1)
    assert (await trigger(project, alone, 9)).fate == "batched"
    assert await taken(project) == [{"items": [9]}]


@at_a_standing_clock
async def test_a_batch_takes_each_payload_once_however_many_send_at_once(project: Project) -> None:
    job = await project.create_job(batch_window_secs=10, batch_max_size=7)
    async with open_project(project.dsn, project.project_id) as twin:
        await asyncio.gather(*(trigger((project, twin)[n % 2], job, n) for n in range(100)))
    move_clock(project.dsn, 10)
    batches = [payload["items"] for payload in await taken(project)]
    assert sorted(len(batch) for batch in batches) == [2, *[7] * 14]
    assert sorted(n for batch in batches for n in batch) == list(range(100))


@at_a_standing_clock
async def test_a_batch_can_be_read_as_it_was_and_be_replayed(project: Project) -> None:
    job = await project.create_job(batch_window_secs=10)
    versions = [(await trigger(project, job, text)).run for text in ("ä", None, [1, 2])]
    async with service_pool(project.dsn, 1) as pool:

        async def read(statement: bytes, params: Any) -> list[Any]:
            async with pool.connection() as conn:
                return await (await conn.execute(statement, params)).fetchall()

        found = [(await documents(read, project.project_id, run)).payload for run in versions]
    expected = [{"items": ["ä", None, [1, 2]][: n + 1]} for n in range(3)]
    assert [orjson.loads(payload or b"") for payload in found] == expected
    assert [bytes(row[0]) for row in project.rows("select payload from runs")] == [found[-1]]
    canceled = await project.command(versions[-1], c.Cancel())
    again = await project.execute(ReplayRun(CONTEXT, canceled.run_id, new_id("run")))
    assert again.payload == expected[-1]


@at_a_standing_clock
async def test_a_batch_that_grows_large_runs_before_its_time(project: Project) -> None:
    job = await project.create_job(batch_window_secs=10)
    half = "x" * 600_000
    assert [(await trigger(project, job, half)).fate for _ in range(3)] == ["buffered", "batched", "buffered"]
    assert await taken(project) == [{"items": [half, half]}]


# --- the same payload ---------------------------------------------------------------------------------


@at_a_standing_clock
async def test_the_same_payload_finds_its_run_for_a_while_whatever_became_of_it(project: Project) -> None:
    job = await project.create_job(dedup_window_secs=10)
    first = await trigger(project, job, {"a": 1, "b": 2})
    await project.command(first.run, c.Cancel())
    move_clock(project.dsn, 9.999)
    again = await trigger(project, job, {"b": 2, "a": 1})
    assert (again.fate, again.run.run_id, again.run.status) == ("deduplicated", first.run.run_id, Status.CANCELED)
    assert (await trigger(project, job, {"a": 1})).fate == "triggered"
    move_clock(project.dsn, 0.001)
    assert (await trigger(project, job, {"a": 1, "b": 2})).fate == "triggered"


@at_a_standing_clock
async def test_the_same_payload_at_once_is_one_run_also_inside_one_call(project: Project) -> None:
    job = await project.create_job(dedup_window_secs=10)
    async with open_project(project.dsn, project.project_id) as twin:
        made = await asyncio.gather(*(trigger((project, twin)[n % 2], job, "same") for n in range(40)))
    assert len({one.run.run_id for one in made}) == 1
    assert Counter(one.fate for one in made) == {"deduplicated": 39, "triggered": 1}
    assert [one.fate for one in await bulk(project, job, 1, "same", 1)] == ["triggered", "deduplicated", "deduplicated"]
    assert project.rows("select count(*) from runs") == [(2,)]


@at_a_standing_clock
async def test_a_payload_that_a_later_trigger_has_replaced_is_not_found(project: Project) -> None:
    job = await project.create_job(dedup_window_secs=100, debounce_window_secs=10)
    made = [(await trigger(project, job, payload)).fate for payload in (1, 1, 2, 1)]
    assert made == ["debounced", "deduplicated", "debounced", "debounced"]
    move_clock(project.dsn, 10)
    assert await taken(project) == [1]
    assert (await trigger(project, job, 1)).fate == "deduplicated"


# --- rates --------------------------------------------------------------------------------------------


@at_a_standing_clock
async def test_a_rate_limit_holds_in_every_span(project: Project) -> None:
    job = await project.create_job(rate_limit_max=3, rate_limit_window_secs=10)
    await trigger(project, job)
    move_clock(project.dsn, 6)
    await bulk(project, job, 1, 2)
    with pytest.raises(RateLimited) as refused:
        await trigger(project, job)
    assert (refused.value.limit, refused.value.remaining, refused.value.retry_after_secs) == (3, 0, 4)
    move_clock(project.dsn, 4)
    await trigger(project, job)
    with pytest.raises(RateLimited) as refused:
        await trigger(project, job)
    assert refused.value.retry_after_secs == 6
    assert project.rows("select count(*) from runs") == [(4,)]


@at_a_standing_clock
async def test_a_call_for_several_runs_gets_all_or_none(project: Project) -> None:
    job = await project.create_job(rate_limit_max=5, rate_limit_window_secs=10)
    await bulk(project, job, 1)
    move_clock(project.dsn, 1)
    await bulk(project, job, 2)
    move_clock(project.dsn, 1)
    await bulk(project, job, 3)
    with pytest.raises(RateLimited) as refused:
        await bulk(project, job, 4, 5, 6, 7)
    # Two of the three have to leave: the second one does so at 11.
    assert (refused.value.remaining, refused.value.retry_after_secs) == (2, 9)
    with pytest.raises(Invalid, match="no more than that in one call"):
        move_clock(project.dsn, 100)
        await bulk(project, job, *range(6))
    assert project.rows("select count(*) from runs") == [(3,)]
    assert len(await bulk(project, job, *range(5))) == 5


@at_a_standing_clock
async def test_a_rate_limit_is_exact_for_many_callers_on_two_servers(project: Project) -> None:
    job = await project.create_job(rate_limit_max=30, rate_limit_window_secs=10)
    async with open_project(project.dsn, project.project_id) as twin:
        for _ in range(2):
            outcomes = await asyncio.gather(
                *(trigger((project, twin)[n % 2], job, n) for n in range(80)), return_exceptions=True
            )
            assert Counter(type(outcome) for outcome in outcomes) == {Triggering: 30, RateLimited: 50}
            move_clock(project.dsn, 10)
    assert project.rows("select count(*) from runs") == [(60,)]


@at_a_standing_clock
async def test_what_makes_no_run_is_not_counted(project: Project) -> None:
    job = await project.create_job(rate_limit_max=2, rate_limit_window_secs=10, dedup_window_secs=100)
    request = {"idempotency_key": "k", "fingerprint": "f"}
    for _ in range(3):
        await trigger(project, job, 1, **request)
        await trigger(project, job, 1)
    assert (await trigger(project, job, 2)).fate == "triggered"
    with pytest.raises(RateLimited):
        await trigger(project, job, 3)
    assert (await trigger(project, job, 2)).fate == "deduplicated"


@at_a_standing_clock
async def test_a_refused_call_takes_no_room(project: Project) -> None:
    job = await project.create_job(rate_limit_max=1, rate_limit_window_secs=10, debounce_window_secs=5)
    outcomes = await asyncio.gather(
        trigger(project, job, 1, delay_secs=60), trigger(project, job, 2), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Invalid, Triggering]
    with pytest.raises(RateLimited):
        await trigger(project, job, 3)


@at_a_standing_clock
async def test_schedules_have_their_own_pace(project: Project) -> None:
    job = await project.create_job(rate_limit_max=1, rate_limit_window_secs=10, debounce_window_secs=5)
    for _ in range(2):
        request = TriggerRequest(new_id("run"), keys=Keys())
        (made,) = await project.execute(TriggerRuns(CONTEXT, job.job_id, [request], triggered_by="cron"))
        assert made.run.status is Status.QUEUED


# --- all of it ----------------------------------------------------------------------------------------


@at_a_standing_clock
async def test_what_was_not_foreseen_is_looked_up_all_the_same(project: Project) -> None:
    job = await project.create_job(debounce_window_secs=10, dedup_window_secs=100)
    fates = [(await trigger(project, job, n, foresight=Foresight())).fate for n in (1, 2, 2)]
    assert fates == ["debounced", "debounced", "deduplicated"]
    plain = await project.create_job("plain")
    wrong = Foresight("batch", payloads=True)
    assert [(await trigger(project, plain, 1, foresight=wrong)).fate for _ in range(2)] == ["triggered", "triggered"]


@at_a_standing_clock
async def test_jobs_without_such_settings_leave_nothing_behind(project: Project) -> None:
    job = await project.create_job(debounce_window_secs=0, rate_limit_max=0, rate_limit_window_secs=0)
    run: Run = (await trigger(project, job, 1, key="k")).run
    assert run.status is Status.QUEUED
    for table in ("trigger_windows", "recent_payloads", "trigger_counts"):
        assert project.rows(f"select count(*) from {table}") == [(0,)]
    assert (
        project.rows("select data from event_log where stream_id = %s", run.run_id)[0][0]
        .keys()
        .isdisjoint({"admission"})
    )


@at_a_standing_clock
async def test_a_disabled_job_gathers_nothing_and_lets_go_what_it_has(project: Project) -> None:
    job = await project.create_job(batch_window_secs=10)
    await trigger(project, job, 1)
    await project.update_job(job, enabled=False)
    with pytest.raises(JobDisabled):
        await trigger(project, job, 2)
    await project.update_job(job, enabled=True)
    move_clock(project.dsn, 10)
    assert await taken(project) == [{"items": [1]}]


@at_a_standing_clock
async def test_what_is_over_is_swept_and_the_rest_kept(project: Project) -> None:
    job = await project.create_job(dedup_window_secs=50, rate_limit_max=2, rate_limit_window_secs=10)
    await trigger(project, job, 1)
    move_clock(project.dsn, 11)
    await trigger(project, job, 2)
    async with service_pool(project.dsn, 1) as pool:
        await Scheduler(pool, project.committer).sweep()
        counted = project.rows("select count, total from trigger_counts")
        move_clock(project.dsn, 40)
        await Scheduler(pool, project.committer).sweep()
    assert (counted, project.rows("select count(*) from recent_payloads")) == ([(1, 2)], [(1,)])
    assert (await trigger(project, job, 2)).fate == "deduplicated"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"debounce_window_secs": 1, "batch_window_secs": 1}, "not both"),
        ({"rate_limit_max": 1}, "needs both"),
        ({"rate_limit_window_secs": 1}, "needs both"),
        ({"batch_max_size": 1}, "needs batch_window_secs"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(dsn: str, settings: dict[str, int], problem: str) -> None:
    async def test() -> None:
        async with open_project(dsn) as project:
            with pytest.raises(Invalid, match=problem):
                await project.create_job(**settings)
            job = await project.create_job()
            with pytest.raises(Invalid, match=problem):
                await project.update_job(job, **settings)
            assert project.rows("select max(version) from jobs") == [(1,)]
            await project.update_job(job, **dict.fromkeys(settings), name="x")

    asyncio.run(test())


def test_a_failed_transaction_leaves_counts_and_windows_as_they_were(dsn: str) -> None:
    """The database refuses the group of which these triggers are part: each is then executed again on its own."""

    async def test() -> None:
        async with open_project(dsn) as project:
            limited = await project.create_job(rate_limit_max=5, rate_limit_window_secs=1000)
            batching = await project.create_job("b", batch_window_secs=1000)
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute("alter table runs add check (priority < 9)")
            outcomes: list[Triggering | RuncordError | BaseException] = await asyncio.gather(
                *(trigger(project, job, n, priority=9 * (n == 3)) for n in range(6) for job in (limited, batching)),
                return_exceptions=True,
            )
            assert sum(isinstance(outcome, BaseException) for outcome in outcomes) == 2
            assert project.rows("select sum(count), max(total) from trigger_counts") == [(5, 5)]
            (payload,) = project.rows("select payload from runs where status = 'delayed'")
            assert sorted(orjson.loads(payload[0])["items"]) == [0, 1, 2, 4, 5]

    asyncio.run(test())


@at_a_standing_clock
async def test_a_job_has_either_dependencies_or_a_window(project: Project) -> None:
    upstream, job = await project.create_job("up"), await project.create_job(debounce_window_secs=1)
    depends = DependOnJob(CONTEXT, job.job_id, new_id("ver"), new_id("dep"), upstream.job_id, "completed")
    with pytest.raises(Invalid, match="not both"):
        await project.execute(depends)
    job = await project.update_job(job, debounce_window_secs=None, rate_limit_max=1, rate_limit_window_secs=1)
    await project.execute(depends)
    with pytest.raises(Invalid, match="not both"):
        await project.update_job(job, batch_window_secs=1)
    assert (await trigger(project, job)).run.status is Status.WAITING
