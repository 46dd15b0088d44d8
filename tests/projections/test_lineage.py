"""Lineage: an edge for each origin, and families from any of their runs."""

import psycopg
import pytest
from tests.projections.story import Story

from runcord.projecting.projector import Projector
from runcord.projecting.registry import projections
from runcord.run import events as e
from runcord.testing.project import Project, in_project
from runcord.testing.scenario import FAILURE, triggered
from runcord_projections.lineage.family import MOST_NODES, family
from runcord_projections.lineage.projection import PROJECTION


def edges(story: Story) -> list[tuple[str, str, str, int]]:
    return sorted((tuple(row) for row in story.rows(PROJECTION)), key=lambda row: row[3])


def test_a_run_has_an_edge_from_each_run_that_it_came_of() -> None:
    story = Story().happens("run_1", triggered())
    story.happens("run_2", triggered(parent_run_id="run_1"))
    story.happens("run_3", triggered(continuation_of="run_1"))
    story.happens("run_4", triggered(replay_of="run_2"))
    assert edges(story) == [
        ("run_1", "child", "run_2", 2),
        ("run_1", "continuation", "run_3", 3),
        ("run_2", "replay", "run_4", 4),
    ]


def test_a_run_that_is_queued_again_has_an_edge_to_itself_each_time() -> None:
    story = Story().happens("run_1", triggered(), e.Dequeued("w", 1, 1, 60), e.Attempted(1), e.Restarted())
    story.happens("run_1", e.Dequeued("w", 1, 2, 60), e.Attempted(1), e.Restarted())
    story.happens("run_1", e.Dequeued("w", 1, 3, 60), e.Attempted(1), e.DeadLettered(1, FAILURE))
    story.happens("run_1", e.DeadLetterReplayed(2))
    assert edges(story) == [
        ("run_1", "restart", "run_1", 4),
        ("run_1", "restart", "run_1", 7),
        ("run_1", "dead_letter_replay", "run_1", 11),
    ]


def test_what_was_retried_or_paused_has_none() -> None:
    story = Story().happens("run_1", triggered(), e.Dequeued("w", 1, 1, 60), e.Attempted(1), e.Paused(), e.Logged("x"))
    assert edges(story) == []


@pytest.mark.slow
def test_a_family_is_bounded_and_what_is_closest_is_shown(dsn: str) -> None:
    @in_project
    async def check(project: Project) -> None:
        job = await project.create_job()
        root = await project.trigger(job)
        own = await project.trigger(job, parent_run_id=root.run_id)
        for _ in range(3):
            await project.trigger_many(job, [{"parent_run_id": root.run_id}] * 450)
        grandchild = await project.trigger(job, parent_run_id=own.run_id)
        projector = Projector(project.dsn, projections())
        while projector.advance(project.project_id).position:
            pass
        projector.close()
        position = project.rows("select max(position) from events")[0][0]
        found = await family(project.touch, project.project_id, own.run_id, position, most_deep=MOST_NODES)
        assert (len(found.nodes), found.truncated) == (MOST_NODES, True)
        depths = {node.run_id: node.depth for node in found.nodes}
        assert (depths[root.run_id], depths[own.run_id], depths[grandchild.run_id]) == (-1, 0, 1)
        assert len(found.edges) == MOST_NODES - 1
        down = await family(
            project.touch, project.project_id, own.run_id, position, direction="descendants", most_deep=MOST_NODES
        )
        assert ([node.run_id for node in down.nodes], down.truncated) == ([own.run_id, grandchild.run_id], False)

    check(dsn)


@pytest.mark.slow
def test_a_long_chain_is_a_family(dsn: str) -> None:
    @in_project
    async def check(project: Project) -> None:
        job = await project.create_job()
        first = await project.trigger(job)
        with psycopg.connect(project.dsn, autocommit=True) as conn:
            conn.execute(
                "insert into projections (project_id, name, generation, version, status)"
                " values (%s, 'lineage', 1, 1, 'live')",
                (project.project_id,),
            )
            conn.execute(
                "insert into lineage select %s, 1, case when n = 1 then %s else 'run_' || n - 1 end, 'continuation',"
                " 'run_' || n, 2 from generate_series(1, 900) n",
                (project.project_id, first.run_id),
            )
        found = await family(project.touch, project.project_id, first.run_id, 2, most_deep=MOST_NODES)
        # Runs that are in no ledger are no nodes; the chain was followed to its end all the same.
        assert ([node.run_id for node in found.nodes], found.truncated) == ([first.run_id], False)
        assert len(found.edges) == 900

    check(dsn)
