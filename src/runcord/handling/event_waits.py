"""Who waits, or waited last, for which event key: the rows, and what a transaction has made of them.

An event key has at most one run waiting at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from runcord.ledger.arrays import Bigints, Bytes, Texts, Times
from runcord.ledger.mapper import to_json
from runcord.ledger.transaction import Plan, Row, Transaction
from runcord.ledger.view import Change, Statement
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.evolve import evolve
from runcord.run.state import Run
from runcord.sql import load

SQL = load("runcord.sql", "queries/event_waits.sql")


@dataclass(frozen=True)
class EventWait:
    """One wait for an event. `status` is waiting, received, timed_out or canceled; `position` where it began."""

    event_key: str
    run_id: str
    trigger_id: str
    status: str
    position: int
    requested_at: datetime
    expires_at: datetime | None = None
    settled_at: datetime | None = None
    sent_by: str | None = None
    notify_url: str | None = None
    payload: Any = None

    @property
    def timeout_secs(self) -> float | None:
        """How long the run was to wait; None for as long as it takes."""
        return None if self.expires_at is None else (self.expires_at - self.requested_at).total_seconds()

    @property
    def as_begun(self) -> "EventWait":
        """The wait as it was before anything ended it."""
        return replace(self, status="waiting", settled_at=None, sent_by=None, payload=None)

    @staticmethod
    def of_row(row: Row) -> "EventWait":
        """Return the wait in a row of the table, as the named statements select it."""
        *members, payload = row
        return EventWait(*members, payload=None if payload is None else orjson.loads(payload))


@dataclass(frozen=True)
class _Lookup:
    event_key: str

    def statement(self, project_id: str) -> Statement:
        return SQL["event_wait"], {"project_id": project_id, "event_key": self.event_key}


def prepare(plan: Plan, event_key: str) -> None:
    """Have the wait for a key read."""
    plan.ask(("event_wait", event_key), lambda: _Lookup(event_key))


def find(tx: Transaction, event_key: str) -> EventWait | None:
    """Return the wait for a prepared key as it is now, what this transaction did included."""
    found = [EventWait.of_row(row) for row in tx.answer(("event_wait", event_key))]
    wait = found[0] if found else None
    for run in tx.states(Run):
        for recorded in tx.recorded(run.run_id):
            event = recorded.event
            if isinstance(event, e.Waited) and event.event_key == event_key:
                wait = begun(recorded)
            elif isinstance(event, e.EventReceived) and event.event_key == event_key and wait is not None:
                wait = _received(wait, event, recorded)
    if wait is not None and wait.status == "waiting":
        run = tx.state(wait.run_id)
        if not (isinstance(run, Run) and run.wait and run.wait.event_key == event_key):
            return replace(wait, status="canceled", settled_at=tx.at)
    return wait


def waits_begun(tx: Transaction) -> list[EventWait]:
    """Return the waits that this transaction has begun, which no table shows yet."""
    return [
        begun(recorded)
        for run in tx.states(Run)
        for recorded in tx.recorded(run.run_id)
        if isinstance(recorded.event, e.Waited) and recorded.event.event_key is not None
    ]


class EventWaits:
    """The inline projection `event_waits`."""

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return one statement for the waits that ended, and one for those that began."""
        newest: dict[str, EventWait] = {}
        ended: list[EventWait] = []
        for change in changes:
            if isinstance(change.after, Run):
                for wait, is_new in _waits(change):
                    if not is_new:
                        ended.append(wait)
                    elif wait.event_key not in newest or newest[wait.event_key].position < wait.position:
                        newest[wait.event_key] = wait
        if ended:
            yield SQL["settle_event_waits"], {"project_id": project_id, **_columns(ended)}
        if newest:
            waits = list(newest.values())
            beginnings = {
                "run_ids": Texts(wait.run_id for wait in waits),
                "positions": Bigints(wait.position for wait in waits),
                "requested_ats": Times(wait.requested_at for wait in waits),
                "waits_untils": Times(wait.expires_at for wait in waits),
                "notify_urls": Texts(wait.notify_url for wait in waits),
            }
            yield SQL["save_event_waits"], {"project_id": project_id, **_columns(waits), **beginnings}


def _columns(waits: Sequence[EventWait]) -> dict[str, list[Any]]:
    return {
        "event_keys": Texts(wait.event_key for wait in waits),
        "trigger_ids": Texts(wait.trigger_id for wait in waits),
        "statuses": Texts(wait.status for wait in waits),
        "settled_ats": Times(wait.settled_at for wait in waits),
        "sent_bys": Texts(wait.sent_by for wait in waits),
        "payloads": Bytes(None if wait.payload is None else to_json(wait.payload) for wait in waits),
    }


def _waits(change: Change) -> Iterator[tuple[EventWait, bool]]:
    """Return what became of a run's waits for events, and of each whether it began in this change."""
    run: Run | None = change.before
    if (run is None or run.wait is None) and not any(isinstance(r.event, e.Waited) for r in change.recorded):
        return
    current: EventWait | None = None
    is_new = False
    if run is not None and run.wait is not None and run.wait.event_key is not None:
        known = run.wait
        current = EventWait(run.wait.event_key, run.run_id, known.trigger_id or "", "waiting", 0, known.since)
    for recorded in change.recorded:
        run = evolve(run, recorded)
        if isinstance(recorded.event, e.Waited) and recorded.event.event_key is not None:
            current, is_new = begun(recorded), True
        elif current is not None:
            current = after_event(current, recorded, run)
            if current.status != "waiting":
                yield current, is_new
                current = None
    if current is not None and is_new:
        yield current, True


def begun(recorded: Recorded[e.Waited]) -> EventWait:
    """Return the wait that an event began."""
    event = recorded.event
    return EventWait(
        event_key=event.event_key or "",
        run_id=recorded.stream_id,
        trigger_id=event.trigger_id or "",
        status="waiting",
        position=recorded.position,
        requested_at=recorded.at,
        expires_at=event.until,
        notify_url=event.notify_url,
    )


def after_event(wait: EventWait, recorded: Recorded[Any], run: Run | None) -> EventWait:
    """Return a wait that was not over as the next event of its run, which left `run`, leaves it."""
    event = recorded.event
    if isinstance(event, e.EventReceived):
        return _received(wait, event, recorded)
    if run is None or run.wait is None:
        status = "timed_out" if isinstance(event, e.TimedOut) else "canceled"
        return replace(wait, status=status, settled_at=recorded.at)
    return wait


def _received(wait: EventWait, event: e.EventReceived, recorded: Recorded[Any]) -> EventWait:
    sent_by = recorded.metadata.get("actor")
    return replace(wait, status="received", settled_at=recorded.at, sent_by=sent_by, payload=event.payload)
