"""Waiting for an event, and sending it. An event key has at most one run waiting at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from runcord.errors import Conflict, EventKeyInUse, EventNotFound
from runcord.handling.consequence import SQL, apply
from runcord.ledger.mapper import to_json
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.ledger.view import Change, Statement
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.state import Run


@dataclass(frozen=True)
class EventWait:
    """Who waits, or waited last, for an event key. `status` is waiting, received, timed_out or canceled."""

    event_key: str
    run_id: str
    trigger_id: str
    status: str
    payload: Any = None


@dataclass(frozen=True)
class _Lookup:
    event_key: str

    def statement(self, project_id: str) -> Statement:
        return SQL["event_wait"], {"project_id": project_id, "event_key": self.event_key}


def _prepare(plan: Plan, event_key: str) -> None:
    plan.ask(("event_wait", event_key), lambda: _Lookup(event_key))


def _find(tx: Transaction, event_key: str) -> EventWait | None:
    """Return the wait as it is now, what this transaction did included."""
    wait: EventWait | None = None
    for key, run_id, trigger_id, status, _, _, payload in tx.answer(("event_wait", event_key)):
        wait = EventWait(key, run_id, trigger_id, status, None if payload is None else orjson.loads(payload))
    for run in tx.states(Run):
        for recorded in tx.recorded(run.run_id):
            wait = _after(wait, run.run_id, event_key, recorded.event)
    if wait is not None and wait.status == "waiting":
        run = tx.state(wait.run_id)
        if not (isinstance(run, Run) and run.wait and run.wait.event_key == event_key):
            return EventWait(event_key, wait.run_id, wait.trigger_id, "canceled")
    return wait


def _after(wait: EventWait | None, run_id: str, event_key: str, event: e.Event) -> EventWait | None:
    if isinstance(event, e.Waited) and event.event_key == event_key:
        return EventWait(event_key, run_id, event.trigger_id or "", "waiting")
    if isinstance(event, e.EventReceived) and event.event_key == event_key and wait is not None:
        return EventWait(event_key, run_id, wait.trigger_id, "received", event.payload)
    return wait


@dataclass(frozen=True)
class WaitForEvent:
    """Make a run wait for an event."""

    context: Context
    run_id: str
    command: c.WaitForEvent
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read the run and the key."""
        plan.need(self.run_id)
        _prepare(plan, self.command.event_key)

    def handle(self, tx: Transaction) -> Run:
        """Refuse a key that another run waits for, then decide."""
        wait = _find(tx, self.command.event_key)
        if wait is not None and wait.status == "waiting" and wait.run_id != self.run_id:
            raise EventKeyInUse(f"run {wait.run_id} waits for the event key {self.command.event_key!r}: use another")
        return apply(tx, self.run_id, self.command)


@dataclass(frozen=True)
class SendEvent:
    """Send an event to the run that waits for it. The same event, sent again, is taken as heard."""

    context: Context
    event_key: str
    payload: Any = None
    weight: int = 2

    def prepare(self, plan: Plan) -> None:
        """Read the key."""
        _prepare(plan, self.event_key)

    def handle(self, tx: Transaction) -> EventWait:
        """Hand the event over and queue the run."""
        wait = _find(tx, self.event_key)
        if wait is None:
            raise EventNotFound(f"no run waits, or has waited, for the event key {self.event_key!r}")
        if wait.status == "waiting":
            apply(tx, wait.run_id, c.ReceiveEvent(self.event_key, self.payload))
            return EventWait(self.event_key, wait.run_id, wait.trigger_id, "received", self.payload)
        if wait.status == "received" and _same(wait.payload, self.payload):
            return wait
        raise Conflict(f"the wait for the event key {self.event_key!r} is over: it was {wait.status}")


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: to Python, `True` and `1` are equal."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


class EventWaits:
    """The inline projection `event_waits`: who waits for which event key."""

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return one statement for all waits that began or ended."""
        rows: dict[str, tuple[Any, ...]] = {}
        for change in changes:
            if isinstance(change.after, Run):
                rows.update(_rows(change))
        if rows:
            names = ("event_keys", "run_ids", "trigger_ids", "statuses", "waits_untils", "settled_ats", "payloads")
            columns = zip(*rows.values(), strict=True)
            yield (
                SQL["save_event_waits"],
                {"project_id": project_id, **{name: list(c) for name, c in zip(names, columns, strict=True)}},
            )


def _rows(change: Change) -> Iterator[tuple[str, tuple[Any, ...]]]:
    run_id = change.stream_id
    wait = change.before.wait if change.before is not None else None
    key, trigger_id = (wait.event_key, wait.trigger_id) if wait else (None, None)
    for recorded in change.recorded:
        event = recorded.event
        if isinstance(event, e.Waited) and event.event_key is not None:
            key, trigger_id = event.event_key, event.trigger_id
            yield key, (key, run_id, trigger_id, "waiting", event.until, None, None)
        elif key is None:
            continue
        elif isinstance(event, e.EventReceived):
            payload = None if event.payload is None else to_json(event.payload)
            yield key, (key, run_id, trigger_id, "received", None, recorded.at, payload)
            key = None
        elif isinstance(event, e.TimedOut | e.Canceled | e.Completed | e.Failed | e.Retried):
            status = "timed_out" if isinstance(event, e.TimedOut) else "canceled"
            yield key, (key, run_id, trigger_id, status, None, recorded.at, None)
            key = None
