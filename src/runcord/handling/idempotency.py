"""Idempotency keys: the same request, sent again, finds the run that it made.

A key belongs to a job and lives for a while (30 days unless the caller says otherwise). It is looked up under
the ledger's lock, so two racing triggers cannot both make a run. A run that ended without its work being done, and
not because somebody stopped it, answers for its key no more: the next trigger makes another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from runcord.errors import IdempotencyKeyReused
from runcord.ledger.transaction import Plan, Transaction
from runcord.ledger.view import Change, Statement
from runcord.run import events as e
from runcord.run.state import Run
from runcord.run.status import FINISHED, Status
from runcord.sql import load

SQL = load("runcord.sql", "queries/commands.sql")

DEFAULT_LIFE_SECS = 30 * 24 * 3600

ANY_REQUEST = ""
"""The fingerprint of a request that finds the run of its key whatever was asked for then."""

FREEING = FINISHED - {Status.COMPLETED, Status.CANCELED}
"""The endings after which a run answers for its key no more."""

_Key = tuple[str, str]

_Keyed = e.Triggered | e.Debounced | e.Postponed | e.Batched


@dataclass(frozen=True)
class KeyHolder:
    """The run that answers for a key."""

    run_id: str
    fingerprint: str
    expires_at: datetime


@dataclass
class _Lookup:
    job_id: str
    keys: set[str] = field(default_factory=set[str])

    def statement(self, project_id: str) -> Statement:
        params = {"project_id": project_id, "job_id": self.job_id, "keys": sorted(self.keys)}
        return SQL["idempotency_keys"], params


def prepare(plan: Plan, job_id: str, keys: Sequence[str]) -> None:
    """Have the holders of a job's keys read."""
    if keys:
        plan.ask(("idempotency", job_id), lambda: _Lookup(job_id)).keys.update(keys)


def find(tx: Transaction, job_id: str, key: str, fingerprint: str) -> str | None:
    """Return the id of the run that answers for the key now, or None.

    Raises:
        IdempotencyKeyReused: the key was used with a different request.
    """
    holder = held_by(tx, job_id, key)
    if holder is None:
        return None
    run = tx.state(holder.run_id)
    if isinstance(run, Run) and run.status in FREEING:
        return None
    if ANY_REQUEST not in (holder.fingerprint, fingerprint) and holder.fingerprint != fingerprint:
        raise IdempotencyKeyReused(
            f"the idempotency key {key!r} was used with a different request, which made run {holder.run_id}: "
            "send the same request, or another key"
        )
    return holder.run_id


def held_by(tx: Transaction, job_id: str, key: str) -> KeyHolder | None:
    """Return the run that holds the key, whether or not it still answers for it; None for an expired or freed key."""
    holder = _holders(tx, job_id).get((job_id, key))
    if holder is None or holder.expires_at <= tx.at or _was_reset(tx, holder.run_id, key):
        return None
    return holder


def look_up(tx: Transaction, job_id: str, keys: Sequence[str]) -> None:
    """Read the holders of keys that were not prepared, because their job was not known; a trip of its own."""
    known = _holders(tx, job_id)
    rows = tx.query(*_Lookup(job_id, set(keys)).statement(tx.project_id)) if keys else ()
    for row in rows:
        known.setdefault((row[0], row[1]), KeyHolder(row[2], row[3], row[4]))


def _was_reset(tx: Transaction, run_id: str, key: str) -> bool:
    """Return whether this very transaction has freed the key: the row is there still."""
    for recorded in reversed(tx.recorded(run_id)):
        event = recorded.event
        if isinstance(event, e.IdempotencyReset) and event.idempotency_key == key:
            return True
        if isinstance(event, _Keyed) and event.idempotency_key == key:
            return False
    return False


def hold(tx: Transaction, job_id: str, key: str, holder: KeyHolder) -> None:
    """Let a run of this transaction answer for the key."""
    holders = _holders(tx, job_id)
    before = holders.get((job_id, key))
    holders[job_id, key] = holder

    def restore() -> None:
        if before is None:
            del holders[job_id, key]
        else:
            holders[job_id, key] = before

    tx.on_undo(restore)


def _holders(tx: Transaction, job_id: str) -> dict[_Key, KeyHolder]:
    def read() -> dict[_Key, KeyHolder]:
        rows = tx.answer(("idempotency", job_id)) if tx.asked(("idempotency", job_id)) else ()
        return {(row[0], row[1]): KeyHolder(row[2], row[3], row[4]) for row in rows}

    return tx.memory(("idempotency", job_id), read)


class IdempotencyKeys:
    """The inline projection `idempotency_keys`: which run answers for which key."""

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return the statements that remember new holders and forget those that were reset."""
        held: dict[_Key, tuple[str, str, str, str, datetime]] = {}
        freed: dict[_Key, tuple[str, str, str]] = {}
        for change in changes:
            for recorded in change.recorded:
                event = recorded.event
                if isinstance(event, _Keyed) and event.idempotency_key is not None:
                    assert event.idempotency_fingerprint is not None and event.idempotency_expires_at is not None
                    key = (change.after.job_id, event.idempotency_key)
                    freed.pop(key, None)
                    held[key] = (
                        *key,
                        change.stream_id,
                        event.idempotency_fingerprint,
                        event.idempotency_expires_at,
                    )
                elif isinstance(event, e.IdempotencyReset):
                    key = (change.after.job_id, event.idempotency_key)
                    freed[key] = (*key, change.stream_id)
        if held:
            names = ("job_ids", "keys", "run_ids", "fingerprints", "expires_ats")
            columns = zip(*held.values(), strict=True)
            yield (
                SQL["remember_idempotency_keys"],
                {"project_id": project_id, **{name: list(c) for name, c in zip(names, columns, strict=True)}},
            )
        if freed:
            job_ids, keys, run_ids = (list(column) for column in zip(*freed.values(), strict=True))
            yield (
                SQL["forget_idempotency_keys"],
                {"project_id": project_id, "job_ids": job_ids, "keys": keys, "run_ids": run_ids},
            )
