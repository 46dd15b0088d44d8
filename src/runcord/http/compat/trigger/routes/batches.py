"""Trigger.dev's API: batches, in both of its protocols.

4.x opens a batch and then sends its items, perhaps several times; earlier clients send all at once. Either way the runs
are made in the request that brings the items, so that lists, subscriptions and the batch itself agree at once.
"""

from collections.abc import Sequence
from typing import Any

from runcord.batch.state import Batch
from runcord.clock import utc_now
from runcord.errors import Invalid, NotFound, RunNotEnded
from runcord.handling.batches import Item, OpenBatch, Opened, Taken, TriggerBatchItems
from runcord.handling.trigger import TriggerRequest
from runcord.http.compat.trigger import answers, targets
from runcord.http.compat.trigger.batch_items import BODY_FACTOR, numbered_items
from runcord.http.compat.trigger.bodies import (
    BatchBody,
    BatchItemBody,
    NumberedItemBody,
    OpenBatchBody,
)
from runcord.http.compat.trigger.handles import handle_headers
from runcord.http.compat.trigger.listing import LAST_POSITION
from runcord.http.compat.trigger.operation import trigger_operation, wants_new
from runcord.http.compat.trigger.render import given_key, render_batch, render_result
from runcord.http.compat.trigger.request_ids import id_for, id_for_request, request_key
from runcord.http.compat.trigger.routes.tasks import guess
from runcord.http.compat.trigger.uploads import inlined
from runcord.http.compat.trigger.wishes import TASK_DEFAULTS, request_of
from runcord.http.operation import Answer, Call, RawBody, TokenAccess
from runcord.http.targets import batch_in_path
from runcord.ids import new_id
from runcord.run.state import Run
from runcord_projections.batch_view.projection import CODEC as BATCHES
from runcord_projections.batch_view.projection import SQL as BATCH_SQL
from runcord_projections.run_terms.filter import RunFilter
from runcord_projections.run_terms.projection import SQL as TERMS_SQL
from runcord_projections.run_view.projection import CODEC as RUNS
from runcord_projections.run_view.projection import SQL as RUN_SQL

_LONGEST_KEY = 2048


async def open_task_batch(call: Call) -> Answer:
    """Open a batch of so many runs, to be sent with `POST …/items`.

    The same idempotency key answers the same batch; `isCached` once it has all its runs.
    """
    body = call.body(OpenBatchBody)
    batch_id = _batch_id(call, body.idempotencyKey)
    handler = OpenBatch(call.context, batch_id, body.runCount, body.idempotencyKey)
    committed = await call.backend.committer.execute(call.project_id, handler)
    opened: Opened = committed.value
    members = {
        "id": batch_id,
        "runCount": opened.batch.item_count,
        "isCached": opened.was_there and opened.batch.is_complete,
    }
    if body.idempotencyKey is not None:
        members["idempotencyKey"] = body.idempotencyKey
    return Answer(
        members, 202, position=committed.position, headers=await handle_headers(call, f"read:batch:{batch_id}")
    )


async def send_batch_items(call: Call) -> Answer:
    """Trigger items of a batch: lines of JSON, each with its `index`. Items that the batch has already are passed over.

    All items of a request are taken or, if any is not valid, none. `sealed` once the batch has all its runs.
    """
    lines = await numbered_items(call)
    items, guesses = await _items(call, [(line.index, line) for line in lines])
    handler = TriggerBatchItems(call.context, call.path["batch_id"], items, TASK_DEFAULTS, guesses=guesses)
    committed = await call.backend.committer.execute(call.project_id, handler)
    taken: Taken = committed.value
    batch = taken.batch
    members = {
        "id": batch.batch_id,
        "itemsAccepted": len(taken.triggerings),
        "itemsDeduplicated": taken.repeated,
        "sealed": batch.is_complete,
        "enqueuedCount": sum(1 for run_id in batch.run_ids if run_id),
        "expectedCount": batch.item_count,
    }
    return Answer(members, position=committed.position)


