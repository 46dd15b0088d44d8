"""Triggering: from a job and a request to a run, or many in one append."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from runcord.batch.events import BatchTriggered
from runcord.errors import Invalid, JobDisabled, JobNotFound, RunNotFound
from runcord.handling import dependencies, idempotency
from runcord.handling.admission import Debouncing, Fate, Foresight, Keys, admit, is_plain, read_ahead
from runcord.handling.consequence import create_run
from runcord.handling.rate import Turn
from runcord.handling.schema import check_payload
from runcord.job.state import Job
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.run import events as e
from runcord.run.build import build
from runcord.run.limits import MAX_TAGS
from runcord.run.packet import NOTHING, Packet
from runcord.run.retry import RetryPolicy
from runcord.run.state import Run

_NOTHING = Foresight()


class TriggerRequest(NamedTuple):
    """What a caller wants of one new run. `run_id` is new; times are UTC, durations seconds."""

    run_id: str
    payload: Any = None
    scheduled_at: datetime | None = None
    delay_secs: float | None = None
    ttl_secs: float | None = None
    priority: int = 0
    tags: Mapping[str, str] | None = None
    metadata: Mapping[str, Any] | None = None
    concurrency_key: str | None = None
    idempotency_key: str | None = None
    idempotency_ttl_secs: float = idempotency.DEFAULT_LIFE_SECS
    fingerprint: str = ""
    parent_run_id: str | None = None
    overrides: Mapping[str, Any] | None = None
    debug_mode: bool = False
    packet: Packet = NOTHING
    queue: str | None = None
    hints: Mapping[str, Any] | None = None
    repeatable: bool = False
    """Whether `run_id` stands for the request: if there is such a run, the request was heard before."""
    keys: Keys | None = None
    """Of the job's debounce or batch window, or its own; None has the trigger not gathered by one."""

    @property
    def debouncing(self) -> Debouncing | None:
        """The debounce window that the trigger brings."""
        return None if self.keys is None else self.keys.debouncing


class Triggering(NamedTuple):
    """The run that answers for a request. One that was there before has a payload that has to be read."""

    run: Run
    idempotency_hit: bool
    payload: Any = None
    fate: Fate = "triggered"

    @property
    def is_postponed(self) -> bool:
        """Whether the trigger has only put the run off, which keeps the payload of an earlier one."""
        return self.fate == "debounced" and self.run.payload_version < self.run.version


class TriggerRuns(NamedTuple):
    """Trigger runs of one job: all of them or, if any request is not valid, none."""

    context: Context
    job_id: str
    requests: Sequence[TriggerRequest]
    triggered_by: str = "manual"
    batch_id: str | None = None
    slug: str | None = None
    """The slug under which the caller found the job: it must be the job's still."""
    foresight: Foresight = Foresight()

    @property
    def weight(self) -> int:
        """One event for each."""
        return len(self.requests)

    def prepare(self, plan: Plan) -> None:
        """Read the job, the parents and the holders of the idempotency keys."""
        plan.need(self.job_id)
        prepare_requests(plan, self.requests)
        keys = [r.idempotency_key for r in self.requests if r.idempotency_key is not None]
        idempotency.prepare(plan, self.job_id, keys)
        for request in self.requests:
            if self.foresight != _NOTHING or request.debouncing is not None:
                read_ahead(plan, self.job_id, self.foresight, request.keys, request.payload)

    def handle(self, tx: Transaction) -> list[Triggering]:
        """Find what was triggered before, check every other request, then record what becomes of it.

        What was asked for at once is a batch of its own on record, unless no run came of it.
        A request that is repeated finds its run though the job has been disabled, or its schema tightened, since.
        What somebody triggers is subject to the job's settings about that (`admission`); schedules have their own pace.
        """
        job = there_is(tx, self.job_id, self.slug)
        triggerings = trigger_runs(tx, job, self.requests, self.triggered_by, self.batch_id)
        if self.batch_id is not None:
            self._record_batch(tx, self.batch_id, triggerings)
        return triggerings

    def _record_batch(self, tx: Transaction, batch_id: str, triggerings: Sequence[Triggering]) -> None:
        made = {triggering.run.run_id for triggering in triggerings if triggering.run.batch_id == batch_id}
        if made:
            tx.create(batch_id, BatchTriggered(self.job_id, len(triggerings), len(made)))


def prepare_requests(plan: Plan, requests: Sequence[TriggerRequest]) -> None:
    """Have read what requests refer to, whatever their job: parents, and runs that repeated requests have made."""
    plan.need(*(request.parent_run_id for request in requests if request.parent_run_id is not None))
    plan.need(*(request.run_id for request in requests if request.repeatable))


def trigger_runs(
    tx: Transaction,
    job: Job,
    requests: Sequence[TriggerRequest],
    triggered_by: str = "manual",
    batch_id: str | None = None,
) -> list[Triggering]:
    """Record what becomes of requests for runs of one job: of all or, if any is refused, of none.

    Raises:
        JobDisabled, PayloadInvalid, RunNotFound, IdempotencyKeyReused, RateLimited, Invalid: refused.
    """
    new = [request for request in requests if _found(tx, job, request) is None]
    if new:
        require_enabled(job)
    for request in new:
        where = f"items[{requests.index(request)}]: " if batch_id is not None else ""
        check_payload(job, request.payload, where)
        if request.parent_run_id is not None and not isinstance(tx.state(request.parent_run_id), Run):
            raise RunNotFound(f"{where}the parent run {request.parent_run_id!r} is not in this project")
    if job.dependencies:
        dependencies.expect(tx, job, [dependencies.match_of(r.idempotency_key, r.payload) for r in new])
    is_plainly_triggered = is_plain(job.settings) and all(request.debouncing is None for request in new)
    turn = None if triggered_by != "manual" or is_plainly_triggered else Turn(len(new))
    return [_trigger(tx, job, request, turn, triggered_by, batch_id) for request in requests]


