"""Which runs a bulk operation is about: those that its filter picked at its position, whatever has happened since."""

from collections.abc import Mapping

import psycopg
import pytest

from runcord.bulk.selection import RunFilter
from runcord.ledger.transaction import Row
from runcord.queue import bulk_targets
from runcord.queue.bulk_targets import can_be_acted_on, count_runs, find_runs
from runcord.run import commands as c
from runcord.testing.project import Project, in_project

QUEUED = RunFilter(("queued",))
EVER = 10**9


async def picked(project: Project, runs: RunFilter, as_of: int, *, limit: int = EVER, after: int = 0) -> list[str]:
    return list((await find_runs(reading(project), "proj_test", runs, after=after, as_of=as_of, limit=limit)).run_ids)


def reading(project: Project) -> bulk_targets.Read:
    async def read(statement: bytes, params: Mapping[str, object]) -> list[Row]:
        with psycopg.connect(project.dsn, autocommit=True) as conn:
            return conn.execute(statement, params).fetchall()

    return read


def head(project: Project) -> int:
    return project.rows("select position from ledger_heads")[0][0]


@in_project
async def test_runs_are_found_by_all_that_is_given_oldest_first(project: Project) -> None:
    first, second = await project.create_job("first"), await project.create_job("second")
    a = [await project.trigger(first) for _ in range(3)]
    b = await project.trigger(second)
    await project.command(a[1], c.Cancel())
    as_of = head(project)
    assert await picked(project, QUEUED, as_of) == [a[0].run_id, a[2].run_id, b.run_id]
    assert await picked(project, RunFilter(("queued",), job_id=first.job_id), as_of) == [a[0].run_id, a[2].run_id]
    assert await picked(project, RunFilter(("queued", "canceled"), triggered_by="manual"), as_of, limit=2) == [
        a[0].run_id,
        a[1].run_id,
    ]
    assert await picked(project, RunFilter(("queued",), batch_id="none"), as_of) == []


@in_project
async def test_the_runs_of_a_filter_stay_those_of_its_position(project: Project) -> None:
    job = await project.create_job()
    taken, canceled, stays = [await project.trigger(job) for _ in range(3)]
    paused = await project.trigger(job)
    await project.claim(run_id=paused.run_id)
    before, as_of = head(project) - 1, head(project)
    later = await project.trigger(job)
    await project.claim(run_id=taken.run_id)
    await project.command(taken, c.Log("hello"))
    await project.command(canceled, c.Cancel())
    await project.command(paused, c.Release())
    await project.command(stays, c.SetDebug(debug_mode=True))
    queued_then = [taken.run_id, canceled.run_id, stays.run_id]
    assert await picked(project, QUEUED, as_of) == queued_then
    assert await count_runs(reading(project), "proj_test", QUEUED, as_of=as_of) == 3
    assert await picked(project, RunFilter(("executing",)), as_of) == [paused.run_id]
    assert await picked(project, RunFilter(("dequeued",)), before) == [paused.run_id]
    assert await picked(project, QUEUED, head(project)) == [stays.run_id, paused.run_id, later.run_id]


@in_project
async def test_pages_of_any_size_give_the_same_runs(project: Project) -> None:
    job = await project.create_job()
    runs = [one.run for one in await project.trigger_many(job, [{}] * 25)]
    for run in runs[::3]:
        await project.command(run, c.Cancel())
    as_of = head(project)
    for run in runs[::2]:
        await project.claim(run_id=run.run_id) if run not in runs[::3] else None
    expected = [run.run_id for run in runs if run not in runs[::3]]
    for page in (1, 2, 7, 16, 100):
        found: list[str] = []
        cursor = 0
        while cursor < as_of:
            part = await find_runs(reading(project), "proj_test", QUEUED, after=cursor, as_of=as_of, limit=page)
            assert len(part.run_ids) <= page and part.cursor > cursor
            found, cursor = [*found, *part.run_ids], part.cursor
        assert found == expected
    assert await count_runs(reading(project), "proj_test", QUEUED, as_of=as_of, most=5) == 5


def test_short_stretches_give_the_same_runs(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_targets, "STRETCH", 3)
    monkeypatch.setattr(bulk_targets, "PAGE", 2)
    test_pages_of_any_size_give_the_same_runs(dsn)


@in_project
async def test_runs_that_are_named_are_looked_at_as_they_are(project: Project) -> None:
    job = await project.create_job()
    a, b = await project.trigger(job), await project.trigger(job)
    await project.command(a, c.Cancel())
    names = [b.run_id, "run_nothing", a.run_id]
    assert await can_be_acted_on(reading(project), "proj_test", "cancel", names) == [b.run_id]
    assert await can_be_acted_on(reading(project), "proj_test", "replay", names) == [a.run_id]
