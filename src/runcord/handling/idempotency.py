"""Idempotency keys: the same request, sent again, finds the run that it made.

A key belongs to a job and lives for a while (30 days unless the caller says otherwise). It is looked up under
the ledger's lock, so two racing triggers cannot both make a run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from runcord.errors import IdempotencyKeyReused
from runcord.ledger.transaction import Plan, Transaction
from runcord.ledger.view import Change, Statement
from runcord.run import events as e
from runcord.sql import load

SQL = load("runcord.sql", "queries/commands.sql")

DEFAULT_LIFE_SECS = 30 * 24 * 3600

_Key = tuple[str, str]


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
    holder = _holders(tx, job_id).get((job_id, key))
    if holder is None or holder.expires_at <= tx.at:
        return None
    if _was_reset(tx, holder.run_id, key):
        return None
    if holder.fingerprint != fingerprint:
        raise IdempotencyKeyReused(
            f"the idempotency key {key!r} was used with a different request, which made run {holder.run_id}: "
            "send the same request, or another key"
        )
    return holder.run_id


def _was_reset(tx: Transaction, run_id: str, key: str) -> bool:
    """Return whether this very transaction has freed the key: the row is there still."""
    for recorded in reversed(tx.recorded(run_id)):
        event = recorded.event
        if isinstance(event, e.IdempotencyReset) and event.idempotency_key == key:
            return True
        if isinstance(event, e.Triggered | e.Debounced | e.Batched) and event.idempotency_key == key:
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
        rows = tx.answer(("idempotency", job_id))
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
                if isinstance(event, e.Triggered | e.Debounced | e.Batched) and event.idempotency_key is not None:
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
