"""Statuses as Trigger.dev names them (`spec/trigger.md` §6.1).

Its server has internal names, which realtime shows; its REST API has two vocabularies, which clients choose by the
header `x-trigger-api-version`: 4.x sends it, 3.x does not.
"""

from collections.abc import Iterable, Mapping

from runcord.run.state import Run
from runcord.run.status import Status

API_VERSION = "2025-07-16"
"""The one value of `x-trigger-api-version` that chooses the new names; any other counts as none."""

_S = Status

_INTERNAL: Mapping[Status, str] = {
    _S.DELAYED: "DELAYED",
    _S.QUEUED: "PENDING",
    _S.DEQUEUED: "DEQUEUED",
    _S.EXECUTING: "EXECUTING",
    _S.WAITING: "WAITING_TO_RESUME",
    _S.PAUSED: "PAUSED",
    _S.DEAD_LETTER: "COMPLETED_WITH_ERRORS",
    _S.REPLAY_STAGED: "COMPLETED_WITH_ERRORS",
    _S.COMPLETED: "COMPLETED_SUCCESSFULLY",
    _S.FAILED: "COMPLETED_WITH_ERRORS",
    _S.TIMED_OUT: "TIMED_OUT",
    _S.CRASHED: "CRASHED",
    _S.SYSTEM_FAILED: "SYSTEM_FAILURE",
    _S.CANCELED: "CANCELED",
    _S.EXPIRED: "EXPIRED",
}

_RETRYING = "RETRYING_AFTER_FAILURE"

_FINAL = ("CANCELED", "CRASHED", "SYSTEM_FAILURE", "EXPIRED", "TIMED_OUT")

NEW_NAMES: Mapping[str, str] = {
    "DELAYED": "DELAYED",
    "PENDING": "QUEUED",
    "DEQUEUED": "DEQUEUED",
    "EXECUTING": "EXECUTING",
    _RETRYING: "EXECUTING",
    "WAITING_TO_RESUME": "WAITING",
    "PAUSED": "WAITING",
    "COMPLETED_SUCCESSFULLY": "COMPLETED",
    "COMPLETED_WITH_ERRORS": "FAILED",
    **{name: name for name in _FINAL},
}
"""From internal names to REST with the header."""

OLD_NAMES: Mapping[str, str] = {
    **NEW_NAMES,
    "DEQUEUED": "EXECUTING",
    _RETRYING: "REATTEMPTING",
    "WAITING_TO_RESUME": "FROZEN",
    "PAUSED": "FROZEN",
}
"""From internal names to REST without the header."""

_NEVER_OURS = frozenset({"PENDING_VERSION", "WAITING_FOR_DEPLOY", "INTERRUPTED"})
"""What no run of ours is: a filter may name it, and finds nothing."""

OLD_INTERNAL: Mapping[str, str] = {"DEQUEUED": "EXECUTING"}
"""What realtime sends to clients that do not send the header, where that is another internal name: 3.x knows fewer."""

NAMES = frozenset({*NEW_NAMES.values(), *OLD_NAMES.values(), *_NEVER_OURS})
"""What clients may ask for, in either vocabulary."""

QUEUED = frozenset({"QUEUED", "DELAYED", "PENDING_VERSION", "WAITING_FOR_DEPLOY"})
EXECUTING = frozenset({"EXECUTING", "DEQUEUED", "REATTEMPTING", "FROZEN"})
WAITING = frozenset({"WAITING"})
FAILED = frozenset({"FAILED", "CRASHED", "INTERRUPTED", "SYSTEM_FAILURE", "EXPIRED", "TIMED_OUT"})
COMPLETED = FAILED | {"COMPLETED", "CANCELED"}
"""What `runs.poll` ends on. Trigger.dev leaves EXPIRED and TIMED_OUT out, and its polls never end on them."""


def is_new(api_version: str | None) -> bool:
    """Return whether a client wants the new names."""
    return api_version == API_VERSION


def internal_status(run: Run) -> str:
    """Return the internal name of a run's status."""
    if run.status is Status.QUEUED and run.next_retry_at is not None:
        return _RETRYING
    if run.is_held:
        return "PENDING"  # nobody has begun with it: it is no wait of its own
    return _INTERNAL[run.status]


def realtime_status(run: Run, *, new: bool) -> str:
    """Return the name that realtime shows: the internal one, as far as the client knows it."""
    name = internal_status(run)
    return name if new else OLD_INTERNAL.get(name, name)


def rest_status(run: Run, *, new: bool) -> str:
    """Return the name that the REST API shows."""
    return (NEW_NAMES if new else OLD_NAMES)[internal_status(run)]


def internal_names(wanted: Iterable[str]) -> frozenset[str]:
    """Return the internal names that names of either vocabulary stand for; those that no run has stand for none."""
    asked = set(wanted)
    return frozenset(name for names in (NEW_NAMES, OLD_NAMES) for name, shown in names.items() if shown in asked)


def own_statuses(internal: Iterable[str]) -> list[Status]:
    """Return our statuses in which a run may have one of these internal names."""
    asked = set(internal)
    found = {status for status, name in _INTERNAL.items() if name in asked}
    if _RETRYING in asked:
        found.add(Status.QUEUED)
    if "PENDING" in asked:
        found.add(Status.WAITING)
    return [status for status in Status if status in found]