def _found(tx: Transaction, job: Job, request: TriggerRequest) -> Triggering | None:
    """Return the run that was there before, made by the very request, or with its idempotency key."""
    if request.repeatable and isinstance(run := tx.state(request.run_id), Run):
        return Triggering(run, idempotency_hit=False)
    key = request.idempotency_key
    run_id = None if key is None else idempotency.find(tx, job.job_id, key, request.fingerprint)
    return None if run_id is None else Triggering(tx.state(run_id), idempotency_hit=True)


def _trigger(
    tx: Transaction, job: Job, request: TriggerRequest, turn: Turn | None, triggered_by: str, batch_id: str | None
) -> Triggering:
    found = _found(tx, job, request)
    if found is not None:
        return found
    facts = triggered(job, request, tx.at, triggered_by, tx.context.actor, batch_id)
    run: Run
    fate: Fate = "triggered"
    if turn is None:
        run = begin(tx, job, request.run_id, facts)
    else:
        run, fate = admit(tx, job, facts, request.keys, turn, lambda facts: begin(tx, job, request.run_id, facts))
    if request.idempotency_key is not None and fate != "deduplicated":
        assert facts.idempotency_expires_at is not None
        holder = idempotency.KeyHolder(run.run_id, request.fingerprint, facts.idempotency_expires_at)
        idempotency.hold(tx, job.job_id, request.idempotency_key, holder)
    return Triggering(run, idempotency_hit=False, payload=request.payload, fate=fate)


def there_is(tx: Transaction, job_id: str, slug: str | None = None) -> Job:
    """Return a job, whether or not it takes new runs.

    Raises:
        JobNotFound: it is not there, no more there, or has another slug by now.
    """
    job = tx.state(job_id)
    if not isinstance(job, Job) or job.deleted or (slug is not None and job.settings.slug != slug):
        raise JobNotFound(f"there is no job {slug or job_id!r} in this project")
    return job


def open_job(tx: Transaction, job_id: str) -> Job:
    """Return a job that takes new runs.

    Raises:
        JobNotFound: it is not there, or no more.
        JobDisabled: it is there and takes none.
    """
    job = there_is(tx, job_id)
    require_enabled(job)
    return job


def require_enabled(job: Job) -> None:
    """Raise JobDisabled if the job takes no new runs."""
    if not job.settings.enabled:
        raise JobDisabled(f"the job {job.settings.slug!r} is disabled; enable it to trigger runs")


def begin(tx: Transaction, job: Job, run_id: str, facts: e.Triggered) -> Run:
    """Record a new run and return it; it is held back if dependencies of its job are not met."""
    if job.dependencies:
        facts = dependencies.hold(tx, job, run_id, facts)
    return create_run(tx, run_id, facts)


def triggered(
    job: Job, request: TriggerRequest, at: datetime, triggered_by: str, actor: str, batch_id: str | None = None
) -> e.Triggered:
    """Return the facts of a new run: what the request says, over what the job says."""
    settings = job.settings
    tags = {**(settings.tags or {}), **(request.tags or {})}
    if len(tags) > MAX_TAGS:
        raise Invalid(f"a run has at most {MAX_TAGS} tags, the job's and the request's make {len(tags)}")
    metadata = {**(settings.default_run_metadata or {}), **(request.metadata or {})}
    due_at = request.scheduled_at
    if request.delay_secs:
        due_at = at + timedelta(seconds=request.delay_secs)
    key = request.idempotency_key
    life = timedelta(seconds=request.idempotency_ttl_secs)
    members = {
        "job_id": job.job_id,
        "job_slug": settings.slug,
        "job_version": job.version,
        "triggered_by": triggered_by,
        "policy": policy_of(job, request.overrides),
        "queue": request.queue or settings.queue_name,
        "payload": request.payload,
        "priority": request.priority,
        "due_at": due_at if due_at is not None and due_at > at else None,
        "ttl_secs": request.ttl_secs if request.ttl_secs is not None else settings.run_ttl_secs,
        "tags": tags or None,
        "metadata": metadata or None,
        "concurrency_key": request.concurrency_key,
        "idempotency_key": key,
        "idempotency_fingerprint": None if key is None else request.fingerprint,
        "idempotency_expires_at": None if key is None else at + life,
        "parent_run_id": request.parent_run_id,
        "batch_id": batch_id,
        "overrides": request.overrides or None,
        "debug_mode": request.debug_mode,
        "created_by": actor,
        "payload_type": request.packet.type,
        "payload_text": request.packet.text,
        "hints": request.hints or None,
    }
    return build(e.Triggered, {name: value for name, value in members.items() if value is not None})


def policy_of(job: Job, overrides: Mapping[str, Any] | None) -> RetryPolicy:
    """Return the job's retry policy with a run's own wishes laid over it."""
    policy = job.settings.retry_policy
    if not overrides:
        return policy
    names = {
        "max_attempts_override": "max_attempts",
        "timeout_secs_override": "timeout_secs",
        "retry_backoff": "strategy",
        "retry_initial_delay_secs": "initial_delay_secs",
        "retry_max_delay_secs": "max_delay_secs",
    }
    return replace(policy, **{names[name]: value for name, value in overrides.items() if name in names})
