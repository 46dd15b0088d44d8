"""Lists equal what somebody would find who looked at every run, whatever the filters, the page and the way there."""

import random

import psycopg
import pytest

from runcord.run.status import Status
from runcord.testing.project import Project, in_project
from runcord_projections.run_terms.filter import RunFilter

from .population import PAYLOADS, Reader, a_filter, labels, populate

AREA = 2**21
"""Positions of an area."""


def begin_at(project: Project, position: int) -> None:
    """Have the ledger go on at a position, as if so much had happened before."""
    project.rows("update ledger_heads set position = %s returning 1", position)


@pytest.mark.parametrize("seed", range(3))
def test_lists_equal_a_search_by_hand(dsn: str, seed: int) -> None:
    rng = random.Random(seed)

    @in_project
    async def search(project: Project) -> None:
        # Across the border of two areas, and across that of two blocks.
        begin_at(project, seed * AREA - 100 if seed else 0)
        await populate(project, rng, 100)
        found_any = 0
        with psycopg.connect(dsn, autocommit=True) as conn:
            reader = Reader(project, conn)
            for _ in range(100):
                wanted = a_filter(rng)
                expected = reader.meant(wanted)
                found_any += bool(expected)
                assert reader.listed(wanted, rng.choice([3, 7, 51])) == expected, wanted
        assert found_any > 40

    search(dsn)


@in_project
async def test_a_batch_of_500_is_paged_without_loss(project: Project) -> None:
    begin_at(project, AREA - 250)
    job = await project.create_job()
    made = await project.trigger_many(job, [{"tags": {"k": "v"}} for _ in range(500)])
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        reader = Reader(project, conn)
        for wanted in (RunFilter(), RunFilter(job_id=job.job_id), RunFilter(tags={"k": "v"}, statuses=[Status.QUEUED])):
            for limit in (1, 7, 101):
                assert reader.listed(wanted, limit) == reader.meant(wanted)
            assert len(reader.meant(wanted)) == len(made)


@pytest.mark.parametrize("seed", range(2))
def test_runs_that_come_meanwhile_move_no_page(dsn: str, seed: int) -> None:
    rng = random.Random(seed)

    @in_project
    async def page_through(project: Project) -> None:
        begin_at(project, AREA - 100)
        await populate(project, rng, 60)
        job = await project.create_job("four")
        with psycopg.connect(dsn, autocommit=True) as conn:
            for _ in range(20):
                wanted = a_filter(rng)
                reader = Reader(project, conn)
                expected = reader.meant(wanted)
                found: list[int] = []
                while page := reader.page(wanted, 5, found[-1] if found else None):
                    found += page
                    more = [{"tags": labels(rng), "payload": rng.choice(PAYLOADS)} for _ in range(3)]
                    await project.trigger_many(job, more)
                assert found == expected, wanted

    page_through(dsn)
