"""Actions on many runs in Strait's JSON, and bulk operations, which are ours, in the same manner."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from runcord.bulk.events import Outcome
from runcord.bulk.state import BulkOperation
from runcord.errors import RunNotFound
from runcord.handling.bulk import Acted
from runcord.http.compat.strait.render import render_run
from runcord.ledger.mapper import to_json

_PRESENT_IF_SET = ("total", "limit", "reason", "error", "finished_at")


def render_cancellations(acted: Sequence[Acted]) -> dict[str, Any]:
    """Return a BulkCancelResponse; what is wrong with a run is said in Strait's words, where it has some."""
    canceled = sum(one.outcome.result == "succeeded" for one in acted)
    return {
        "results": [_cancellation(one) for one in acted],
        "total": len(acted),
        "canceled": canceled,
        "failed": len(acted) - canceled,
    }


def _cancellation(acted: Acted) -> dict[str, Any]:
    outcome, run = acted.outcome, acted.run
    item: dict[str, Any] = {"id": outcome.run_id, "status": "failed" if run is None else run.status}
    if outcome.code == RunNotFound.code:
        item["error"] = "run not found"
    elif run is not None and run.is_terminal and outcome.result != "succeeded":
        item["error"] = "run already in terminal state"
    elif outcome.error is not None:
        item["error"] = outcome.error
    return item


def render_new_runs(acted: Sequence[Acted], *, project_id: str) -> list[dict[str, Any]]:
    """Return the runs that a replay has made, as a JobRun each."""
    return [
        render_run(one.new_run, None if one.payload is None else to_json(one.payload), project_id=project_id)
        for one in acted
        if one.new_run is not None
    ]


def render_replays(acted: Sequence[Acted]) -> dict[str, Any]:
    """Return what became of each run that was to be replayed."""
    return {
        "results": [_replay(one.outcome) for one in acted],
        "total": len(acted),
        "replayed": sum(one.new_run is not None for one in acted),
    }


def _replay(outcome: Outcome) -> dict[str, Any]:
    status = "replayed" if outcome.result == "succeeded" else outcome.result
    item = {"original_run_id": outcome.run_id, "status": status}
    given = {"new_run_id": outcome.new_run_id, "error": outcome.error}
    return item | {name: value for name, value in given.items() if value is not None}


def render_operation(operation: BulkOperation, *, project_id: str) -> dict[str, Any]:
    """Return a bulk operation as JSON members."""
    members: dict[str, Any] = {
        "id": operation.operation_id,
        "request_id": operation.operation_id,
        "project_id": project_id,
        "action": operation.action,
        "status": operation.status,
        "done": operation.done,
        "succeeded": operation.succeeded,
        "skipped": operation.skipped,
        "failed": operation.failed,
        "errors": [render_outcome(outcome) for outcome in operation.errors],
        "version": operation.version,
        "created_by": operation.requested_by,
        "created_at": operation.created_at,
        "updated_at": operation.updated_at,
    }
    if operation.filter is not None:
        members["filter"] = _present(asdict(operation.filter))
    return members | _present({name: getattr(operation, name) for name in _PRESENT_IF_SET})


def render_outcome(outcome: Outcome) -> dict[str, Any]:
    """Return what became of one run."""
    return _present(asdict(outcome))


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
