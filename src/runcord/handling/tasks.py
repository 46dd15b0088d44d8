"""Tasks: jobs that need not be defined before they are triggered.

A task is a job, found by its slug; one that is not there becomes a job of the project in the append of its first
trigger. The slug is looked up under the ledger's lock, so that triggers that race make one job.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from runcord.errors import NotFound
from runcord.handling import idempotency
from runcord.handling.admission import Foresight, read_ahead
from runcord.handling.consequence import SQL, apply, create_run, get_run
from runcord.handling.descent import copy_of, packet_of
from runcord.handling.documents import documents
from runcord.handling.schema import check_payload
from runcord.handling.trigger import Triggering, TriggerRequest, open_job, prepare_requests, trigger_runs
from runcord.ids import new_id, new_version_id
from runcord.job import commands as job_commands
from runcord.job.decide import decide
from runcord.job.state import Job
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.run import commands as c
from runcord.run.state import Run


@dataclass(frozen=True)
class TriggerTask:
    """Trigger a run of the task `slug`, which becomes a job with the settings `defaults` if there is none.

    `job_id` and `foresight` are guesses of what it is: they save trips.
    """

    context: Context
    slug: str
    request: TriggerRequest
    defaults: Mapping[str, Any]
    job_id: str | None = None
    foresight: Foresight = field(default_factory=Foresight)
    weight: int = 2

    def prepare(self, plan: Plan) -> None:
        """Read the job that it probably is, the parent, and who holds the idempotency key."""
        request = self.request
        prepare_requests(plan, [request])
        if self.job_id is not None:
            plan.need(self.job_id)
            idempotency.prepare(plan, self.job_id, [request.idempotency_key] if request.idempotency_key else [])
            if self.foresight != Foresight() or request.debouncing is not None:
                read_ahead(plan, self.job_id, self.foresight, request.keys, request.payload)

    def handle(self, tx: Transaction) -> Triggering:
        """Find the job, or make it, and trigger. Raises as `trigger_runs` does."""
        job = job_of_task(tx, self.slug, self.defaults, self.job_id)
        key = self.request.idempotency_key
        if key is not None and job.job_id != self.job_id:
            idempotency.look_up(tx, job.job_id, [key])
        return trigger_runs(tx, job, [self.request])[0]


@dataclass(frozen=True)
class ReplayTask:
    """Make a new run of one, whatever its status: like it, but for `changes` to its trigger (`e.Triggered`).

    If there is a run `new_run_id` already, the request was heard before: that one is answered.
    """

    context: Context
    run_id: str
    new_run_id: str
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    policy: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Changes to its retry policy."""
    idempotency_ttl_secs: float = idempotency.DEFAULT_LIFE_SECS
    weight: int = 2

    def prepare(self, plan: Plan) -> None:
        """Read both runs."""
        plan.need(self.run_id, self.new_run_id)

    def handle(self, tx: Transaction) -> Triggering:
        """Record the replay on both sides.

        Raises:
            RunNotFound, JobNotFound, JobDisabled, PayloadInvalid: refused.
        """
        run = get_run(tx, self.run_id)
        if isinstance(made := tx.state(self.new_run_id), Run):
            return Triggering(made, idempotency_hit=False)
        key: str | None = self.changes.get("idempotency_key")
        if key is not None:
            idempotency.look_up(tx, run.job_id, [key])
            if (held := idempotency.find(tx, run.job_id, key, idempotency.ANY_REQUEST)) is not None:
                return Triggering(tx.state(held), idempotency_hit=True)
        job = open_job(tx, run.job_id)
        apply(tx, run.run_id, c.Replay(self.new_run_id, any_status=True))
        packet = packet_of(tx, run)
        facts = replace(
            copy_of(run, documents(tx, run.run_id)[0], "manual", self.context.actor),
            job_slug=job.settings.slug,
            payload_type=packet.type,
            payload_text=packet.text,
            replay_of=run.run_id,
            policy=replace(run.policy, **self.policy),
        )
        facts = replace(facts, **self.changes)
        check_payload(job, facts.payload)
        if key is not None:
            expires_at = tx.at + timedelta(seconds=self.idempotency_ttl_secs)
            facts = replace(facts, idempotency_fingerprint=idempotency.ANY_REQUEST, idempotency_expires_at=expires_at)
            holder = idempotency.KeyHolder(self.new_run_id, idempotency.ANY_REQUEST, expires_at)
            idempotency.hold(tx, job.job_id, key, holder)
        return Triggering(create_run(tx, self.new_run_id, facts), idempotency_hit=False, payload=facts.payload)


@dataclass(frozen=True)
class FreeTaskKey:
    """Free an idempotency key of a task, so that the next trigger with it makes a new run; answers the run."""

    context: Context
    slug: str
    key: str
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Nothing can be prepared: the task is looked for."""

    def handle(self, tx: Transaction) -> Run:
        """Find the run that holds the key, and have it give it up.

        Raises:
            NotFound: no run of the task holds the key.
        """
        job = _find(tx, self.slug)
        if job is not None:
            idempotency.look_up(tx, job.job_id, [self.key])
            holder = idempotency.held_by(tx, job.job_id, self.key)
            if holder is not None:
                return apply(tx, holder.run_id, c.ResetIdempotency(self.key))
        raise NotFound(f"no run of the task {self.slug!r} holds this idempotency key")


def job_of_task(tx: Transaction, slug: str, defaults: Mapping[str, Any], guess: str | None = None) -> Job:
    """Return the job of a slug, made with some settings if there is none. `guess` is the id that it probably has."""
    job = None if guess is None else tx.state(guess)
    if isinstance(job, Job) and _is(job, slug):
        return job
    return _find(tx, slug) or _define(tx, slug, defaults)


def _find(tx: Transaction, slug: str) -> Job | None:
    known = {job.job_id: job for job in tx.states(Job)}
    for job in known.values():
        if _is(job, slug):
            return job
    # What this very transaction did to jobs is not in the table yet.
    rows = [job_id for (job_id,) in tx.query(SQL["id_of_slug"], {"slug": slug}) if job_id not in known]
    return tx.state(rows[0]) if rows else None


def _is(job: Job, slug: str) -> bool:
    return job.settings.slug == slug and not job.deleted


def _define(tx: Transaction, slug: str, defaults: Mapping[str, Any]) -> Job:
    settings = {"name": slug, "slug": slug, **defaults}
    events = decide(job_commands.CreateJob(new_version_id(), settings, tx.context.actor), None)
    return tx.create(new_id("job"), *events)
