"""Lists of the past equal what somebody would find who had kept every state, whatever the filter, page and moment."""

import random
from typing import Any

import psycopg
import pytest
from tests.run_history.eventful import Model, Was, a_past_filter, be_restless, begin_at, live, project_all
from tests.run_terms.population import holds

from runcord.ledger.mapper import to_json
from runcord.testing.project import Project, in_project
from runcord_projections.run_history.past_runs import PastRun, past_runs
from runcord_projections.run_terms.filter import RunFilter


def meant(model: Model, wanted: RunFilter, position: int) -> list[Was]:
    """Return what was there and met the filter."""
    return [
        was
        for was in model.at(position)
        if holds(
            wanted,
            was.run,
            was.payload,
            was.created_position,
            was.run.status,
            was.run.job_id,
            was.run.batch_id,
            was.run.triggered_by,
        )
    ]


async def listed(project: Project, wanted: RunFilter, position: int, limit: int) -> list[PastRun]:
    """Return what the product says, page by page."""
    async with await psycopg.AsyncConnection.connect(project.dsn, autocommit=True) as conn:

        async def read(statement: bytes, params: Any) -> list[tuple[Any, ...]]:
            return await (await conn.execute(statement, params, binary=True)).fetchall()

        found: list[PastRun] = []
        before = 2**62
        while page := await past_runs(read, project.project_id, wanted, position=position, before=before, limit=limit):
            assert len(page) <= limit
            found += page
            before = page[-1].created_position
        return found


@pytest.mark.parametrize("seed", range(4))
def test_lists_of_the_past_equal_a_search_by_hand(dsn: str, seed: int) -> None:
    rng = random.Random(seed)

    @in_project
    async def search(project: Project) -> None:
        if seed % 2:
            begin_at(project, 2**21 - 300)  # across the border of two areas of terms
        await live(project, rng, 500)
        await compare(project, rng)

    search(dsn)


@in_project
async def test_restless_runs_are_found_as_they_were(project: Project) -> None:
    rng = random.Random(0)
    await be_restless(project, rng, runs=4, rounds=50)
    await live(project, rng, 100)
    model = await compare(project, rng)
    assert project.rows("select from run_history where positions[1] > created_position"), "some of it is not kept"
    assert project.rows("delete from run_snapshots returning 1")
    await compare(project, rng)  # without snapshots, all the same
    assert len({was.run.payload_version for states in model.states.values() for _, was in states}) > 2


async def compare(project: Project, rng: random.Random) -> Model:
    """Ask for all sorts of runs at all sorts of moments."""
    project_all(project)
    model = Model(project)
    places = [place for states in model.states.values() for place, _ in states]
    found_any = 0
    for _ in range(150):
        wanted, position = a_past_filter(rng, model), rng.choice(places)
        expected = meant(model, wanted, position)
        found_any += bool(expected)
        found = await listed(project, wanted, position, rng.choice([2, 7, 51]))
        assert [past.run for past in found] == [was.run for was in expected], (wanted, position)
        for past, was in zip(found, expected, strict=True):
            assert (past.created_position, past.payload) == (was.created_position, was.payload)
            assert to_json(past.result) == to_json(was.result)
    assert found_any > 40
    return model
