"""Admission: what the settings of a job make of a trigger, before or instead of a run of its own.

In this order: the same payload within `dedup_window_secs` finds the run that it made; a rate limit may refuse;
a debounce or a batch window may gather the trigger into a run that is waiting for more. A trigger may bring a debounce
window of its own, which counts instead of the job's. All is decided under the ledger's lock, so that it is exact
however many servers and callers there are. Jobs without such settings pay for none of it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime, timedelta
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
from runcord.run.deadline import later
from runcord.run.decide import is_full, is_open
from runcord.run.payload import batch_of
from runcord.run.state import Run
from runcord.run.trigger_events import Admission, DebounceMode, WindowKind

Fate = Literal["triggered", "deduplicated", "debounced", "buffered", "batched"]
"""What became of a trigger: a run of its own, an earlier one, or part of one that waits, or that is full by now."""


Begin = Callable[[e.Triggered], Run]
"""Records a new run and returns it."""


class Foresight(NamedTuple):
    """What a trigger will probably look for, so that it can be read ahead. It may be wrong."""

    window: WindowKind | None = None
    payloads: bool = False


class Debouncing(NamedTuple):
    """How a burst of triggers becomes one run: due `secs` after the last of them, which says what the run is, or the
    first. A trigger that would put the run off to more than `most_secs` after the first begins another burst.
    """

    secs: float
    mode: DebounceMode = "trailing"
    most_secs: float | None = None


class Keys(NamedTuple):
    """The keys that a trigger gives to windows; one without a key has the empty one.

    With `debouncing` the trigger has a debounce window of its own, whatever its job's settings say of windows.
    """

    debounce: str = ""
    batch: str = ""
    debouncing: Debouncing | None = None

    def of(self, kind: WindowKind) -> str:
        """Return the key for a kind of window."""
        return self.debounce if kind == "debounce" else self.batch

    def kind(self, of_job: WindowKind | None) -> WindowKind | None:
        """Return the kind of window that gathers the trigger, if its job has one `of_job`."""
        return of_job if self.debouncing is None else "debounce"


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
    if keys is not None and (kind := keys.kind(foresight.window)) is not None:
        _windows(job_id, kind).read_ahead(plan, keys.of(kind))


def admit(
    tx: Transaction, job: Job, facts: e.Triggered, keys: Keys | None, turn: rate.Turn, begin: Begin
) -> tuple[Run, Fate]:
    """Record what becomes of a trigger, and return the run that answers for it.

    `begin` makes the trigger's own run, if it comes to that. Without `keys` the trigger is not gathered.

    Raises:
        RateLimited: the job takes no more just now.
        Invalid: the request cannot be part of a window, or brings one that its job's dependencies do not go with.
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
    kind = None if keys is None else keys.kind(window_of(settings))
    if kind is None or keys is None:
        run, fate = begin(replace(facts, admission=_or_none(admission))), "triggered"
    else:
        if keys.debouncing is None:
            refuse_own_course(facts, kind)
        else:
            refuse_own_window(job)
        admission = replace(admission, window=kind, key=keys.of(kind))
        if kind == "batch":
            run, fate = _batch(tx, job, facts, admission, begin)
        else:
            debouncing = keys.debouncing or Debouncing(settings.debounce_window_secs or 0)
            run, fate = _debounce(tx, job, facts, admission, debouncing, begin), "debounced"
    if admission.payload_hash is not None and run.payload_version == run.version:  # else its payload was not taken
        _payloads(job.job_id).hold(tx, admission.payload_hash, run.run_id, admission.dedup_until)
    return run, fate


def payload_hash(payload: Any) -> str:
    """Return the SHA-256 of the payload as JSON with sorted keys, in hex; that of `{}` if there is none."""
    return hashlib.sha256(
        orjson.dumps({} if payload is None else payload, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
    ).hexdigest()


def _debounce(
    tx: Transaction, job: Job, facts: e.Triggered, admission: Admission, debouncing: Debouncing, begin: Begin
) -> Run:
    windows = _windows(job.job_id, "debounce")
    due_at = tx.at + timedelta(seconds=debouncing.secs)
    pending = windows.find(tx, admission.key)
    if pending is None or not _takes(pending, admission.key, due_at, tx.at, debouncing):
        # The first trigger may be put off by itself; those after it count from when they come.
        run = begin(replace(facts, triggered_by="debounce", due_at=facts.due_at or due_at, admission=admission))
        windows.hold(tx, admission.key, run.run_id)
        return run
    due_at = max(due_at, pending.due_at)
    if debouncing.mode == "trailing":
        members = {**_members(facts, _DEBOUNCED), "due_at": due_at, "admission": admission}
        return apply(tx, pending.run_id, c.Debounce(build(e.Debounced, members)))
    # Its payload becomes no run's, so nothing is to find one by it.
    admission = replace(admission, payload_hash=None, dedup_until=None)
    members = {**_members(facts, _POSTPONED), "due_at": due_at, "admission": admission}
    return apply(tx, pending.run_id, c.Postpone(build(e.Postponed, members)))


def _takes(pending: Run, key: str, due_at: datetime, at: datetime, debouncing: Debouncing) -> bool:
    """Return whether a run that may be of the burst takes one more trigger that puts it off until `due_at`."""
    if not is_open(pending, "debounce", key, at):
        return False
    most_secs = debouncing.most_secs
    return most_secs is None or due_at <= later(pending.created_at, most_secs)


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


_TRIGGERED, _DEBOUNCED, _POSTPONED, _BATCHED = (
    frozenset(member.name for member in fields(event)) for event in (e.Triggered, e.Debounced, e.Postponed, e.Batched)
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


def refuse_own_window(job: Job) -> None:
    """Refuse a window that a trigger brings, where dependencies of the job say when its runs may begin."""
    if job.dependencies:
        raise Invalid("the job has dependencies, which say when its runs may begin: leave debounce out")


def _or_none(admission: Admission) -> Admission | None:
    """Return the admission unless it leaves nothing behind."""
    return None if replace(admission, payload_bytes=0) == Admission() else admission


def _payloads(job_id: str) -> ByKey:
    return ByKey("recent_payloads", job_id)


def _windows(job_id: str, kind: WindowKind) -> ByKey:
    return ByKey("open_windows", job_id, kind)