async def trigger_task_batch(call: Call) -> Answer:
    """Trigger up to 1,000 runs of any tasks in one append: all of them or, if any item is not valid, none.

    The same `idempotency-key` answers the same batch.
    """
    taken, position, key = await _trigger(call)
    batch = taken.batch
    runs = await _runs(call, batch.run_ids)
    made = {index: one.idempotency_hit for index, one in taken.triggerings.items()}
    cached = not made
    members: dict[str, Any] = {
        "id": batch.batch_id,
        "isCached": cached,
        "runs": [
            _batch_run(runs[run_id], cached or made.get(index, True)) for index, run_id in enumerate(batch.run_ids)
        ],
    }
    if key is not None:
        members["idempotencyKey"] = key
    headers = await handle_headers(call, f"read:batch:{batch.batch_id}")
    return Answer(members, 202, position=position, headers=headers)


async def trigger_counted_batch(call: Call) -> Answer:
    """Trigger up to 1,000 runs of any tasks in one append, and answer how many there are."""
    taken, position, _ = await _trigger(call)
    batch_id = taken.batch.batch_id
    headers = await handle_headers(call, f"read:batch:{batch_id}")
    return Answer({"id": batch_id, "runCount": taken.batch.item_count}, 202, position=position, headers=headers)


async def retrieve_task_batch(call: Call) -> Answer:
    """Answer a batch: COMPLETED when all its runs have ended."""
    return await _retrieve(call, new=True)


async def retrieve_task_batch_of_old(call: Call) -> Answer:
    """Answer a batch as the clients of 3.x know it: PENDING until all its runs have ended, COMPLETED then."""
    return await _retrieve(call, new=wants_new(call))


async def get_task_batch_results(call: Call) -> Answer:
    """Answer what the runs of a batch came to, in the order of the items; 404 until all have ended."""
    batch = await _load(call)
    run_ids = await _run_ids(call, batch)
    runs = await _runs(call, run_ids)
    if any(run_id not in runs or runs[run_id].finished_at is None for run_id in run_ids):
        raise RunNotEnded(f"the batch {batch.batch_id} has runs that have not ended yet: ask again later")
    results = dict(await call.backend.read(RUN_SQL["results"], {"project_id": call.project_id, "run_ids": run_ids}))
    items = [render_result(runs[run_id], results[run_id]) for run_id in run_ids]
    return Answer({"id": batch.batch_id, "items": items})


async def _trigger(call: Call) -> tuple[Taken, int, str | None]:
    body = call.body(BatchBody)
    key = call.request.fields.get("idempotency-key") or None
    if key is not None and len(key) > _LONGEST_KEY:
        raise Invalid(f"an idempotency key has at most {_LONGEST_KEY:,} characters")
    batch_id = _batch_id(call, key)
    items, guesses = await _items(call, list(enumerate(body.items)))
    opening = OpenBatch(call.context, batch_id, len(items), key)
    handler = TriggerBatchItems(call.context, batch_id, items, TASK_DEFAULTS, opening, guesses)
    committed = await call.backend.committer.execute(call.project_id, handler)
    return committed.value, committed.position, key


def _batch_id(call: Call, key: str | None) -> str:
    return id_for_request(call, "batch") if key is None else id_for("batch", call.project_id, "key", key)


async def _items(call: Call, bodies: Sequence[tuple[int, BatchItemBody]]) -> tuple[list[Item], dict[str, str]]:
    """Return the items that bodies ask for, and which jobs their tasks probably are."""
    guesses = {task: await guess(call, task) for task in dict.fromkeys(body.task for _, body in bodies)}
    now = utc_now()

    async def wish(index: int, body: BatchItemBody) -> TriggerRequest:
        try:
            whole = await inlined(call, body)
            return request_of(new_id("run"), whole, now)
        except Invalid as error:
            raise type(error)(f"items[{index}]: {error.message}", details=error.details) from error

    items = [Item(index, body.task, await wish(index, body)) for index, body in bodies]
    return items, {task: job_id for task, (job_id, _) in guesses.items() if job_id is not None}


def _batch_run(run: Run, is_cached: bool) -> dict[str, Any]:
    members = {"id": run.run_id, "taskIdentifier": run.job_slug, "isCached": is_cached}
    key = given_key(run)
    return members if key is None else {**members, "idempotencyKey": key}


