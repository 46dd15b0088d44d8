"""Runs, batches and bulk actions as Trigger.dev's clients know them (`spec/trigger.md` §3).

Members that have nothing to say are absent, never null: the clients' schemas refuse null.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from runcord.batch.state import Batch
from runcord.bulk.state import BulkOperation
from runcord.http.compat.trigger import status as names
from runcord.http.compat.trigger.duration import duration
from runcord.http.compat.trigger.failure import serialized_error, task_run_error
from runcord.http.compat.trigger.wishes import GIVEN_KEY
from runcord.key.token_scopes import tag_texts
from runcord.run.packet import PLAIN, Packet, text_of
from runcord.run.state import Run
from runcord.run.status import Status
from runcord_projections.run_view.projection import work_ms

ENVIRONMENT = "prod"
"""The name of the one environment that a project has here."""

_HIDDEN = {
    "payload": "payload",
    "output": "output",
    "metadata": "metadata",
    "error": "error",
    "ttl": "ttl",
    "idempotencyKey": "idempotencyKey",
    "startedAt": "startedAt",
    "completedAt": "finishedAt",
    "delayUntil": "delayedUntil",
    "expiredAt": "expiredAt",
}
"""From the columns that a token may not see to the members that are left out for it."""


def render_item(run: Run, project_id: str, *, new: bool, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return a run as lists show it; `new` chooses the newer names of statuses."""
    members = {**_common(run, new=new), "env": {"id": project_id, "name": ENVIRONMENT}}
    return _without(members, hidden)


def render_run(
    run: Run,
    payload: bytes | None,
    result: bytes | None,
    *,
    new: bool,
    ancestors: Sequence[Run] = (),
    children: Sequence[Run] = (),
    hidden: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return a whole run. `ancestors` are its parent, the parent's parent, and so on."""
    related: dict[str, Any] = {"children": [_related(child, len(ancestors) + 1, new, hidden) for child in children]}
    if ancestors:
        related["root"] = _related(ancestors[-1], 0, new, hidden)
        related["parent"] = _related(ancestors[0], len(ancestors) - 1, new, hidden)
    members: dict[str, Any] = {
        **_common(run, new=new),
        "depth": len(ancestors),
        "triggerFunction": _trigger_function(run),
        "attempts": [],
        "attemptCount": _attempts(run),
        "relatedRuns": related,
    }
    optional: Mapping[str, Any] = {
        "payload": None if payload is None else orjson.Fragment(payload),
        "output": None if result is None else orjson.Fragment(result),
        "error": serialized_error(run),
        "batchId": run.batch_id,
    }
    return _without({**members, **_present(optional)}, hidden)


def render_result(run: Run, result: bytes | None) -> dict[str, Any]:
    """Return what a finished run came to."""
    head = {"id": run.run_id, "taskIdentifier": run.job_slug}
    if run.status is not Status.COMPLETED:
        return {"ok": False, **head, "error": task_run_error(run) or {"type": "STRING_ERROR", "raw": str(run.status)}}
    value = None if result is None else orjson.loads(result)
    text = text_of(value, Packet(None if value is None else run.output_type))
    output = {} if text is None else {"output": text}
    return {"ok": True, **head, **output, "outputType": run.output_type or PLAIN}


def render_batch(batch: Batch, run_ids: Sequence[str], *, is_over: bool, new: bool) -> dict[str, Any]:
    """Return a batch with its runs, by their items. It is over when all its runs are there and have ended."""
    unfinished = "PROCESSING" if new and batch.is_complete else "PENDING"
    members: dict[str, Any] = {
        "id": batch.batch_id,
        "status": "COMPLETED" if is_over else unfinished,
        "createdAt": batch.created_at,
        "updatedAt": batch.updated_at or batch.created_at,
        "runCount": batch.item_count,
        "runs": [*run_ids],
        **({"processing": {"errors": []}} if new else {}),
    }
    return members | _present({"idempotencyKey": batch.idempotency_key})


def render_bulk_action(operation: BulkOperation) -> dict[str, Any]:
    """Return a bulk action. A run that refused counts as a failure."""
    ended = {"completed": "COMPLETED", "canceled": "ABORTED", "failed": "ABORTED"}
    members = {
        "id": operation.operation_id,
        "type": "CANCEL" if operation.action == "cancel" else "REPLAY",
        "status": ended.get(operation.status, "PENDING"),
        "counts": {
            "total": operation.total or 0,
            "success": operation.succeeded,
            "failure": operation.skipped + operation.failed,
        },
        "createdAt": operation.created_at,
    }
    return members | _present({"name": operation.reason, "completedAt": operation.finished_at})


def is_test(run: Run) -> bool:
    """Return whether the run was triggered as a test."""
    return bool((run.hints or {}).get("test"))


def hint(run: Run, name: str) -> str | None:
    """Return something that was said at the trigger, if it is a text."""
    value = (run.hints or {}).get(name)
    return value if isinstance(value, str) else None


def _common(run: Run, *, new: bool) -> dict[str, Any]:
    shown = names.rest_status(run, new=new)
    members = {
        "id": run.run_id,
        "status": shown,
        "taskIdentifier": run.job_slug,
        "isQueued": shown in names.QUEUED,
        "isExecuting": shown in names.EXECUTING,
        "isWaiting": shown in names.WAITING,
        "isCompleted": shown in names.COMPLETED,
        "isSuccess": shown == "COMPLETED",
        "isFailed": shown in names.FAILED,
        "isCancelled": shown == "CANCELED",
        "isTest": is_test(run),
        "createdAt": run.created_at,
        "updatedAt": run.updated_at,
        "tags": tag_texts(run.tags),
        "costInCents": 0,
        "baseCostInCents": 0,
        "durationMs": work_ms(run) or 0,
    }
    return members | _present(
        {
            "startedAt": run.started_at,
            "finishedAt": run.finished_at,
            "delayedUntil": run.scheduled_at,
            "expiredAt": run.finished_at if run.status is Status.EXPIRED else None,
            "ttl": None if run.ttl_secs is None else duration(run.ttl_secs),
            "idempotencyKey": given_key(run),
            "version": hint(run, "version"),
            "region": hint(run, "region"),
            "metadata": run.metadata or None,
        }
    )


def given_key(run: Run) -> str | None:
    """Return the idempotency key as the user wrote it, as far as that is known."""
    said = (run.hints or {}).get(GIVEN_KEY)
    written = said.get("key") if isinstance(said, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if run.idempotency_key is None or written is None:
        return run.idempotency_key
    return "-".join(written) if isinstance(written, list) else str(written)  # pyright: ignore[reportUnknownArgumentType]


def _related(run: Run, depth: int, new: bool, hidden: frozenset[str]) -> dict[str, Any]:
    members = {
        **_common(run, new=new),
        "depth": depth,
        "triggerFunction": _trigger_function(run),
    }
    return _without(members | _present({"batchId": run.batch_id}), hidden)


def _trigger_function(run: Run) -> str:
    name = "trigger" if run.batch_id is None else "batchTrigger"
    return f"{name}AndWait" if run.parent_waits else name


def _attempts(run: Run) -> int:
    """Return how many attempts have begun."""
    return run.attempt if run.started_at is not None else run.attempt - 1


def _without(members: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    left_out = {member for column, member in _HIDDEN.items() if column in hidden}
    shown = {name: value for name, value in members.items() if name not in left_out}
    return shown | {"tags": []} if "runTags" in hidden else shown


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
