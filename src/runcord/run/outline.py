"""Outlines of runs: the few things about a run that most read models go by, folded at a fraction of the cost.

`evolve_outline` says of these what `runcord.run.evolve` says; a property test holds one against the other. It needs
little of what events hold: nothing at all of `SILENT` ones, of triggers what `TriggerOutline` names. What changes no
outline is not in `CHANGES`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.build import named_tuple
from runcord.run.status import Status
from runcord.run.trigger_events import Hold


class Outline(NamedTuple):
    """What is known of a run; the names are those of `runcord.run.state.Run`."""

    run_id: str
    job_id: str
    status: Status
    tags: Mapping[str, str] | None
    due_at: datetime
    started_at: datetime | None = None
    attempt: int = 1
    round: int = 1


class TriggerOutline(TypedDict, total=False):
    """What is read of the triggers that make a run, or join one."""

    job_id: str
    due_at: datetime | None
    tags: Mapping[str, str] | None
    hold: Hold | None
    full: bool
    parent_run_id: str | None
    continuation_of: str | None
    replay_of: str | None


def evolve_outline(run: Outline | None, recorded: Recorded[Any]) -> Outline | None:
    """Return the outline after `recorded`; None stands for a run that is not there yet."""
    if run is None:
        return first_outline(recorded.stream_id, recorded.event, recorded.at)
    change = CHANGES.get(recorded.event.__class__)
    return run if change is None else change(run, recorded.event, recorded.at)


def first_outline(stream_id: str, event: Any, at: datetime) -> Outline | None:
    """Return the outline of a run that has just been triggered; None after any other event."""
    if event.__class__ is not e.Triggered:
        return None
    status, due_at = _due(event.due_at, at)
    if event.hold is not None:
        status = Status.WAITING
    return named_tuple(Outline, (stream_id, event.job_id, status, event.tags, due_at, None, 1, 1))


def _due(due_at: datetime | None, at: datetime) -> tuple[Status, datetime]:
    return (Status.QUEUED, at) if due_at is None or due_at <= at else (Status.DELAYED, due_at)


def _now(status: Status) -> Callable[[Outline, Any, datetime], Outline]:
    def change(run: Outline, event: Any, at: datetime) -> Outline:
        return named_tuple(Outline, (run[0], run[1], status, *run[3:]))

    return change


def _dequeued(run: Outline, event: e.Dequeued, at: datetime) -> Outline:
    return named_tuple(Outline, (run[0], run[1], Status.DEQUEUED, *run[3:6], event.attempt, run[7]))


def _attempted(run: Outline, event: e.Attempted, at: datetime) -> Outline:
    return named_tuple(Outline, (run[0], run[1], Status.EXECUTING, *run[3:5], at, *run[6:]))


def _queued(run: Outline, due_at: datetime) -> Outline:
    return run._replace(status=Status.QUEUED, due_at=due_at, started_at=None)


def _released(run: Outline, event: e.Released, at: datetime) -> Outline:
    return _queued(run, event.due_at)


def _restarted(run: Outline, event: e.Restarted, at: datetime) -> Outline:
    return _queued(run, at)


def _retried(run: Outline, event: e.Retried, at: datetime) -> Outline:
    return _queued(run, event.next_retry_at)._replace(attempt=event.next_attempt)


def _resumed(run: Outline, event: e.Resumed, at: datetime) -> Outline:
    return run._replace(status=Status.EXECUTING) if event.to == "executing" else _queued(run, max(at, run.due_at))


def _replayed_as_dead_letter(run: Outline, event: e.DeadLetterReplayed, at: datetime) -> Outline:
    return _queued(run, at)._replace(attempt=1, round=event.round)


def _put_off(run: Outline, event: e.Rescheduled | e.Postponed, at: datetime) -> Outline:
    status, due_at = _due(event.due_at, at)
    return run._replace(status=status, due_at=due_at)


def _tagged(run: Outline, event: e.Tagged, at: datetime) -> Outline:
    return run._replace(tags={**(run.tags or {}), **event.tags})


def _debounced(run: Outline, event: e.Debounced, at: datetime) -> Outline:
    status, due_at = _due(event.due_at, at)
    return run._replace(status=status, due_at=due_at, tags=event.tags)


def _batched(run: Outline, event: e.Batched, at: datetime) -> Outline:
    if event.tags:
        run = run._replace(tags={**(run.tags or {}), **event.tags})
    return run._replace(status=Status.QUEUED, due_at=at) if event.full else run._replace(status=Status.DELAYED)


CHANGES: Mapping[type, Callable[[Outline, Any, datetime], Outline]] = {
    e.Enqueued: _now(Status.QUEUED),
    e.Dequeued: _dequeued,
    e.Attempted: _attempted,
    e.Waited: _now(Status.WAITING),
    e.Resumed: _resumed,
    e.Completed: _now(Status.COMPLETED),
    e.Retried: _retried,
    e.DeadLettered: _now(Status.DEAD_LETTER),
    e.Failed: _now(Status.FAILED),
    e.TimedOut: _now(Status.TIMED_OUT),
    e.Crashed: _now(Status.CRASHED),
    e.SystemFailed: _now(Status.SYSTEM_FAILED),
    e.Released: _released,
    e.Expired: _now(Status.EXPIRED),
    e.Canceled: _now(Status.CANCELED),
    e.Paused: _now(Status.PAUSED),
    e.Restarted: _restarted,
    e.Rescheduled: _put_off,
    e.ReplayStaged: _now(Status.REPLAY_STAGED),
    e.DeadLetterReplayed: _replayed_as_dead_letter,
    e.Tagged: _tagged,
    e.Postponed: _put_off,
    e.Debounced: _debounced,
    e.Batched: _batched,
}
"""What each event makes of an outline; the others leave it as it is."""

JOINING = (e.Triggered, e.Debounced, e.Batched)
"""The events of which no more than `TriggerOutline` is read: they hold payloads."""

SILENT = (
    e.Enqueued,
    e.Attempted,
    e.Waited,
    e.Completed,
    e.Failed,
    e.TimedOut,
    e.Crashed,
    e.SystemFailed,
    e.Expired,
    e.Canceled,
    e.Paused,
    e.Restarted,
    e.ReplayStaged,
)
"""The events of which only their type is read."""
