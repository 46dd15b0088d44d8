"""Admission: what the settings of a job make of a trigger, before or instead of a run of its own.

In this order: the same payload within `dedup_window_secs` finds the run that it made; a rate limit may refuse;
a debounce or a batch window may gather the trigger into a run that is waiting for more. All is decided under the
ledger's lock, so that it is exact however many servers and callers there are. Jobs without such settings pay for
none of it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import orjson

from runcord.errors import Invalid
from runcord.handling import rate
from runcord.handling.consequence import apply
from runcord.handling.lookup import ByKey
from runcord.job.controls import window_of
from runcord.job.state import Job, JobSettings
from runcord.ledger.mapper import to_json
from runcord.ledger.transaction import Plan, Transaction
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.build import build
from runcord.run.decide import is_full, is_open
from runcord.run.payload import batch_of
from runcord.run.state import Run
from runcord.run.trigger_events import Admission, WindowKind

Fate = Literal["triggered", "deduplicated", "debounced", "buffered", "batched"]
"""What became of a trigger: a run of its own, an earlier one, or part of one that waits, or that is full by now."""


Begin = Callable[[e.Triggered], Run]
"""Records a new run and returns it."""


class Foresight(NamedTuple):
    """What a trigger will probably look for, so that it can be read ahead. It may be wrong."""

    window: WindowKind | None = None
    payloads: bool = False


class Keys(NamedTuple):
    """The keys that a trigger gives to windows; one without a key has the empty one."""

    debounce: str = ""
    batch: str = ""

    def of(self, kind: WindowKind) -> str:
        """Return the key for a kind of window."""
        return self.debounce if kind == "debounce" else self.batch


def foresee(settings: JobSettings) -> Foresight:
    """Return what triggers of a job with these settings look for."""
    return Foresight(window_of(settings), bool(settings.dedup_window_secs))


def is_plain(settings: JobSettings) -> bool:
    """Return whether every trigger of such a job makes a run of its own."""
    return not (
        settings.dedup_window_secs
        or settings.rate_limit_max
        or settings.debounce_window_secs
        or settings.batch_window_secs
    )


def read_ahead(plan: Plan, job_id: str, foresight: Foresight, keys: Keys | None, payload: Any) -> None:
    """Have read what `admit` will look for."""
    if foresight.payloads:
        _payloads(job_id).read_ahead(plan, payload_hash(payload))
    if foresight.window is not None and keys is not None:
        _windows(job_id, foresight.window).read_ahead(plan, keys.of(foresight.window))


def admit(
    tx: Transaction, job: Job, facts: e.Triggered, keys: Keys | None, turn: rate.Turn, begin: Begin
) -> tuple[Run, Fate]:
    """Record what becomes of a trigger, and return the run that answers for it.

    `begin` makes the trigger's own run, if it comes to that. Without `keys` the trigger is not gathered.

    Raises:
        RateLimited: the job takes no more just now.
        Invalid: the request cannot be part of a window.
    """
    settings = job.settings
    admission = Admission()
    if settings.dedup_window_secs:
        hashed = payload_hash(facts.payload)
        earlier = _payloads(job.job_id).find(tx, hashed)
        if earlier is not None and earlier.debounced_hash in (None, hashed):
            return earlier, "deduplicated"
        until = tx.at + timedelta(seconds=settings.dedup_window_secs)
        admission = replace(admission, payload_hash=hashed, dedup_until=until)
    if rate.limit_of(job) is not None:
        rate.take(tx, job, turn)
        admission = replace(admission, rate_window_secs=settings.rate_limit_window_secs)
    kind = window_of(settings)
    if kind is None or keys is None:
        run, fate = begin(replace(facts, admission=_or_none(admission))), "triggered"
    else:
        refuse_own_course(facts, kind)
        admission = replace(admission, window=kind, key=keys.of(kind))
        gather = _debounce if kind == "debounce" else _batch
        run, fate = gather(tx, job, facts, admission, begin)
    if admission.payload_hash is not None:
        _payloads(job.job_id).hold(tx, admission.payload_hash, run.run_id, admission.dedup_until)
    return run, fate


def payload_hash(payload: Any) -> str:
    """Return the SHA-256 of the payload as JSON with sorted keys, in hex; that of `{}` if there is none."""
    return hashlib.sha256(
        orjson.dumps({} if payload is None else payload, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
    ).hexdigest()


def _debounce(tx: Transaction, job: Job, facts: e.Triggered, admission: Admission, begin: Begin) -> tuple[Run, Fate]:
    windows = _windows(job.job_id, "debounce")
    due_at = tx.at + timedelta(seconds=job.settings.debounce_window_secs or 0)
    pending = windows.find(tx, admission.key)
    if pending is None or not is_open(pending, "debounce", admission.key, tx.at):
        run = begin(replace(facts, triggered_by="debounce", due_at=due_at, admission=admission))
        windows.hold(tx, admission.key, run.run_id)
        return run, "debounced"
    members = {**_members(facts, _DEBOUNCED), "due_at": due_at, "admission": admission}
    return apply(tx, pending.run_id, c.Debounce(build(e.Debounced, members))), "debounced"


def _batch(tx: Transaction, job: Job, facts: e.Triggered, admission: Admission, begin: Begin) -> tuple[Run, Fate]:
    windows = _windows(job.job_id, "batch")
    max_size = job.settings.batch_max_size or None
    admission = replace(admission, payload_bytes=len(to_json(facts.payload)))
    pending = windows.find(tx, admission.key)
    if pending is not None and is_open(pending, "batch", admission.key, tx.at):
        members = {**_members(facts, _BATCHED), "admission": admission}
        run = apply(tx, pending.run_id, c.AddToBatch(build(e.Batched, members), max_size))
        return run, "batched" if run.window is None else "buffered"
    batch = batch_of(facts.payload)
    born = replace(facts, triggered_by="batch", payload=batch, payload_type=None, payload_text=None)
    if is_full(1, admission.payload_bytes, max_size):
        return begin(replace(born, admission=_or_none(replace(admission, window=None, key="")))), "batched"
    due_at = tx.at + timedelta(seconds=job.settings.batch_window_secs or 0)
    run = begin(replace(born, due_at=due_at, admission=admission))
    windows.hold(tx, admission.key, run.run_id)
    return run, "buffered"


_TRIGGERED, _DEBOUNCED, _BATCHED = (
    frozenset(member.name for member in fields(event)) for event in (e.Triggered, e.Debounced, e.Batched)
)


def _members(facts: e.Triggered, names: frozenset[str]) -> dict[str, Any]:
    """Return what a trigger says under these names."""
    return {name: getattr(facts, name) for name in names & _TRIGGERED}


def refuse_own_course(facts: e.Triggered, kind: WindowKind) -> None:
    """Refuse what would be about one trigger only, where a run stands for several."""
    if facts.due_at is not None:
        raise Invalid(
            f"the job has a {kind} window, which says when its runs are due: leave scheduled_at and delay out"
        )
    if facts.parent_run_id is not None:
        raise Invalid(f"the job has a {kind} window, so its runs belong to several triggers: leave parent_run_id out")


def _or_none(admission: Admission) -> Admission | None:
    """Return the admission unless it leaves nothing behind."""
    return None if replace(admission, payload_bytes=0) == Admission() else admission


def _payloads(job_id: str) -> ByKey:
    return ByKey("recent_payloads", job_id)


def _windows(job_id: str, kind: WindowKind) -> ByKey:
    return ByKey("open_windows", job_id, kind)
