"""`evolve(run, recorded) -> run`: what an event makes of a run.

The one fold behind commands, the run view, time travel and rebuilds. Pure and total: it reads no clock, throws
nothing, and an event that a later `decide` would not allow any more still folds.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.build import altered, build
from runcord.run.deadline import later
from runcord.run.metadata import applied
from runcord.run.state import Run, Wait, Window
from runcord.run.status import Status

STATUS_EVENTS = (
    e.Triggered,
    e.Debounced,
    e.Postponed,
    e.Batched,
    e.Enqueued,
    e.Dequeued,
    e.Attempted,
    e.Waited,
    e.Resumed,
    e.Completed,
    e.Retried,
    e.DeadLettered,
    e.Failed,
    e.TimedOut,
    e.Crashed,
    e.SystemFailed,
    e.Released,
    e.Expired,
    e.Canceled,
    e.Paused,
    e.Restarted,
    e.Rescheduled,
    e.ReplayStaged,
    e.DeadLetterReplayed,
)
"""The events that say which status a run has; the last of them says it alone, whatever the run was before."""


def evolve(run: Run | None, recorded: Recorded[e.Event]) -> Run | None:
    """Return the run after `recorded`; None stands for a run that is not there yet."""
    event = recorded.event
    if run is None:
        return _born(event, recorded) if isinstance(event, e.Triggered) else None
    changes = _changes(run, event, recorded)
    changes["version"], changes["updated_at"] = recorded.version, recorded.at
    return altered(run, changes)


def evolve_all(run: Run | None, history: Iterable[Recorded[e.Event]]) -> Run | None:
    """Fold a history, oldest first."""
    for recorded in history:
        run = evolve(run, recorded)
    return run


_FIRST = ("job_id", "job_slug", "job_version", "triggered_by", "policy")
_THEN = (
    "queue",
    "created_by",
    "priority",
    "ttl_secs",
    "tags",
    "metadata",
    "overrides",
    "concurrency_key",
    "idempotency_key",
    "parent_run_id",
    "parent_waits",
    "batch_id",
    "continuation_of",
    "lineage_depth",
    "replay_of",
    "replay_checkpoint",
    "debug_mode",
)
"""What a run has from its trigger, under the same names."""

_TAKEN_OVER = (
    "job_version",
    "policy",
    "queue",
    "created_by",
    "priority",
    "ttl_secs",
    "tags",
    "metadata",
    "overrides",
    "concurrency_key",
    "idempotency_key",
    "debug_mode",
    "payload_type",
    "hints",
)
"""What a run has from the last trigger that was debounced."""


def _born(event: e.Triggered, recorded: Recorded[e.Event]) -> Run:
    at = recorded.at
    due_at = max(event.due_at or at, at)
    given = event.__dict__
    # In the order of the fields, as far as it is known here: the mapper writes them in that order.
    members: dict[str, Any] = {
        "run_id": recorded.stream_id,
        "version": recorded.version,
        "status": Status.DELAYED if due_at > at else Status.QUEUED,
    }
    members |= {name: given[name] for name in _FIRST if name in given}
    members |= {"created_at": at, "updated_at": at, "due_at": due_at}
    members |= {name: value for name in _THEN if (value := given.get(name)) is not None}
    if event.due_at is not None:
        members["scheduled_at"] = event.due_at
    if event.ttl_secs is not None:
        members["expires_at"] = later(due_at, event.ttl_secs)
    if event.hold is not None:
        members["status"] = Status.WAITING
        members["wait"] = Wait(
            "dependency", at, members.get("expires_at"), match=event.hold.match, match_key=event.hold.key
        )
    if recorded.version != 1:
        members["payload_version"] = recorded.version
    admission = event.admission
    if admission is not None and admission.window is not None:
        members["window"] = Window(admission.window, admission.key, bytes=admission.payload_bytes)
        if admission.window == "debounce" and admission.payload_hash is not None:
            members["debounced_hash"] = admission.payload_hash
    if event.payload_type is not None:
        members["payload_type"] = event.payload_type
        if event.payload_text is not None:
            members["payload_text_kept"] = True
    if event.hints is not None:
        members["hints"] = event.hints
    return build(Run, members)


def _changes(run: Run, event: e.Event, recorded: Recorded[e.Event]) -> dict[str, Any]:
    at = recorded.at
    match event:
        case e.Dequeued():
            return {
                "status": Status.DEQUEUED,
                "attempt": event.attempt,
                "fence": event.fence,
                "worker_id": event.worker_id,
                "lease_secs": event.lease_secs,
                "dequeued_at": at,
                "expires_at": None,
                "next_retry_at": None,
                "trace": None,
            }
        case e.Attempted():
            return {
                "status": Status.EXECUTING,
                "started_at": at,
                "timeout_at": _later(at, run.policy.timeout_secs),
            }
        case e.Dispatched():
            return {"trace": event.trace}
        case e.Completed():
            return _ended(Status.COMPLETED, at, None, output_type=event.output_type)
        case e.Logged() | e.Progressed() | e.UsageRecorded() | e.ToolCalled() | e.OutputSet():
            return {}
        case e.StateSet() | e.StateDeleted() | e.Spawned():
            return {}
        case e.EventReceived():
            return {"event_version": recorded.version}
        case e.Checkpointed():
            return {"checkpoints": event.sequence, "checkpoint_version": recorded.version}
        case e.Annotated():
            return {"metadata": {**(run.metadata or {}), **event.annotations}}
        case e.MetadataChanged():
            return {"metadata": applied(run.metadata or {}, event.operations) or None}
        case e.Tagged():
            return {"tags": {**(run.tags or {}), **event.tags}}
        case e.Enqueued():
            return {"status": Status.QUEUED, "window": None}
        case e.Debounced():
            return _debounced(run, event, recorded)
        case e.Postponed():
            return _put_off(run, event, at, run.ttl_secs)
        case e.Batched():
            return _batched(run, event, recorded)
        case e.JobVersionResolved():
            return {"job_version": event.job_version, "policy": event.policy}
        case e.Retried():
            return _queued(event.next_retry_at) | {
                "attempt": event.next_attempt,
                "next_retry_at": event.next_retry_at,
                "error": event.error,
            }
        case e.Released():
            return _queued(event.due_at)
        case e.Waited():
            return _without_attempt_clock() | {
                "status": Status.WAITING,
                "wait": Wait(
                    kind=event.kind,
                    since=at,
                    until=event.until,
                    event_key=event.event_key,
                    trigger_id=event.trigger_id,
                    child_run_id=event.child_run_id,
                    reason=event.reason,
                ),
            }
        case e.Resumed(to="executing"):
            return {
                "status": Status.EXECUTING,
                "wait": None,
                "timeout_at": _later(at, run.policy.timeout_secs),
            }
        case e.Resumed():
            # A run that was held back may be due later still.
            return _queued(max(at, run.due_at))
        case e.Paused():
            return _without_attempt_clock() | {"status": Status.PAUSED, "worker_id": None, "lease_secs": None}
        case e.Restarted():
            return _queued(at) | {"machine_preset": event.machine_preset or run.machine_preset}
        case e.Rescheduled():
            payload = _plain_payload(recorded.version) if event.payload_replaced else {}
            due_at = max(event.due_at, at)
            return payload | {
                "status": Status.DELAYED if due_at > at else Status.QUEUED,
                "due_at": due_at,
                "scheduled_at": event.due_at,
                "next_retry_at": None,
                "expires_at": _later(due_at, run.ttl_secs),
                "window": None,
            }
        case e.DeadLettered():
            return _ended(Status.DEAD_LETTER, at, event.error)
        case e.Failed():
            return _ended(Status.FAILED, at, event.error)
        case e.TimedOut():
            return _ended(Status.TIMED_OUT, at, event.error)
        case e.Crashed():
            return _ended(Status.CRASHED, at, event.error)
        case e.SystemFailed():
            return _ended(Status.SYSTEM_FAILED, at, event.error)
        case e.Expired():
            return _ended(Status.EXPIRED, at, e.Failure("run expired"), window=None)
        case e.Canceled():
            return _ended(Status.CANCELED, at, e.Failure(event.reason), window=None)
        case e.DeadLetterReplayed():
            return _queued(at) | {
                "attempt": 1,
                "round": event.round,
                "error": None,
                "finished_at": None,
                "next_retry_at": None,
                "expires_at": _later(at, run.ttl_secs),
            }
        case e.ReplayStaged():
            return {"status": Status.REPLAY_STAGED, "finished_at": None}
        case e.Replayed():
            return {"replayed_as": event.new_run_id}
        case e.Continued():
            return {"continued_as": event.continuation_run_id}
        case e.StreamOpened():
            return {"streams": (*run.streams, event.stream_id)}
        case e.IdempotencyReset():
            return {"idempotency_key": None} if event.idempotency_key == run.idempotency_key else {}
        case e.DebugSet():
            return {"debug_mode": event.debug_mode}
        case e.Debugged():
            return {"debugged": run.debugged + 1}
        case e.Triggered():
            return {}


def _debounced(run: Run, event: e.Debounced, recorded: Recorded[e.Event]) -> dict[str, Any]:
    return {name: getattr(event, name) for name in _TAKEN_OVER} | {
        "payload_version": recorded.version,
        "payload_text_kept": event.payload_text is not None,
        "debounced_hash": event.admission.payload_hash,
        **_put_off(run, event, recorded.at, event.ttl_secs),
    }


def _put_off(run: Run, event: e.Debounced | e.Postponed, at: datetime, ttl_secs: float | None) -> dict[str, Any]:
    due_at = max(event.due_at, at)
    window = run.window or Window("debounce", event.admission.key, size=0)
    return {
        "status": Status.DELAYED if due_at > at else Status.QUEUED,
        "due_at": due_at,
        "scheduled_at": event.due_at,
        "expires_at": _later(due_at, ttl_secs),
        "window": replace(window, size=window.size + 1) if due_at > at else None,
    }


def _batched(run: Run, event: e.Batched, recorded: Recorded[e.Event]) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "priority": max(run.priority, event.priority),
        **_plain_payload(recorded.version),
    }
    if event.tags:
        changes["tags"] = {**(run.tags or {}), **event.tags}
    if event.metadata:
        changes["metadata"] = {**(run.metadata or {}), **event.metadata}
    if event.full:
        at = recorded.at
        expires_at = _later(at, run.ttl_secs)
        return changes | {"status": Status.QUEUED, "due_at": at, "expires_at": expires_at, "window": None}
    window = run.window or Window("batch", event.admission.key, size=0)
    size, payload_bytes = window.size + 1, window.bytes + event.admission.payload_bytes
    return changes | {"status": Status.DELAYED, "window": replace(window, size=size, bytes=payload_bytes)}


def _plain_payload(version: int) -> dict[str, Any]:
    return {"payload_version": version, "payload_type": None, "payload_text_kept": False}


def _queued(due_at: datetime) -> dict[str, Any]:
    return {
        "status": Status.QUEUED,
        "timeout_at": None,
        "wait": None,
        "due_at": due_at,
        "dequeued_at": None,
        "started_at": None,
        "worker_id": None,
        "lease_secs": None,
    }


def _ended(status: Status, at: datetime, error: e.Failure | None, **more: Any) -> dict[str, Any]:
    return {
        "status": status,
        "timeout_at": None,
        "wait": None,
        "finished_at": at,
        "lease_secs": None,
        "expires_at": None,
        "next_retry_at": None,
        "error": error,
        **more,
    }


def _without_attempt_clock() -> dict[str, Any]:
    return {"timeout_at": None, "wait": None}


def _later(start: datetime, secs: float | None) -> datetime | None:
    return None if secs is None else later(start, secs)
