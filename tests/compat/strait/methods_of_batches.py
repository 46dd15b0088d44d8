"""`client.batch_operations` and `client.stats`."""

import pytest
from strait import NotFoundError

from .table import drives
from .world import World


@drives("batch_operations.list")
async def batches_come_newest_first(w: World) -> None:
    job = await w.new_job()
    made = [await w.call("jobs.bulk_trigger", job["id"], {"items": [{}] * size}) for size in (1, 2)]
    found = await w.call("batch_operations.list", query={"project_id": w.project_id})
    assert [(row["id"], row["item_count"]) for row in found] == [(made[1]["batch_id"], 2), (made[0]["batch_id"], 1)]


@drives("batch_operations.get")
async def a_batch_says_what_it_made(w: World) -> None:
    job = await w.new_job()
    batch = await w.call("jobs.bulk_trigger", job["id"], {"items": [{"payload": n} for n in range(3)]})
    found = await w.call("batch_operations.get", batch["batch_id"])
    assert (found["id"], found["job_id"], found["project_id"]) == (batch["batch_id"], job["id"], w.project_id)
    assert (found["item_count"], found["created_count"]) == (3, 3)
    with pytest.raises(NotFoundError):
        await w.call("batch_operations.get", "batch_of_nobody")


@drives("stats.list")
async def stats_count_the_queue(w: World) -> None:
    await w.working()
    await w.new_run()
    await w.new_run(scheduled_at="2199-01-01T00:00:00Z")
    found = await w.call("stats.list", query={"project_id": w.project_id})
    assert (found["queued"], found["executing"], found["delayed"]) == (1, 1, 1)
