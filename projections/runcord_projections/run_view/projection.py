"""The run view: every run as it is now, written in the transaction of the command that changed it.

Guarantees: a row is exactly what `runcord.run.evolve` makes of the run's events up to the row's `version`. Payload
and result stand beside the state, as the JSON bytes of the event that holds them, and are written only when they
change.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from runcord.ledger.arrays import Bigints, Booleans, Bytes, Integers, Smallints, Texts, Times
from runcord.ledger.mapper import RUNS, to_json
from runcord.ledger.view import Change, Statement
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.evolve import evolve
from runcord.run.payload import payload_after, replaces_payload
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.sql import load

SQL = load("runcord_projections.run_view", "view.sql")

CODEC = RUNS

INT32_MAX = 2**31 - 1
_MILLISECOND = timedelta(milliseconds=1)


class RunView:
    """The inline view of streams `run_…`."""

    name = "run_view"
    version = 1
    prefix = "run_"

    def load(self, project_id: str, stream_ids: Sequence[str]) -> Statement:
        """Return the query for the states of some runs."""
        return SQL["load"], {"project_id": project_id, "run_ids": Texts(stream_ids)}

    def decode(self, stored: bytes) -> Run:
        """Return the run that was stored."""
        return CODEC.decode(stored)

    def evolve(self, state: Run | None, recorded: Recorded[e.Event]) -> Run | None:
        """Return the run after one more event."""
        return evolve(state, recorded)

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return one insert for the new runs and one update for the others."""
        runs = [change for change in changes if isinstance(change.after, Run)]
        new = [change for change in runs if change.before is None]
        old = [change for change in runs if change.before is not None]
        if new:
            yield SQL["insert"], {"project_id": project_id, **_columns(new), **_fixed_columns(new)}
        if old:
            changed = [any(replaces_payload(r.event) for r in change.recorded) for change in old]
            yield SQL["update"], {"project_id": project_id, **_columns(old), "new_payloads": Booleans(changed)}
            yield from _after_gathering(project_id, old)


def wake_at(run: Run) -> datetime | None:
    """Return when the scheduler has to look at the run next; live attempts are woken by their leases."""
    match run.status:
        case Status.DELAYED:
            return run.due_at
        case Status.QUEUED:
            return run.expires_at
        case Status.WAITING:
            return run.wait.until if run.wait else None
        case _:
            return None


def work_ms(run: Run) -> int | None:
    """Return for how long the last attempt of a finished run worked, in whole milliseconds."""
    if run.finished_at is None or run.started_at is None:
        return None
    return min((run.finished_at - run.started_at) // _MILLISECOND, INT32_MAX)


def _columns(changes: Sequence[Change]) -> dict[str, list[Any]]:
    runs: list[Run] = [change.after for change in changes]
    documents = [_documents(change) for change in changes]
    return {
        "run_ids": Texts(run.run_id for run in runs),
        "versions": Integers(run.version for run in runs),
        "positions": Bigints(change.recorded[-1].position for change in changes),
        "statuses": Texts(str(run.status) for run in runs),
        "priorities": Smallints(run.priority for run in runs),
        "due_ats": Times(run.due_at for run in runs),
        "wake_ats": Times(wake_at(run) for run in runs),
        "states": Bytes(CODEC.encode(run) for run in runs),
        "payloads": Bytes(payload for payload, _ in documents),
        "results": Bytes(result for _, result in documents),
        "finished_ats": Times(run.finished_at for run in runs),
        "work_mss": Integers(work_ms(run) for run in runs),
    }


def _fixed_columns(changes: Sequence[Change]) -> dict[str, list[Any]]:
    runs: list[Run] = [change.after for change in changes]
    return {
        "created_positions": Bigints(change.recorded[0].position for change in changes),
        "job_ids": Texts(run.job_id for run in runs),
        "queues": Texts(run.queue for run in runs),
        "concurrency_keys": Texts(run.concurrency_key for run in runs),
        "parent_run_ids": Texts(run.parent_run_id for run in runs),
        "batch_ids": Texts(run.batch_id for run in runs),
        "triggered_bys": Texts(run.triggered_by for run in runs),
    }


def _after_gathering(project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
    """Return what further triggers have changed beyond that: items of batches, and places in the queue."""
    gathered = [change for change in changes if change.before.window is not None]
    added = {change.stream_id: items for change in gathered if (items := _added_items(change))}
    if added:
        items = Bytes(added.values())
        yield SQL["add_items"], {"project_id": project_id, "run_ids": Texts(added), "items": items}
    moved: list[Run] = [change.after for change in gathered if _place(change.before) != _place(change.after)]
    if moved:
        yield (
            SQL["move"],
            {
                "project_id": project_id,
                "run_ids": Texts(run.run_id for run in moved),
                "queues": Texts(run.queue for run in moved),
                "concurrency_keys": Texts(run.concurrency_key for run in moved),
            },
        )


def _place(run: Run) -> tuple[str, str | None]:
    return run.queue, run.concurrency_key


def _added_items(change: Change) -> bytes:
    """Return the items that were added to the payload that the row has, as JSON, each with a comma before it."""
    events = [recorded.event for recorded in change.recorded]
    if any(replaces_payload(event) for event in events):
        return b""  # the row is given the whole payload
    return b"".join(b"," + to_json(event.payload) for event in events if isinstance(event, e.Batched))


def _documents(change: Change) -> tuple[bytes | None, bytes | None]:
    """Return the latest payload and result among the events of a change, as JSON."""
    payload: Any = None
    result = None
    for recorded in change.recorded:
        event = recorded.event
        if isinstance(event, e.Completed):
            result = None if event.result is None else to_json(event.result)
        elif replaces_payload(event):
            payload = payload_after(None, (r.event for r in change.recorded))
    return None if payload is None else to_json(payload), result