async def _runs(call: Call, run_ids: Sequence[str]) -> dict[str, Run]:
    params = {"project_id": call.project_id, "run_ids": list(run_ids)}
    return {run_id: RUNS.decode(state) for run_id, _, state in await call.backend.read(RUN_SQL["load"], params)}


async def _load(call: Call) -> Batch:
    params = {"project_id": call.project_id, "batch_id": call.path["batch_id"]}
    rows = await call.backend.read(BATCH_SQL["get"], params)
    batch = BATCHES.decode(rows[0][0]) if rows else None
    if batch is None:
        raise NotFound(f"there is no batch {call.path['batch_id'][:128]!r} in this project")
    return batch


async def _retrieve(call: Call, *, new: bool) -> Answer:
    batch = await _load(call)
    run_ids = await _run_ids(call, batch)
    params = {"project_id": call.project_id, "run_ids": run_ids}
    is_over = batch.is_complete and not (await call.backend.read(RUN_SQL["has_unfinished"], params))[0][0]
    return Answer(render_batch(batch, run_ids, is_over=is_over, new=new))


async def _run_ids(call: Call, batch: Batch) -> list[str]:
    """Return the runs of a batch, by its items; of a bulk trigger by our own API, those that were made."""
    if batch.updated_at is not None:
        return [run_id for run_id in batch.run_ids if run_id]
    params = RunFilter(batch_id=batch.batch_id).params()
    place = {"project_id": call.project_id, "before": LAST_POSITION, "limit": batch.item_count}
    rows = await call.backend.read(TERMS_SQL["page"], {**place, **params})
    return [RUNS.decode(row[0]).run_id for row in reversed(rows)]


_TRIGGERS: dict[str, Any] = {"scope": "jobs:trigger", "may_limit": True, "body_limit_factor": BODY_FACTOR}
_READS = TokenAccess("read", batch_in_path, hides=True)
_BATCHES = TokenAccess("batchTrigger", targets.tasks_of_batch, hides=True, spends=True)
_OPENS = TokenAccess("batchTrigger", targets.tasks_of_new_batch, hides=True, spends=True, repeat_key=request_key)
_ITEMS = TokenAccess("batchTrigger", targets.tasks_of_items, hides=True)
# A token for one use is taken by the request that opens the batch: the one with the items goes on with it.

OPERATIONS = (
    trigger_operation(
        "POST",
        "/api/v3/batches",
        open_task_batch,
        "Open a batch",
        tokens=_OPENS,
        status=202,
        **_TRIGGERS,
        body=OpenBatchBody,
        answer=answers.OpenedBatch,
    ),
    trigger_operation(
        "POST",
        "/api/v3/batches/{batch_id}/items",
        send_batch_items,
        "Trigger items of a batch",
        tokens=_ITEMS,
        **_TRIGGERS,
        raw_body=RawBody("application/x-ndjson", NumberedItemBody),
        answer=answers.TakenItems,
    ),
    trigger_operation(
        "POST",
        "/api/v1/tasks/batch",
        trigger_task_batch,
        "Trigger a batch",
        tokens=_BATCHES,
        status=202,
        **_TRIGGERS,
        body=BatchBody,
        answer=answers.TriggeredBatch,
    ),
    trigger_operation(
        "POST",
        "/api/v2/tasks/batch",
        trigger_counted_batch,
        "Trigger a batch, and count it",
        tokens=_BATCHES,
        status=202,
        **_TRIGGERS,
        body=BatchBody,
        answer=answers.CountedBatch,
    ),
    trigger_operation(
        "GET",
        "/api/v2/batches/{batch_id}",
        retrieve_task_batch,
        "Retrieve a batch",
        tokens=_READS,
        answer=answers.TaskBatch,
    ),
    trigger_operation(
        "GET",
        "/api/v1/batches/{batch_id}",
        retrieve_task_batch_of_old,
        "Retrieve a batch, for 3.x",
        tokens=_READS,
        answer=answers.TaskBatch,
    ),
    trigger_operation(
        "GET",
        "/api/v1/batches/{batch_id}/results",
        get_task_batch_results,
        "Get the results of a batch",
        answer=answers.BatchResults,
    ),
)
