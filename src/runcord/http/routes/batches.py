"""Batches: what was triggered at once."""

from typing import Any

from runcord.batch.state import Batch
from runcord.errors import NotFound
from runcord.http.models.batch import BatchesQuery, BatchOperation, BatchQuery
from runcord.http.models.page import encode_cursor, list_of, page
from runcord.http.newest_first import place_before
from runcord.http.operation import Answer, Call, Operation, TokenAccess
from runcord.http.targets import batch_in_path
from runcord_projections.batch_view.projection import CODEC, SQL

_BATCHES = "batches"


async def list_batches(call: Call) -> Answer:
    """List the bulk triggers, newest first. The cursor is the one of the page before, or a time."""
    query = call.query(BatchesQuery)
    call.require_own_project(query.project_id)
    params = {"before": await place_before(call, query, _BATCHES), "limit": query.size + 1}
    rows = await call.backend.read(SQL["page"], {"project_id": call.project_id, **params})
    shown = rows[: query.size]
    next_cursor = encode_cursor(_BATCHES, shown[-1][1]) if len(rows) > query.size else None
    batches = [_render(CODEC.decode(state), call.project_id) for state, _ in shown]
    return page(call, query, batches, next_cursor)


async def get_batch(call: Call) -> Answer:
    """Get one bulk trigger."""
    call.require_own_project(call.query(BatchQuery).project_id)
    params = {"project_id": call.project_id, "batch_id": call.path["batch_id"]}
    rows = await call.backend.read(SQL["get"], params)
    if not rows:
        raise NotFound("there is no such batch in this project")
    return Answer(_render(CODEC.decode(rows[0][0]), call.project_id))


def _render(batch: Batch, project_id: str) -> dict[str, Any]:
    members: dict[str, Any] = {
        "id": batch.batch_id,
        "project_id": project_id,
        "job_id": batch.job_id,
        "item_count": batch.item_count,
        "created_count": batch.created_count,
        "created_at": batch.created_at,
        "finished_at": batch.created_at,
    }
    return members if batch.created_by is None else {**members, "created_by": batch.created_by}


OPERATIONS = (
    Operation(
        "GET",
        "/v1/batch-operations",
        list_batches,
        "List batches",
        "batches",
        "runs:read",
        ("jobs:read",),
        query=BatchesQuery,
        answer=list_of(BatchOperation),
    ),
    Operation(
        "GET",
        "/v1/batch-operations/{batch_id}",
        get_batch,
        "Get a batch",
        "batches",
        "runs:read",
        ("jobs:read",),
        query=BatchQuery,
        answer=BatchOperation,
        tokens=TokenAccess("read", batch_in_path),
    ),
)
