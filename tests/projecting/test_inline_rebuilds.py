"""Inline views are rebuilt from the log, and what is read is healed by it."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from runcord import faults
from runcord.errors import ProjectionBuilding, ProjectionNotReady
from runcord.handling.runs import CommandRun
from runcord.inline import rebuildables
from runcord.projecting import administration as a
from runcord.projecting import inline_administration as inline
from runcord.projecting import inline_mover as mover
from runcord.projecting.rebuildable import Rebuildable
from runcord.run import commands as c
from runcord.testing.project import CONTEXT, Project, in_project

RUNS = rebuildables()["run_view"]

PATCH = pytest.MonkeyPatch()
"""Undone after each test."""


class Stopped(Exception):
    """Somebody was killed."""


@pytest.fixture(autouse=True)
def _nothing_stays_armed() -> Iterator[None]:
    yield
    faults.disarm()
    PATCH.undo()


def operate(project: Project) -> psycopg.Connection[Any]:
    return psycopg.connect(project.dsn, autocommit=True)


def build(project: Project, one: Rebuildable) -> None:
    with mover.connect(project.dsn) as conn:
        while mover.advance(conn, project.project_id, one, "building").position:
            pass


def begin(project: Project, one: Rebuildable = RUNS) -> None:
    with operate(project) as conn:
        inline.begin(conn, project.project_id, one, switches=False)


def compare(project: Project, one: Rebuildable = RUNS) -> Any:
    with operate(project) as conn:
        return inline.compare_rebuild(project.dsn, conn, project.project_id, one)[1]


def switch(project: Project, one: Rebuildable = RUNS) -> int:
    with operate(project) as conn:
        return inline.switch(project.dsn, conn, project.project_id, one)


def drop(project: Project, one: Rebuildable = RUNS) -> None:
    with operate(project) as conn:
        a.drop(conn, project.project_id, one, None)
        inline.finish_dropping(conn, project.project_id, one)


def table(project: Project, name: str) -> list[tuple[Any, ...]]:
    return project.rows(f"select * from {name} order by 1, 2")


def filed(project: Project) -> set[tuple[int, int]]:
    """Return which terms are filed where."""
    return {
        (term, position + n)
        for term, position, mask in project.rows("select term, position, mask from run_terms")
        for n in range(63)
        if mask >> n & 1
    }


def shadow_schemas(project: Project) -> list[str]:
    return [row[0] for row in project.rows("select nspname from pg_namespace where nspname like 'rebuild%%'")]


async def live(project: Project) -> None:
    """Have runs of many kinds."""
    job = await project.create_job(max_attempts=2, retry_initial_delay_secs=0)
    await project.create_job("other")
    runs = [await project.trigger(job, payload={"n": n}, tags={"n": str(n)}) for n in range(6)]
    for n, claim in enumerate(await project.claim(limit=4)):
        await project.command(claim.run, c.Log("hello"))
        if n % 2:
            await project.command(claim.run, c.Complete({"n": n}))
    await project.command(runs[5], c.Cancel())


@in_project
async def test_every_view_is_rebuilt_as_it_is(project: Project) -> None:
    await live(project)
    for one in rebuildables().values():
        begin(project, one)
        build(project, one)
        found = compare(project, one)
        assert found.equal, (one.name, found)
        before = [table(project, name) for name in one.tables]
        assert found.live_rows == found.rebuilt_rows
        assert one.name == "run_terms" or found.live_rows == len(before[0])
        assert switch(project, one) == 0
        assert [table(project, name) for name in one.tables] == before
    assert len(table(project, "runs")) == 6
    assert len(table(project, "jobs")) == 2


@in_project
async def test_damage_is_found_and_healed_and_the_rest_is_left_alone(project: Project) -> None:
    await live(project)
    whole = table(project, "runs")
    begin(project)
    build(project, RUNS)
    ids = sorted(row[1] for row in whole)
    with operate(project) as conn:
        conn.execute("update runs set status = 'failed', payload = '7' where run_id = %s", (ids[0],))
        conn.execute("delete from runs where run_id = %s", (ids[1],))
        conn.execute("update runs set run_id = 'run_nobody' where run_id = %s", (ids[2],))
        conn.execute("update runs set position = 10000000 where run_id = %s", (ids[3],))
        untouched = conn.execute("select ctid from runs where run_id = %s", (ids[4],)).fetchall()
    found = compare(project)
    assert (found.differing, found.missing, found.surplus) == (2, 1, 2)
    assert {(one.key["run_id"], one.how) for one in found.first} == {
        (ids[0], "differs"),
        (ids[1], "surplus"),
        (ids[2], "surplus"),
        (ids[3], "differs"),
        ("run_nobody", "missing"),
    }
    assert switch(project) == 4
    assert table(project, "runs") == whole
    assert project.rows("select ctid from runs where run_id = %s", ids[4]) == untouched
    begin_again(project)
    build(project, RUNS)
    assert compare(project).equal


@in_project
async def test_what_happens_after_a_rebuild_is_caught_up_with(project: Project) -> None:
    await live(project)
    begin(project)
    build(project, RUNS)
    job = await project.create_job("late")
    late = await project.trigger(job)
    with operate(project) as conn:
        conn.execute("update runs set status = 'failed' where run_id = %s", (late.run_id,))
    assert [one.key["run_id"] for one in compare(project).first] == [late.run_id]
    assert switch(project) == 1
    assert project.rows("select status from runs where run_id = %s", late.run_id) == [("queued",)]


@in_project
async def test_what_has_just_moved_is_not_compared_and_healed_all_the_same(project: Project) -> None:
    await live(project)
    begin(project)
    build(project, RUNS)
    whole = project.rows("select run_id, job_id from runs order by 1")
    [(run_id,)] = project.rows("select run_id from runs where status = 'executing' limit 1")
    await project.execute(CommandRun(CONTEXT, run_id, c.Log("something")))
    with operate(project) as conn:
        # The jobs of runs never change, so that no later event mends this.
        conn.execute("update runs set job_id = 'job_other' where run_id = %s", (run_id,))
    PATCH.setattr(inline, "_catch_up", lambda *_: None)
    assert compare(project).equal
    assert switch(project) == 1
    assert project.rows("select run_id, job_id from runs order by 1") == whole


@in_project
async def test_many_rows_are_healed_a_few_at_a_time_whoever_is_killed(project: Project) -> None:
    PATCH.setattr(inline, "HEALED_AT_ONCE", 2)
    await live(project)
    whole = table(project, "runs")
    begin(project)
    build(project, RUNS)
    with operate(project) as conn:
        conn.execute("update runs set priority = 9")
    faults.arm("inline_switch.between", _stop)
    with pytest.raises(Stopped):
        switch(project)
    assert project.rows("select count(*) from runs where priority = 9") == [(4,)]
    faults.disarm()
    faults.arm("inline_switch.before_commit", _stop)
    with pytest.raises(Stopped):
        switch(project)
    assert project.rows("select count(*) from runs where priority = 9") == [(4,)]
    faults.disarm()
    assert switch(project) == 4
    assert table(project, "runs") == whole


@in_project
async def test_building_goes_on_after_whoever_did_it_was_killed(project: Project) -> None:
    PATCH.setattr(mover, "BATCH_EVENTS", 3)
    PATCH.setattr(mover, "CLOSE", 0)
    await live(project)
    begin(project)
    faults.arm("inline_mover.before_commit", _stop)
    with pytest.raises(Stopped), mover.connect(project.dsn) as conn:
        mover.advance(conn, project.project_id, RUNS, "building")
    faults.disarm()
    positions: list[int] = []
    while project.rows("select status from projections where name = 'run_view'") == [("building",)]:
        with mover.connect(project.dsn) as conn:
            positions.append(mover.advance(conn, project.project_id, RUNS, "building").position)
    assert len(positions) > 3
    assert positions == sorted(set(positions))
    assert compare(project).equal


@in_project
async def test_a_rebuild_of_jobs_leaves_the_ledgers_head_alone_and_healing_tells_it(project: Project) -> None:
    jobs = rebuildables()["job_view"]
    await live(project)
    head = "select position, dependencies_position from ledger_heads where project_id = %s"
    before = project.rows(head, project.project_id)
    begin(project, jobs)
    build(project, jobs)
    assert project.rows(head, project.project_id) == before
    with operate(project) as conn:
        conn.execute("update jobs set enabled = false where slug = 'other'")
    assert switch(project, jobs) == 1
    [(position, dependencies_position)] = project.rows(head, project.project_id)
    assert dependencies_position == position
    assert project.rows("select enabled from jobs where slug = 'other'") == [(True,)]


@in_project
async def test_terms_are_healed_where_they_are_filed_wrongly(project: Project) -> None:
    terms = rebuildables()["run_terms"]
    await live(project)
    [run_id] = (row[0] for row in project.rows("select run_id from runs where status = 'executing' limit 1"))
    await project.execute(CommandRun(CONTEXT, run_id, c.Tag({"later": "yes"})))
    whole = filed(project)
    begin(project, terms)
    build(project, terms)
    with operate(project) as conn:
        first = "select term from run_terms order by position, term limit 1"
        lost = conn.execute(f"delete from run_terms where term = ({first})".encode()).rowcount
        conn.execute("insert into run_terms values (%s, 12345, 3, 5)", (project.project_id,))
        conn.execute("update run_terms set mask = mask | 8 where position = (select max(position) from run_terms)")
    assert lost
    found = compare(project, terms)
    assert found.surplus >= 1
    assert found.missing >= 3
    assert switch(project, terms) == found.surplus + found.missing - 1  # two of them lay in one row
    assert filed(project) == whole


@in_project
async def test_shadows_are_there_only_while_there_is_a_rebuild(project: Project) -> None:
    await live(project)
    assert shadow_schemas(project) == []
    begin(project)
    build(project, RUNS)
    assert shadow_schemas(project) == ["rebuild_run_view"]
    with operate(project) as conn, pytest.raises(ProjectionBuilding, match="ready at position"):
        inline.begin(conn, project.project_id, RUNS, switches=False)
    drop(project)
    assert shadow_schemas(project) == []
    assert project.rows("select count(*) from projections where name = 'run_view'") == [(0,)]


@in_project
async def test_dropping_goes_on_and_is_waited_for(project: Project) -> None:
    PATCH.setattr(inline, "CHUNK_ROWS", 2)
    await live(project)
    begin(project)
    build(project, RUNS)
    faults.arm("dropping.after_chunk", _stop)
    with pytest.raises(Stopped):
        drop(project)
    faults.disarm()
    assert project.rows("select count(*) from rebuild_run_view.runs") == [(4,)]
    with operate(project) as conn:
        with pytest.raises(ProjectionBuilding, match="dropping"):
            inline.begin(conn, project.project_id, RUNS, switches=False)
        with pytest.raises(ProjectionNotReady):
            inline.switch(project.dsn, conn, project.project_id, RUNS)
        inline.finish_dropping(conn, project.project_id, RUNS)
    begin(project)
    build(project, RUNS)
    assert compare(project).equal


@in_project
async def test_nothing_is_compared_that_is_not_ready(project: Project) -> None:
    await live(project)
    with pytest.raises(ProjectionNotReady, match="rebuild it first"):
        compare(project)
    begin(project)
    with pytest.raises(ProjectionNotReady, match="at position 0 of"):
        compare(project)


@in_project
async def test_an_event_that_nobody_can_read_parks_the_rebuild_before_it(project: Project) -> None:
    await live(project)
    begin(project)
    with operate(project) as conn:
        [(position,)] = conn.execute("select max(position) from events where type = 'run.canceled.v1'").fetchall()
    with pytest.MonkeyPatch.context() as patch:
        recorded = mover.mapper.recorded

        def refuse(row: Any) -> Any:
            if row[2] == position:
                raise ValueError("not this one")
            return recorded(row)

        patch.setattr(mover.mapper, "recorded", refuse)
        build(project, RUNS)
    parked = project.rows("select status, position, parked_at, error from projections where name = 'run_view'")
    assert parked == [("building", position - 1, position, "ValueError: not this one")]
    with pytest.raises(ProjectionNotReady, match=f"position {position}"):
        switch(project)
    with operate(project) as conn:
        a.retry(conn, project.project_id, RUNS)
    build(project, RUNS)
    assert compare(project).equal


def begin_again(project: Project) -> None:
    """Begin a rebuild after a switch, whose own is still to be dropped."""
    with operate(project) as conn:
        inline.finish_dropping(conn, project.project_id, RUNS)
    begin(project)


def _stop() -> None:
    raise Stopped
