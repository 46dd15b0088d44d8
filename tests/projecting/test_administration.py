"""Generations as operators deal with them, without a server: every step is taken by hand."""

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest

from runcord import faults
from runcord.errors import GenerationInUse, GenerationNotFound, ProjectionBuilding, ProjectionNotReady
from runcord.projecting import administration as a
from runcord.projecting import dropping
from runcord.projecting.projector import Projector
from runcord.projecting.registry import projections
from runcord.testing.project import Project, in_project
from runcord_projections.tag_index import PROJECTION as TAG_INDEX


class Stopped(Exception):
    """Somebody was killed."""


@pytest.fixture(autouse=True)
def _nothing_stays_armed() -> Iterator[None]:
    yield
    faults.disarm()


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(a, "PATIENCE_SECS", 0.2)


def operate(project: Project) -> psycopg.Connection[Any]:
    return psycopg.connect(project.dsn, autocommit=True)


def advance(project: Project, limit: int = 5_000) -> None:
    """Move everything on to the end of the ledger."""
    projector = Projector(project.dsn, projections())
    while projector.advance(project.project_id, limit=limit).position:
        pass
    projector.close()


async def tag(project: Project, count: int) -> None:
    job = await project.create_job()
    for n in range(count):
        await project.trigger(job, tags={"n": str(n)})


async def drop_all(project: Project) -> None:
    while not await dropping.drop_some(project.touch, projections(), secs=0):
        pass


def rows(project: Project, generation: int) -> int:
    return project.rows("select count(*) from tag_index where generation = %s", generation)[0][0]


def statuses(project: Project) -> Mapping[int, str]:
    return dict(project.rows("select generation, status from projections where name = 'tag_index'"))


@in_project
async def test_a_generation_that_is_dropped_is_never_moved_on(project: Project) -> None:
    await tag(project, 3)
    advance(project)
    with operate(project) as conn:
        begun = a.rebuild(conn, project.project_id, TAG_INDEX, switches=False)
        assert a.drop(conn, project.project_id, TAG_INDEX, None).status == "dropping"
    advance(project)
    assert (statuses(project), rows(project, begun.number)) == ({1: "live", 2: "dropping"}, 0)


@in_project
async def test_dropping_goes_on_after_whoever_did_it_was_killed(project: Project) -> None:
    await tag(project, 7)
    advance(project)
    with operate(project) as conn:
        a.rebuild(conn, project.project_id, TAG_INDEX, switches=False)
        advance(project)
        a.drop(conn, project.project_id, TAG_INDEX, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dropping, "CHUNK_ROWS", 3)
        faults.arm("dropping.after_chunk", _stop)
        for left in (4, 1):
            with pytest.raises(Stopped):
                await dropping.drop_some(project.touch, projections(), secs=10)
            assert (rows(project, 2), statuses(project)[2]) == (left, "dropping")
        faults.disarm()
        assert await dropping.drop_some(project.touch, projections(), secs=10)
    assert (rows(project, 1), rows(project, 2), statuses(project)) == (7, 0, {1: "live"})


@in_project
async def test_dropping_takes_turns_with_other_work(project: Project) -> None:
    await tag(project, 3)
    advance(project)
    with operate(project) as conn:
        a.rebuild(conn, project.project_id, TAG_INDEX, switches=False)
        advance(project)
        a.drop(conn, project.project_id, TAG_INDEX, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dropping, "CHUNK_ROWS", 1)
        assert not await dropping.drop_some(project.touch, projections(), secs=0)
        assert rows(project, 2) == 2
        await drop_all(project)
    assert statuses(project) == {1: "live"}


@in_project
async def test_a_dropped_number_is_taken_again_without_old_rows(project: Project) -> None:
    await tag(project, 3)
    advance(project)
    with operate(project) as conn:
        for _ in range(2):
            assert a.rebuild(conn, project.project_id, TAG_INDEX, switches=False).number == 2
            assert rows(project, 2) == 0
            advance(project)
            a.drop(conn, project.project_id, TAG_INDEX, 2)
            await drop_all(project)


@in_project
async def test_nobody_switches_to_what_is_further_back_than_what_is_read(project: Project) -> None:
    await tag(project, 3)
    advance(project)
    with operate(project) as conn:
        a.rebuild(conn, project.project_id, TAG_INDEX, switches=False)
        conn.execute("update projections set status = 'ready', position = 2 where generation = 2")
        with pytest.raises(ProjectionNotReady, match="position 2"):
            a.switch(conn, project.project_id, TAG_INDEX)
        with pytest.raises(ProjectionNotReady, match="position 2"):
            a.compare_generations(conn, project.project_id, TAG_INDEX)
    assert statuses(project) == {1: "live", 2: "ready"}


@in_project
async def test_what_is_not_ready_says_how_far_it_is(project: Project) -> None:
    await tag(project, 3)
    with operate(project) as conn:
        a.rebuild(conn, project.project_id, TAG_INDEX, switches=False)
        with pytest.raises(ProjectionNotReady, match="building at position 0 of"):
            a.switch(conn, project.project_id, TAG_INDEX)
        with pytest.raises(ProjectionBuilding, match="generation 2 is building"):
            a.rebuild(conn, project.project_id, TAG_INDEX, switches=False)


@in_project
async def test_which_generation_is_dropped_has_to_be_clear(project: Project) -> None:
    await tag(project, 1)
    advance(project)
    with operate(project) as conn:
        with pytest.raises(GenerationNotFound):
            a.drop(conn, project.project_id, TAG_INDEX, None)
        for _ in range(2):
            a.rebuild(conn, project.project_id, TAG_INDEX, switches=False)
            advance(project)
            a.switch(conn, project.project_id, TAG_INDEX)
        with pytest.raises(GenerationInUse, match="name one of 1, 2"):
            a.drop(conn, project.project_id, TAG_INDEX, None)
        with pytest.raises(GenerationInUse, match="the one that is read"):
            a.drop(conn, project.project_id, TAG_INDEX, 3)
        a.drop(conn, project.project_id, TAG_INDEX, 1)
    assert statuses(project) == {1: "dropping", 2: "retired", 3: "live"}


@in_project
async def test_only_so_many_differences_are_named(project: Project) -> None:
    await tag(project, 15)
    advance(project)
    with operate(project) as conn:
        a.rebuild(conn, project.project_id, TAG_INDEX, switches=False)
        advance(project)
        conn.execute("update tag_index set changes = '' where generation = 1")
    with operate(project) as conn:
        live, ready, found = a.compare_generations(conn, project.project_id, TAG_INDEX)
    assert (live.number, ready.number, found.differing, len(found.first)) == (1, 2, 15, 10)
    assert [one.key["tag_value"] for one in found.first] == sorted(str(n) for n in range(15))[:10]


def _stop() -> None:
    raise Stopped
