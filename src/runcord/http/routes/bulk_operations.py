"""Bulk operations: how far they have come, what became of each run, and how to stop one."""

from typing import Any

from runcord.bulk import state
from runcord.bulk.commands import CancelBulk
from runcord.errors import BulkOperationNotFound
from runcord.handling.bulk import CommandBulk
from runcord.http.compat.strait.bulk import render_operation, render_outcome
from runcord.http.models.bulk import BulkOperation, BulkOutcome
from runcord.http.models.page import PageQuery, encode_cursor, list_of, page
from runcord.http.operation import Answer, Call, Operation
from runcord.projecting.bulk_results import outcomes
from runcord_projections.bulk_view.projection import CODEC, SQL

_LAST_POSITION = 2**63 - 1
_OPERATIONS = "bulk-operations"
_RESULTS = "bulk-results"


async def list_bulk_operations(call: Call) -> Answer:
    """List the project's bulk operations, newest first."""
    query = call.query(PageQuery)
    place = query.place(_OPERATIONS, int)
    params = {
        "project_id": call.project_id,
        "before": place[0] if place else _LAST_POSITION,
        "limit": query.size + 1,
    }
    rows = await call.backend.read(SQL["page"], params)
    shown = rows[: query.size]
    return page(
        call,
        query,
        [render_operation(CODEC.decode(stored), project_id=call.project_id) for stored, _ in shown],
        encode_cursor(_OPERATIONS, shown[-1][1]) if len(rows) > query.size else None,
    )


async def get_bulk_operation(call: Call) -> Answer:
    """Answer a bulk operation: whether it is done, how many runs it has, and what became of how many of them."""
    return _shown(call, await _load(call))


async def cancel_bulk_operation(call: Call) -> Answer:
    """Stop a bulk operation where it is. What it has done to runs stays done. Stopping twice does no harm."""
    handler = CommandBulk(call.context, call.path["operation_id"], CancelBulk())
    committed = await call.backend.committer.execute(call.project_id, handler)
    return _shown(call, committed.value, position=committed.position)


async def list_bulk_results(call: Call) -> Answer:
    """List what has become of the runs of a bulk operation so far, in the order in which they were acted on."""
    query = call.query(PageQuery)
    place = query.place(_RESULTS, int, int)
    operation = await _load(call)
    found = await outcomes(
        call.backend.read,
        call.project_id,
        operation.operation_id,
        after=(place[0], place[1]) if place else (0, 0),
        limit=query.size + 1,
    )
    shown = found[: query.size]
    return page(
        call,
        query,
        [render_outcome(one.outcome) for one in shown],
        encode_cursor(_RESULTS, shown[-1].version, shown[-1].index) if len(found) > query.size else None,
    )


async def _load(call: Call) -> state.BulkOperation:
    params = {"project_id": call.project_id, "operation_id": call.path["operation_id"]}
    rows = await call.backend.read(SQL["get"], params)
    if not rows:
        raise BulkOperationNotFound(f"there is no bulk operation {params['operation_id'][:128]!r} in this project")
    return CODEC.decode(rows[0][0])


def _shown(call: Call, operation: state.BulkOperation, position: int | None = None) -> Answer:
    members = render_operation(operation, project_id=call.project_id)
    return Answer(members, position=position, version=operation.version)


def _about(path: str, **options: Any) -> dict[str, Any]:
    return {
        "method": "GET",
        "path": f"/v1/bulk-operations{path}",
        "tag": "bulk",
        "scope": "runs:read",
        "answer": BulkOperation,
        **options,
    }


OPERATIONS = (
    Operation(
        **_about("", answer=list_of(BulkOperation)),
        handle=list_bulk_operations,
        summary="List bulk operations",
        query=PageQuery,
    ),
    Operation(**_about("/{operation_id}"), handle=get_bulk_operation, summary="Get a bulk operation"),
    Operation(
        **_about("/{operation_id}/results", answer=list_of(BulkOutcome)),
        handle=list_bulk_results,
        summary="List what became of its runs",
        query=PageQuery,
    ),
    Operation(
        **_about("/{operation_id}/cancel", method="POST", scope="runs:write"),
        handle=cancel_bulk_operation,
        summary="Stop a bulk operation",
    ),
)
