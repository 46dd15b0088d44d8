"""Handlers about events that runs wait for: wait, send, and call the wait off."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from runcord.errors import Conflict, EventKeyInUse, EventNotFound
from runcord.handling.consequence import apply
from runcord.handling.debugging import watch
from runcord.handling.event_waits import SQL, EventWait, find, prepare, waits_begun
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.run import commands as c
from runcord.run.state import Run

MAX_SENT = 1000
"""How many runs one event may wake."""


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
        prepare(plan, self.command.event_key)

    def handle(self, tx: Transaction) -> Run:
        """Refuse a key that another run waits for, then decide."""
        key = self.command.event_key
        with watch(tx, self.run_id, self.command):
            wait = find(tx, key)
            if wait is not None and wait.status == "waiting" and wait.run_id != self.run_id:
                raise EventKeyInUse(f"run {wait.run_id} waits for the event key {key!r}: use another")
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
        prepare(plan, self.event_key)

    def handle(self, tx: Transaction) -> EventWait:
        """Hand the event over and queue the run."""
        wait = _known(tx, self.event_key)
        if wait.status == "waiting":
            return _send(tx, wait, self.payload, self.context)
        if wait.status == "received" and _same(wait.payload, self.payload):
            return wait
        raise Conflict(f"the wait for the event key {self.event_key!r} is over: it was {wait.status}")


@dataclass(frozen=True)
class SendToPrefix:
    """Send one event to all runs that wait for keys with a prefix, up to `MAX_SENT` of them; answers their waits."""

    context: Context
    prefix: str
    payload: Any = None
    weight: int = MAX_SENT

    def prepare(self, plan: Plan) -> None:
        """Read nothing: which runs wait is asked in one query under the lock."""

    def handle(self, tx: Transaction) -> list[EventWait]:
        """Hand the event over to each and queue its run."""
        waits = self._waiting(tx)
        tx.load([wait.run_id for wait in waits])
        return [_send(tx, wait, self.payload, self.context) for wait in waits if _still_waits(tx, wait)]

    def _waiting(self, tx: Transaction) -> Sequence[EventWait]:
        params = {"prefix": self.prefix, "beyond": beyond(self.prefix), "limit": MAX_SENT}
        stored = [EventWait.of_row(row) for row in tx.query(SQL["waiting_for_prefix"], params)]
        begun = [wait for wait in waits_begun(tx) if wait.event_key.startswith(self.prefix)]
        newest = {wait.event_key: wait for wait in (*stored, *begun)}
        return sorted(newest.values(), key=lambda wait: wait.event_key)[:MAX_SENT]


@dataclass(frozen=True)
class CancelWait:
    """Call off the wait for an event: the run that waits is cancelled."""

    context: Context
    event_key: str
    weight: int = 2

    def prepare(self, plan: Plan) -> None:
        """Read the key."""
        prepare(plan, self.event_key)

    def handle(self, tx: Transaction) -> EventWait:
        """Cancel the run. Raises EventNotFound, or Conflict when nobody waits any more."""
        wait = _known(tx, self.event_key)
        if wait.status != "waiting":
            raise Conflict(f"nobody waits for the event key {self.event_key!r} any more: the wait was {wait.status}")
        apply(tx, wait.run_id, c.Cancel(f"the wait for the event key {self.event_key!r} was called off"))
        return replace(wait, status="canceled", settled_at=tx.at)


def beyond(prefix: str) -> str | None:
    """Return the least text that comes after all texts with a prefix, bytewise; None when nothing does."""
    for place in range(len(prefix) - 1, -1, -1):
        following = ord(prefix[place]) + 1
        if following == _FIRST_SURROGATE:
            following = _LAST_SURROGATE + 1
        if following <= _LAST_CHARACTER:
            return prefix[:place] + chr(following)
    return None


_FIRST_SURROGATE, _LAST_SURROGATE, _LAST_CHARACTER = 0xD800, 0xDFFF, 0x10FFFF


def _known(tx: Transaction, event_key: str) -> EventWait:
    wait = find(tx, event_key)
    if wait is None:
        raise EventNotFound(f"no run waits, or has waited, for the event key {event_key!r}")
    return wait


def _send(tx: Transaction, wait: EventWait, payload: Any, context: Context) -> EventWait:
    apply(tx, wait.run_id, c.ReceiveEvent(wait.event_key, payload))
    return replace(wait, status="received", settled_at=tx.at, sent_by=context.actor, payload=payload)


def _still_waits(tx: Transaction, wait: EventWait) -> bool:
    """Whether nothing in this very transaction has ended the wait."""
    run = tx.state(wait.run_id)
    return isinstance(run, Run) and run.wait is not None and run.wait.trigger_id == wait.trigger_id


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: to Python, `True` and `1` are equal."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
