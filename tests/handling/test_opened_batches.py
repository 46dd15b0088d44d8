"""Batches that are opened and then given their items, in one request or in several that may be repeated."""

import asyncio

import pytest

from runcord.batch.state import Batch
from runcord.errors import IdempotencyKeyReused, Invalid, NotFound
from runcord.handling.batches import Item, OpenBatch, Taken, TriggerBatchItems
from runcord.handling.trigger import TriggerRequest
from runcord.ids import new_id
from runcord.testing.project import CONTEXT, Project, in_project

DEFAULTS = {"max_attempts": 3}


def item(index: int, slug: str = "resize", **members: object) -> Item:
    return Item(index, slug, TriggerRequest(new_id("run"), **members))  # pyright: ignore[reportArgumentType]


async def opened(project: Project, count: int, batch_id: str | None = None) -> str:
    return (await project.execute(OpenBatch(CONTEXT, batch_id or new_id("batch"), count))).batch.batch_id


async def give(project: Project, batch_id: str, *items: Item) -> Taken:
    return await project.execute(TriggerBatchItems(CONTEXT, batch_id, items, DEFAULTS))


@in_project
async def test_a_batch_is_complete_when_every_item_has_its_run(project: Project):
    batch_id = await opened(project, 3)
    first = await give(project, batch_id, item(2, "other"), item(0))
    assert (first.batch.is_complete, sorted(first.triggerings)) == (False, [0, 2])
    second = await give(project, batch_id, item(1), item(0))
    assert (second.batch.is_complete, sorted(second.triggerings), second.repeated) == (True, [1], 1)
    run_ids = second.batch.run_ids
    assert run_ids[0] == first.triggerings[0].run.run_id
    assert run_ids[2] == first.triggerings[2].run.run_id
    rows = project.rows("select run_id, job_id from runs where batch_id = %s order by created_position", batch_id)
    assert {row[0] for row in rows} == set(run_ids)
    assert (second.batch.job_id, second.batch.created_count) == (first.triggerings[0].run.job_id, 3)


@in_project
async def test_items_that_race_are_each_taken_once(project: Project):
    batch_id = await opened(project, 4)
    taken = await asyncio.gather(*(give(project, batch_id, *map(item, range(4))) for _ in range(5)))
    assert sum(len(one.triggerings) for one in taken) == 4
    assert project.rows("select count(*) from runs where batch_id = %s", batch_id) == [(4,)]


@in_project
async def test_an_item_that_is_refused_leaves_none(project: Project):
    batch_id = await opened(project, 2)
    await project.create_job("strict", payload_schema={"type": "object"})
    with pytest.raises(Invalid):
        await give(project, batch_id, item(0), item(1, "strict", payload=7))
    assert project.rows("select count(*) from runs") == [(0,)]
    with pytest.raises(Invalid, match="0 to 1, and no 2"):
        await give(project, batch_id, item(2))


@in_project
async def test_an_item_whose_key_is_held_is_answered_by_the_run_that_holds_it(project: Project):
    batch_id = await opened(project, 2)
    taken = await give(project, batch_id, item(0, idempotency_key="k"), item(1, idempotency_key="k"))
    assert taken.batch.run_ids[0] == taken.batch.run_ids[1]
    assert [taken.triggerings[index].idempotency_hit for index in (0, 1)] == [False, True]
    assert taken.batch.is_complete


@in_project
async def test_a_batch_is_opened_once(project: Project):
    batch_id = await opened(project, 2)
    again = await project.execute(OpenBatch(CONTEXT, batch_id, 2))
    assert again.was_there
    with pytest.raises(IdempotencyKeyReused, match="has 2 items and not 3"):
        await project.execute(OpenBatch(CONTEXT, batch_id, 3))


@in_project
async def test_only_what_was_opened_takes_items(project: Project):
    with pytest.raises(NotFound):
        await give(project, new_id("batch"), item(0))


@in_project
async def test_a_batch_may_be_opened_and_given_its_items_at_once(project: Project):
    batch_id = new_id("batch")
    opening = OpenBatch(CONTEXT, batch_id, 2, "key")
    items = [item(0), item(1)]
    for repeated in (0, 2):
        taken: Taken = await project.execute(TriggerBatchItems(CONTEXT, batch_id, items, DEFAULTS, opening))
        assert taken.repeated == repeated
    assert isinstance(taken.batch, Batch)
    assert (taken.batch.idempotency_key, taken.batch.created_count) == ("key", 2)
