"""`evolve(operation, recorded) -> operation`: what an event makes of a bulk operation. Pure and total."""

from collections import Counter
from dataclasses import replace

from runcord.bulk import events as e
from runcord.bulk.state import ERROR_SAMPLE, BulkOperation
from runcord.recorded import Recorded


def evolve(operation: BulkOperation | None, recorded: Recorded[e.Event]) -> BulkOperation | None:
    """Return the operation after `recorded`; None stands for one that is not there yet."""
    event, at = recorded.event, recorded.at
    if operation is None:
        return _born(event, recorded) if isinstance(event, e.BulkRequested) else None
    after = replace(operation, version=recorded.version, updated_at=at)
    match event:
        case e.BulkStarted():
            return replace(after, status="running", total=event.total)
        case e.BulkAdvanced():
            results = Counter(outcome.result for outcome in event.outcomes)
            refusals = [outcome for outcome in event.outcomes if outcome.result != "succeeded"]
            return replace(
                after,
                cursor=event.cursor,
                succeeded=operation.succeeded + results["succeeded"],
                skipped=operation.skipped + results["skipped"],
                failed=operation.failed + results["failed"],
                errors=(*operation.errors, *refusals)[:ERROR_SAMPLE],
            )
        case e.BulkCompleted():
            return replace(after, status="completed", finished_at=at)
        case e.BulkCanceled():
            return replace(after, status="canceled", finished_at=at)
        case e.BulkFailed():
            return replace(after, status="failed", finished_at=at, error=event.error)
        case e.BulkRequested():
            return after


def _born(event: e.BulkRequested, recorded: Recorded[e.Event]) -> BulkOperation:
    return BulkOperation(
        operation_id=recorded.stream_id,
        version=recorded.version,
        status="pending",
        action=event.action,
        position=recorded.position,
        requested_by=recorded.metadata.get("actor", ""),
        created_at=recorded.at,
        updated_at=recorded.at,
        request_id=recorded.metadata.get("request_id"),
        run_ids=event.run_ids,
        filter=event.filter,
        limit=event.limit,
        reason=event.reason,
        any_status=event.any_status,
    )
