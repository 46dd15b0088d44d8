"""Make the reference of the statuses and of the events from the code.

python tools/generate_status_docs.py           write docs/reference/statuses.md and docs/reference/events.md
python tools/generate_status_docs.py --check   exit with 1 when they are not current
"""

import argparse
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from runcord.batch import events as batch_events
from runcord.bulk import events as bulk_events
from runcord.bulk.selection import RunFilter
from runcord.job import events as job_events
from runcord.key import events as key_events
from runcord.projection import events as projection_events
from runcord.run import events as run_events
from runcord.run.events import Failure, Refusal
from runcord.run.metadata import MetadataOperation
from runcord.run.retry import RetryPolicy
from runcord.run.status import FINISHED, REPLAYABLE, SLOT_HOLDING, TERMINAL, TRANSITIONS, Status
from runcord.run.trace import ExecutionTrace
from runcord.run.trigger_events import Admission, Hold

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Made by tools/generate_status_docs.py: edit the code, then run it. -->\n"

MEANINGS: dict[Status, str] = {
    Status.DELAYED: "It is due later: its time was given with the trigger or by a reschedule.",
    Status.QUEUED: "It waits for a worker. A retry or a released attempt may have to wait for its time first.",
    Status.DEQUEUED: "A worker has taken it and has not begun. The worker's lease runs.",
    Status.EXECUTING: "A worker works on it. The worker's lease runs, and the clock of the attempt.",
    Status.WAITING: "A time, an event, a child run, its worker or its job's dependencies say when it goes on.",
    Status.PAUSED: "Somebody has stopped it. Its checkpoints stay; whoever resumes it queues it again.",
    Status.DEAD_LETTER: "Its last attempt failed. It lies in the dead-letter queue until somebody replays it.",
    Status.REPLAY_STAGED: "It was picked from the dead-letter queue for a replay that has yet to reach it.",
    Status.COMPLETED: "Its work is done; it may have a result.",
    Status.FAILED: "It failed for good: trying again would not help, or its last attempt failed while it waited.",
    Status.TIMED_OUT: "Its last attempt, or its wait for an event, a child or dependencies, took longer than it may.",
    Status.CRASHED: "The worker of its last attempt was lost: the lease ran out.",
    Status.SYSTEM_FAILED: "It could not be worked on, through no fault of its work.",
    Status.CANCELED: "Somebody cancelled it, or the run that made it.",
    Status.EXPIRED: "Nobody took it within its time to live.",
}

STATUS_HEAD = f"""{NOTE}
# The statuses of a run

A run is in one of {len(Status)} statuses. Every event moves it along a row of this table or leaves it where it is;
a command that would do anything else is refused with `illegal_transition` (409, or what [errors](errors.md) says of the
command), and the run is unchanged.

"""

EVENTS: dict[str, Any] = {
    "a run": run_events.Event,
    "a job": job_events.Event,
    "a batch": batch_events.Event,
    "an API key": key_events.Event,
    "a bulk operation": bulk_events.Event,
    "a projection": projection_events.Event,
}

EVENT_HEAD = f"""{NOTE}
# The events

What happened, in the words of the ledger. Each event has a stable type name with a version; a released version never
changes. A member that has its default value is left out of the stored event. Times are RFC 3339 in UTC, durations
are in seconds.

Around each event stand the stream's id, the event's version in its stream and its position in the project's ledger
(both 1, 2, 3 … without a hole), the ledger's time, an event id, and who caused it in which request.
"""


def statuses() -> str:
    """Return the page of the statuses."""
    return STATUS_HEAD + "\n".join([*_table(), "", *_diagram(), "", *_sets(), ""])


def events() -> str:
    """Return the page of the events."""
    lines = [""]
    for whose, kinds in EVENTS.items():
        lines += [f"## Events of {whose}", ""]
        for event in get_args(kinds) or (kinds,):
            lines += _event(event)
    lines += ["## Shapes", ""]
    for shape in (
        Admission,
        batch_events.BatchItem,
        ExecutionTrace,
        Failure,
        Hold,
        MetadataOperation,
        Refusal,
        RetryPolicy,
        RunFilter,
        bulk_events.Outcome,
    ):
        lines += [f"### {shape.__name__}", "", inspect.cleandoc(shape.__doc__ or ""), "", *_members(shape), ""]
    return EVENT_HEAD + "\n".join(lines).rstrip() + "\n"


def _table() -> Iterator[str]:
    yield "| status | means | may become |"
    yield "| --- | --- | --- |"
    for status in Status:
        following = ", ".join(f"`{other}`" for other in _ordered(TRANSITIONS[status])) or "nothing: it is terminal"
        yield f"| `{status}` | {MEANINGS[status]} | {following} |"


def _diagram() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    # The two statuses that a trigger can give.
    yield "    [*] --> delayed: due later"
    yield "    [*] --> queued: due now"
    for status in Status:
        for following in _ordered(TRANSITIONS[status]):
            yield f"    {status} --> {following}"
    for status in _ordered(TERMINAL):
        yield f"    {status} --> [*]"
    yield "```"


def _sets() -> Iterator[str]:
    sets = [
        ("Terminal", TERMINAL, "Nothing follows."),
        ("Finished", FINISHED, "No worker touches the run any more unless somebody asks: terminal, or a dead letter."),
        ("Slot-holding", SLOT_HOLDING, "An attempt is live: it has a lease and counts against concurrency limits."),
        ("Replayable", REPLAYABLE, "A new run may be made from it."),
    ]
    yield "| set | statuses | means |"
    yield "| --- | --- | --- |"
    for name, members, meaning in sets:
        yield f"| {name} | {', '.join(f'`{status}`' for status in _ordered(members))} | {meaning} |"


def _ordered(members: frozenset[Status]) -> list[Status]:
    return [status for status in Status if status in members]


def _event(event: Any) -> list[str]:
    return [f"### `{event.TYPE}`", "", inspect.cleandoc(event.__doc__), "", *_members(event), ""]


def _members(shape: Any) -> list[str]:
    if not fields(shape):
        return ["No members."]
    rows = [f"| `{field.name}` | {_kind(field.type)} | {_default(field)} |" for field in fields(shape)]
    return ["| member | type | default |", "| --- | --- | --- |", *rows]


def _default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "required"
    return "none" if field.default in (None, ()) else f"`{str(field.default).lower()}`"


def _kind(kind: Any) -> str:
    """Return how a member's type is called where JSON is spoken."""
    names = {str: "string", int: "integer", float: "number", bool: "boolean", datetime: "time", Any: "any JSON value"}
    if kind in names:
        return names[kind]
    if is_dataclass(kind):
        name = getattr(kind, "__name__", "")
        return f"[{name}](#{name.lower()})"
    members = [member for member in get_args(kind) if member is not NoneType]
    if get_origin(kind) is Literal:
        return ", ".join(f"`{member}`" for member in members)
    if get_origin(kind) is tuple:
        return f"list of {_kind(members[0])}s"
    if get_origin(kind) is Mapping:
        return f"object of {_kind(members[1])}s"
    # int | float is how a number is spelled in Python.
    return "number" if float in members else " or ".join(map(_kind, members))


PAGES = {"statuses.md": statuses, "events.md": events}


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 when a page is not current")
    check = parser.parse_args().check
    stale = 0
    for name, make in PAGES.items():
        path = REFERENCE / name
        if check and (not path.is_file() or path.read_text() != make()):
            print(f"{path.name} is not current: run `python tools/generate_status_docs.py`", file=sys.stderr)
            stale = 1
        elif not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(make())
    return stale


if __name__ == "__main__":
    sys.exit(main())
