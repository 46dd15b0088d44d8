"""The statuses of a run and the one table of their legal transitions.

Validation (`decide`), the documentation (`docs/reference/statuses.md`) and the tests are made from `TRANSITIONS`.
The names and the table are those of Strait's run API, with two additions (ADR 0003): a waiting run may be queued
again, so that any worker can take it up when what it waited for has come, and a queued run may be delayed by a
reschedule.
"""

from enum import StrEnum


class Status(StrEnum):
    """Where a run is in its life."""

    DELAYED = "delayed"
    QUEUED = "queued"
    DEQUEUED = "dequeued"
    EXECUTING = "executing"
    WAITING = "waiting"
    PAUSED = "paused"
    DEAD_LETTER = "dead_letter"
    REPLAY_STAGED = "replay_staged"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    SYSTEM_FAILED = "system_failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


_S = Status

TRANSITIONS: dict[Status, frozenset[Status]] = {
    _S.DELAYED: frozenset({_S.QUEUED, _S.CANCELED, _S.EXPIRED}),
    _S.QUEUED: frozenset({_S.DEQUEUED, _S.DELAYED, _S.CANCELED, _S.EXPIRED}),
    _S.DEQUEUED: frozenset({_S.EXECUTING, _S.QUEUED, _S.CANCELED, _S.SYSTEM_FAILED}),
    _S.EXECUTING: frozenset(
        {
            _S.COMPLETED,
            _S.FAILED,
            _S.TIMED_OUT,
            _S.CRASHED,
            _S.CANCELED,
            _S.WAITING,
            _S.QUEUED,
            _S.SYSTEM_FAILED,
            _S.DEAD_LETTER,
            _S.PAUSED,
        }
    ),
    _S.WAITING: frozenset({_S.EXECUTING, _S.QUEUED, _S.COMPLETED, _S.FAILED, _S.CANCELED, _S.TIMED_OUT}),
    _S.PAUSED: frozenset({_S.QUEUED, _S.CANCELED}),
    _S.DEAD_LETTER: frozenset({_S.QUEUED, _S.REPLAY_STAGED}),
    _S.REPLAY_STAGED: frozenset({_S.QUEUED, _S.CANCELED}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.TIMED_OUT: frozenset(),
    _S.CRASHED: frozenset(),
    _S.SYSTEM_FAILED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.EXPIRED: frozenset(),
}

TERMINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)
"""Nothing follows these."""

FINISHED = TERMINAL | {Status.DEAD_LETTER}
"""No worker will do anything unless somebody asks for it: terminal, or dead-lettered."""

SLOT_HOLDING = frozenset({Status.DEQUEUED, Status.EXECUTING})
"""An attempt is live: it has a lease, and counts against the concurrency limits."""

REPLAYABLE = FINISHED
"""A new run may be made from one of these."""


def may_become(current: Status, following: Status) -> bool:
    """Return whether the table allows `current` to be followed by `following`."""
    return following in TRANSITIONS[current]
