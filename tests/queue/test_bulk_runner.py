"""The bulk runner: each run of an operation is acted on once, whoever works on it and whatever happens meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from unittest.mock import patch

import psycopg
import pytest
from tests.queue.test_bulk_targets import reading

from runcord.bulk.commands import CancelBulk, RequestBulk
from runcord.bulk.events import BulkRequested
from runcord.bulk.selection import Action, RunFilter, filter_for
from runcord.bulk.state import BulkOperation
from runcord.clock import monotonic
from runcord.errors import TooManyRuns
from runcord.handling.bulk import CANCEL_REASON, AdvanceBulk, Chunk, CommandBulk, Target
from runcord.handling.descent import SpawnRun
from runcord.handling.trigger import TriggerRequest
from runcord.http.credentials import create_project
from runcord.ids import new_id
from runcord.ledger.committer import News
from runcord.ledger.database import reader_pool
from runcord.ledger.transaction import Context
from runcord.ledger.view import Change
from runcord.projecting import bulk_results
from runcord.projecting.bulk_results import touched
from runcord.queue import bulk_runner
from runcord.queue.bulk_runner import BulkRunner
from runcord.run import commands as c
from runcord.run.events import Failure
from runcord.run.state import Run
from runcord.testing.project import CONTEXT, Project, in_project, open_committer, open_project
from runcord_projections.bulk_view.projection import CODEC

DEADLINE_SECS = 20.0


async def request(
    project: Project,
    action: Action,
    runs: RunFilter | Sequence[str] | None = None,
    *,
    limit: int | None = None,
    any_status: bool = False,
) -> BulkOperation:
    """Ask for an operation on runs of a filter, or on those named."""
    chosen = filter_for(action) if runs is None else runs
    is_filter = isinstance(chosen, RunFilter)
    facts = BulkRequested(
        action,
        run_ids=None if is_filter else tuple(chosen),
        filter=chosen if is_filter else None,
        limit=limit,
        any_status=any_status,
    )
    context = Context("apikey:k", "req_1")
    return await project.execute(CommandBulk(context, new_id("bulk"), RequestBulk(facts)))


@contextlib.asynccontextmanager
async def runner_of(project: Project) -> AsyncGenerator[BulkRunner]:
    async with reader_pool(project.dsn, 2) as pool:
        yield BulkRunner(pool, project.committer)


async def carry_out(project: Project, operation: BulkOperation) -> BulkOperation:
    """Carry an operation out, as one process would."""
    async with runner_of(project) as runner:
        while operation.is_active:
            operation = await runner.step(project.project_id, operation)
    assert CODEC.encode(operation) == CODEC.encode(stored(project, operation))
    return operation


def stored(project: Project, operation: BulkOperation) -> BulkOperation:
    """Return the operation as the view has it."""
    ((state,),) = project.rows("select state from bulk_operations where operation_id = %s", operation.operation_id)
    return CODEC.decode(state)


async def until_ended(project: Project, operation: BulkOperation) -> BulkOperation:
    """Return the operation as soon as it has ended."""
    deadline = monotonic() + DEADLINE_SECS
    while (now := stored(project, operation)).is_active:
        assert monotonic() < deadline, now
        await asyncio.sleep(0.02)
    return now


def statuses(project: Project) -> dict[str, int]:
    """Return how many runs have each status."""
    return dict(project.rows("select status, count(*) from runs group by 1"))


def counts(operation: BulkOperation) -> tuple[int | None, int, int, int]:
    return operation.total, operation.succeeded, operation.skipped, operation.failed


async def dead_letters(project: Project, count: int) -> list[Run]:
    """Return that many dead letters of a new job."""
    job = await project.create_job("dead", max_attempts=1)
    await project.trigger_many(job, [{"payload": n} for n in range(count)])
    return [
        await project.command(claimed.run, c.Fail(Failure("no"))) for claimed in await project.claim(count, start=True)
    ]


@in_project
async def test_a_filter_is_worked_off_in_chunks_and_nothing_else_is_touched(project: Project) -> None:
    job, other = await project.create_job("job"), await project.create_job("other")
    await project.trigger_many(job, [{}] * 250)
    await project.trigger_many(other, [{}] * 10)
    operation = await request(project, "cancel", filter_for("cancel", job_id=job.job_id))
    await project.trigger_many(job, [{}] * 5)
    ended = await carry_out(project, operation)
    assert (ended.status, *counts(ended)) == ("completed", 250, 250, 0, 0)
    assert statuses(project) == {"canceled": 250, "queued": 15}
    assert project.rows("select count(*) from events where type = 'bulk.advanced.v1'") == [(3,)]


@in_project
async def test_what_comes_of_an_operation_says_who_asked_and_because_of_what(project: Project) -> None:
    job = await project.create_job()
    run = await project.trigger(job)
    operation = await carry_out(project, await request(project, "cancel", [run.run_id]))
    said = project.rows(
        "select type, convert_from(metadata, 'UTF8')::jsonb from events where type ~ 'canceled|bulk' order by position"
    )
    whole = {"actor": "apikey:k", "request_id": "req_1", "causation": operation.operation_id}
    assert [type_name for type_name, _ in said] == [
        "bulk.requested.v1",
        "bulk.started.v1",
        "run.canceled.v1",
        "bulk.advanced.v1",
        "bulk.completed.v1",
    ]
    assert [metadata for _, metadata in said[1:]] == [whole] * 4


@in_project
async def test_a_run_that_refuses_leaves_nothing_behind_and_keeps_none_from_its_turn(project: Project) -> None:
    runs = await dead_letters(project, 6)
    gone = await project.create_job("gone", max_attempts=1)
    await project.trigger(gone)
    (claimed,) = await project.claim()
    lost = await project.command(claimed.run, c.Fail(Failure("no")))
    await project.update_job(gone, enabled=False)
    await project.command(runs[2], c.ReplayDeadLetter())
    names = [runs[0].run_id, runs[2].run_id, "run_nothing", lost.run_id, runs[5].run_id, "job_x"]
    ended = await carry_out(project, await request(project, "dlq_replay", names))
    assert counts(ended) == (6, 2, 1, 3)
    assert [(o.run_id, o.result, o.code) for o in ended.errors] == [
        (runs[2].run_id, "skipped", "illegal_transition"),
        ("run_nothing", "failed", "run_not_found"),
        (lost.run_id, "failed", "job_disabled"),
        ("job_x", "failed", "run_not_found"),
    ]
    assert project.history(lost)[-1] == "run.dead_lettered.v1"
    assert project.history(runs[0])[-2:] == ["run.replay_staged.v1", "run.dead_letter_replayed.v1"]


@in_project
async def test_replays_are_linked_both_ways_and_named_in_the_outcomes(project: Project) -> None:
    runs = await dead_letters(project, 60)
    operation = await request(project, "replay", filter_for("replay", [runs[0].status]))
    ended = await carry_out(project, operation)
    assert counts(ended) == (60, 60, 0, 0)
    links = project.rows(
        "select o->>'run_id', o->>'new_run_id' from events, "
        "jsonb_array_elements(convert_from(data, 'UTF8')::jsonb->'outcomes') o where type = 'bulk.advanced.v1'"
    )
    made = project.rows("select state::text, run_id from runs where status = 'queued'")
    assert {old for old, _ in links} == {run.run_id for run in runs}
    assert {new for _, new in links} == {run_id for _, run_id in made}
    payloads = project.rows("select convert_from(payload, 'UTF8')::int from runs where status = 'queued' order by 1")
    assert [payload for (payload,) in payloads] == list(range(60))


@in_project
async def test_runs_that_have_not_ended_are_replayed_if_that_is_asked_for(project: Project) -> None:
    run = await project.trigger(await project.create_job())
    made: list[str] = []
    for any_status, expected in ((False, (1, 0, 1, 0)), (True, (1, 1, 0, 0))):
        operation = await request(project, "replay", [run.run_id], any_status=any_status)
        assert counts(await carry_out(project, operation)) == expected
        made = await touched(reading(project), project.project_id, operation.operation_id)
        assert len(made) == expected[1]
    assert project.rows("select run_id from runs where status = 'queued' order by created_position") == [
        (run.run_id,),
        (made[0],),
    ]
    assert project.history(run) == ["run.triggered.v1", "run.replayed.v1"]


@in_project
async def test_an_operation_that_has_touched_too_many_runs_is_no_filter(project: Project) -> None:
    job = await project.create_job()
    await project.trigger_many(job, [{}] * 3)
    operation = await carry_out(project, await request(project, "cancel"))
    with patch.object(bulk_results, "MOST_TOUCHED", 2), pytest.raises(TooManyRuns, match="more than 2 runs"):
        await touched(reading(project), project.project_id, operation.operation_id)


@in_project
async def test_a_limit_takes_the_oldest(project: Project) -> None:
    runs = await dead_letters(project, 5)
    ended = await carry_out(project, await request(project, "dlq_replay", limit=3))
    assert counts(ended) == (3, 3, 0, 0)
    oldest = project.rows("select run_id from runs order by created_position limit 3")
    assert set(oldest) == set(project.rows("select run_id from runs where status = 'queued'"))
    assert len(runs) == 5


@in_project
async def test_a_run_that_has_moved_on_is_skipped(project: Project) -> None:
    job = await project.create_job()
    runs = [one.run for one in await project.trigger_many(job, [{}] * 4)]
    operation = await request(project, "cancel", RunFilter(("queued",)))
    await project.claim(run_id=runs[1].run_id)
    await project.command(runs[2], c.Cancel())
    ended = await carry_out(project, operation)
    assert counts(ended) == (4, 2, 2, 0)
    assert [(o.run_id, o.error) for o in ended.errors] == [
        (runs[1].run_id, "the run is executing by now"),
        (runs[2].run_id, "the run is canceled by now"),
    ]
    assert statuses(project) == {"canceled": 3, "executing": 1}


@in_project
async def test_descendants_go_with_their_parents_also_those_that_are_named_themselves(project: Project) -> None:
    job = await project.create_job()
    parents = [await project.trigger(job) for _ in range(3)]
    children: list[Run] = []
    for parent in parents:
        await project.claim(run_id=parent.run_id)
        spawned = SpawnRun(CONTEXT, parent.run_id, job.job_id, TriggerRequest(new_id("run")))
        children.append((await project.execute(spawned)).run)
    await project.claim(run_id=children[0].run_id)
    grandchild = SpawnRun(CONTEXT, children[0].run_id, job.job_id, TriggerRequest(new_id("run")))
    await project.execute(grandchild)
    names = [parents[0].run_id, children[0].run_id, children[1].run_id, parents[1].run_id]
    ended = await carry_out(project, await request(project, "cancel", names))
    assert counts(ended) == (4, 4, 0, 0)
    assert statuses(project) == {"canceled": 5, "executing": 1, "queued": 1}
    reasons = project.rows(
        "select convert_from(data, 'UTF8')::jsonb->>'reason' from events where type ~ 'run.canceled'"
    )
    assert sorted(reason for (reason,) in reasons) == [CANCEL_REASON] * 3 + ["parent run canceled"] * 2
    assert project.rows("select count(*) from leases") == [(1,)]


@in_project
async def test_an_operation_that_is_stopped_stays_where_it_is(project: Project) -> None:
    job = await project.create_job()
    await project.trigger_many(job, [{}] * 250)
    operation = await request(project, "cancel", RunFilter(("queued",)))
    async with runner_of(project) as runner:
        started = await runner.step("proj_test", operation)
        once = await runner.step("proj_test", started)
        await project.execute(CommandBulk(CONTEXT, operation.operation_id, CancelBulk()))
        stopped = await runner.step("proj_test", once)
    assert (stopped.status, *counts(stopped)) == ("canceled", 250, 100, 0, 0)
    assert statuses(project) == {"canceled": 100, "queued": 150}


@in_project
async def test_a_chunk_that_is_executed_twice_acts_once(project: Project) -> None:
    runs = await dead_letters(project, 2)
    operation = await request(project, "replay", [run.run_id for run in runs])
    started = await carry_to_start(project, operation)
    chunk = Chunk([Target(run.run_id, new_id("run")) for run in runs], 2, is_last=True)
    answers = await asyncio.gather(*(project.execute(AdvanceBulk(started, chunk)) for _ in range(5)))
    assert {(answer.status, answer.succeeded) for answer in answers} == {("completed", 2)}
    assert statuses(project) == {"dead_letter": 2, "queued": 2}


async def carry_to_start(project: Project, operation: BulkOperation) -> BulkOperation:
    async with runner_of(project) as runner:
        return await runner.step(project.project_id, operation)


@in_project
async def test_several_processes_work_on_one_operation_and_each_run_is_acted_on_once(project: Project) -> None:
    await dead_letters(project, 400)
    operation = await request(project, "replay", RunFilter(("dead_letter",)))
    async with open_project(project.dsn) as twin:
        await asyncio.gather(*(carry_out_loosely(one, operation) for one in (project, twin, project, twin)))
    assert counts(stored(project, operation)) == (400, 400, 0, 0)
    assert statuses(project) == {"dead_letter": 400, "queued": 400}
    assert project.rows("select count(*) from events where type = 'run.replayed.v1'") == [(400,)]


async def carry_out_loosely(project: Project, operation: BulkOperation) -> None:
    async with runner_of(project) as runner:
        while operation.is_active:
            operation = await runner.step(project.project_id, operation)


@pytest.mark.parametrize("count", [1, 130])
def test_a_run_that_breaks_its_transaction_is_given_up_and_the_others_are_acted_on(dsn: str, count: int) -> None:
    async def test() -> None:
        async with open_project(dsn) as project:
            job = await project.create_job()
            runs = [one.run for one in await project.trigger_many(job, [{}] * count)]
            broken = runs[count // 2]
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute("update runs set state = '{}' where run_id = %s", (broken.run_id,))
            ended = await carry_out(project, await request(project, "cancel", RunFilter(("queued",))))
            assert (ended.status, *counts(ended)) == ("completed", count, count - 1, 0, 1)
            assert [(o.run_id, o.code) for o in ended.errors] == [(broken.run_id, "internal_error")]
            assert statuses(project) == {"queued": 1} | ({"canceled": count - 1} if count > 1 else {})

    asyncio.run(test())


# --- the loop -----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def server_like(dsn: str) -> AsyncGenerator[Project]:
    """Open a project as a server process does: with a runner that hears of its commits."""
    runners: list[BulkRunner] = []

    def committed(project_id: str, position: int, changes: Sequence[Change]) -> list[News]:
        return [runners[0].committed(project_id, changes)]

    with psycopg.connect(dsn) as conn:
        create_project(conn, "proj_test", "test")
    committer = open_committer(dsn, on_commit=committed)
    async with reader_pool(dsn, 2) as pool:
        runners.append(BulkRunner(pool, committer))
        running = asyncio.create_task(runners[0].run())
        try:
            yield Project(dsn, "proj_test", committer)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            committer.close()


def test_an_operation_is_begun_at_once_by_the_process_that_it_was_requested_of(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_runner, "POLL_SECS", 1000.0)

    async def test() -> None:
        async with server_like(dsn) as project:
            job = await project.create_job()
            await project.trigger_many(job, [{}] * 30)
            ended = await until_ended(project, await request(project, "cancel"))
            assert counts(ended) == (30, 30, 0, 0)

    asyncio.run(test())


def test_an_operation_that_stands_still_is_taken_up(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_runner, "POLL_SECS", 0.05)

    async def test() -> None:
        async with open_project(dsn) as lost:
            job = await lost.create_job()
            await lost.trigger_many(job, [{}] * 250)
            operation = await request(lost, "cancel")
            async with runner_of(lost) as runner:
                await runner.step("proj_test", await runner.step("proj_test", operation))
        async with server_like(dsn) as project:
            ended = await until_ended(project, operation)
        assert (ended.status, *counts(ended)) == ("completed", 250, 250, 0, 0)

    asyncio.run(test())


def test_operations_of_a_project_take_turns_and_others_are_not_kept_waiting(dsn: str) -> None:
    async def test() -> None:
        async with server_like(dsn) as project:
            job, small = await project.create_job("large"), await project.create_job("small")
            for _ in range(4):
                await project.trigger_many(job, [{}] * 500)
            await project.trigger(small)
            large = await request(project, "cancel", filter_for("cancel", job_id=job.job_id))
            later = await request(project, "cancel", filter_for("cancel", job_id=small.job_id))
            assert (await until_ended(project, later)).succeeded == 1
            assert stored(project, large).is_active
            waited = 0.0
            while stored(project, large).is_active:
                began = monotonic()
                await project.trigger(small)
                waited = max(waited, monotonic() - began)
            assert counts(stored(project, large)) == (2000, 2000, 0, 0)
            assert waited < 2.0  # a chunk takes milliseconds, the whole operation seconds

    asyncio.run(test())
