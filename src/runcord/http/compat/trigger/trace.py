"""The trace of a run as Trigger.dev's clients see it: spans made of its own history, and of the runs that it spawned.

The run is the root, each attempt a span below it, and each spawned run a span below the attempt that was at work then.
Ids follow from the record, so that they are the same on every server and for ever.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from runcord.http.compat.trigger.status import internal_status, rest_status
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.state import Run
from runcord.run.status import Status

_WENT_WRONG = (e.Retried, e.DeadLettered, e.Failed, e.TimedOut, e.Crashed, e.SystemFailed)
_LET_GO = (e.Completed, e.Released, e.Expired, e.Canceled, e.Paused, e.Restarted)
TRACED = (e.Dequeued, e.Resumed, *_WENT_WRONG, *_LET_GO)
"""The events that attempts are made of."""


@dataclass(frozen=True)
class Span:
    """Something that took time. Without an end it goes on."""

    id: str
    parent_id: str | None
    run_id: str
    message: str
    start: datetime
    end: datetime | None = None
    attempt: int | None = None
    error: e.Failure | None = None
    is_canceled: bool = False
    properties: dict[str, Any] = field(default_factory=dict[str, Any])

    def duration_ms(self, now: datetime) -> float:
        """Return how long it took, or has taken up to now."""
        return max(0.0, ((self.end or now) - self.start).total_seconds() * 1000)


def trace_id(run_id: str) -> str:
    """Return the id of a run's trace."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:32]


def span_id(run_id: str, version: int = 0) -> str:
    """Return the id of the span that a run's event of a version begins; that of the run itself without one."""
    return hashlib.sha256(f"{run_id}:{version}".encode()).hexdigest()[:16]


def spans_of(run: Run, history: Iterable[Recorded[Any]], children: Sequence[Run] = ()) -> list[Span]:
    """Return the run, its attempts and the runs that it spawned, each after the span that it is below."""
    root = _of_run(run, None)
    attempts = _attempts(run, root.id, history)
    spawned = [_of_run(child, _at_work(attempts, child.created_at) or root.id) for child in children]
    return [root, *attempts, *spawned]


def _of_run(run: Run, parent_id: str | None) -> Span:
    return Span(
        id=span_id(run.run_id),
        parent_id=parent_id,
        run_id=run.run_id,
        message=run.job_slug,
        start=run.created_at,
        end=run.finished_at,
        error=run.error if run.status is not Status.COMPLETED and run.is_finished else None,
        is_canceled=run.status is Status.CANCELED,
        properties={"status": internal_status(run), "queue": run.queue},
    )


def _attempts(run: Run, parent_id: str, history: Iterable[Recorded[Any]]) -> list[Span]:
    found: list[Span] = []
    for recorded in history:
        event, open_span = recorded.event, bool(found) and found[-1].end is None
        if open_span and not (isinstance(event, e.Resumed) and event.to == "executing"):
            found[-1] = replace(
                found[-1],
                end=recorded.at,
                error=event.error if isinstance(event, _WENT_WRONG) else None,
                is_canceled=isinstance(event, e.Canceled),
            )
        if isinstance(event, e.Dequeued):
            found.append(
                Span(
                    id=span_id(run.run_id, recorded.version),
                    parent_id=parent_id,
                    run_id=run.run_id,
                    message=f"Attempt {event.attempt}",
                    start=recorded.at,
                    attempt=event.attempt,
                    properties={"worker": event.worker_id},
                )
            )
    return found


def _at_work(attempts: Sequence[Span], at: datetime) -> str | None:
    """Return the id of the attempt that was at work at a time."""
    for span in reversed(attempts):
        if span.start <= at and (span.end is None or at <= span.end):
            return span.id
    return None


# --- how they are shown -------------------------------------------------------------------------------


def render_tree(run: Run, spans: Sequence[Span], now: datetime) -> dict[str, Any]:
    """Return the whole trace as a tree."""
    nodes = {span.id: _node(run, span, now) for span in spans}
    for span in spans[1:]:
        nodes[span.parent_id or spans[0].id]["children"].append(nodes[span.id])
    return {"trace": {"traceId": trace_id(run.run_id), "rootSpan": nodes[spans[0].id]}}


def render_page(spans: Sequence[Span], now: datetime) -> dict[str, Any]:
    """Return spans as a page shows them, and which attempts failed."""
    failures = [
        {"spanId": span.id, "attemptNumber": span.attempt, "runId": span.run_id}
        for span in spans
        if span.attempt is not None and span.error is not None
    ]
    return {"data": [_lean(span, now) for span in spans], "attemptFailures": failures}


def render_events(spans: Sequence[Span], now: datetime) -> list[dict[str, Any]]:
    """Return spans one by one, as the list of a run's events shows them."""
    return [
        {"spanId": span.id, **{name: value for name, value in _lean(span, now).items() if name != "id"}}
        for span in spans
    ]


def render_span(span: Span, children: Sequence[Run], now: datetime, *, new: bool) -> dict[str, Any]:
    """Return all about one span; `children` are the runs that were spawned below it, `new` chooses the newer names."""
    members: dict[str, Any] = {
        "spanId": span.id,
        "parentId": span.parent_id,
        "runId": span.run_id,
        "message": span.message,
        **_state(span),
        "startTime": span.start,
        "durationMs": span.duration_ms(now),
        "properties": span.properties,
        "events": _events(span),
        "entityType": "task" if span.attempt is None else "attempt",
    }
    if children:
        members["triggeredRuns"] = [
            {
                "runId": child.run_id,
                "taskIdentifier": child.job_slug,
                "status": rest_status(child, new=new),
                "createdAt": child.created_at,
            }
            for child in children
        ]
    return members


def _lean(span: Span, now: datetime) -> dict[str, Any]:
    optional = {"parentId": span.parent_id, "attemptNumber": span.attempt}
    return {
        "id": span.id,
        "runId": span.run_id,
        "message": span.message,
        "startTime": span.start,
        "duration": span.duration_ms(now),
        **_state(span),
        **{name: value for name, value in optional.items() if value is not None},
    }


def _node(run: Run, span: Span, now: datetime) -> dict[str, Any]:
    of_run = {"taskSlug": run.job_slug, "queueName": run.queue} if span.run_id == run.run_id else {}
    data = {
        "message": span.message,
        "startTime": span.start,
        "duration": span.duration_ms(now),
        **_state(span),
        **of_run,
        "events": _events(span),
        "properties": span.properties,
    }
    parent = {} if span.parent_id is None else {"parentId": span.parent_id}
    return {"id": span.id, **parent, "runId": span.run_id, "data": data, "children": []}


def _state(span: Span) -> dict[str, Any]:
    return {
        "isError": span.error is not None,
        "isPartial": span.end is None,
        "isCancelled": span.is_canceled,
        "level": "TRACE",
    }


def _events(span: Span) -> list[dict[str, Any]]:
    if span.error is None:
        return []
    error = span.error
    exception = {"type": error.type or "Error", "message": error.message, "stacktrace": error.stack or ""}
    return [{"name": "exception", "time": span.end or span.start, "properties": {"exception": exception}}]
