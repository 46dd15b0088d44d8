"""Runs made from runs: children, continuations and replays, linked both ways."""

from dataclasses import dataclass, replace
from typing import Any

from runcord.errors import CheckpointNotFound, JobNotFound
from runcord.handling.consequence import SQL, apply, create_run, get_run
from runcord.handling.documents import documents
from runcord.handling.schema import check_payload
from runcord.handling.trigger import Triggering, TriggerRequest, begin, open_job, triggered
from runcord.job.state import Job
from runcord.ledger.mapper import recorded as recorded_of
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.packet import NOTHING, Packet
from runcord.run.state import Run


@dataclass(frozen=True)
class SpawnRun:
    """Make a child of another job, or of the same; with `await_completion` the parent waits for its end."""

    context: Context
    parent_run_id: str
    job_ref: str
    """The id or the slug of the child's job."""
    request: TriggerRequest
    claim: c.Claim = c.ANY_CLAIM
    await_completion: bool = False
    await_timeout_secs: float | None = None
    weight: int = 3

    def prepare(self, plan: Plan) -> None:
        """Read the parent."""
        plan.need(self.parent_run_id)

    def handle(self, tx: Transaction) -> Triggering:
        """Record the child on both sides."""
        parent = get_run(tx, self.parent_run_id)
        job = open_job(tx, job_id_of(tx, self.job_ref))
        check_payload(job, self.request.payload)
        child_id = self.request.run_id
        apply(
            tx,
            parent.run_id,
            c.Spawn(child_id, job.job_id, self.await_completion, self.await_timeout_secs, self.claim),
        )
        facts = triggered(job, self.request, tx.at, "spawn", self.context.actor)
        facts = replace(facts, parent_run_id=parent.run_id, parent_waits=self.await_completion)
        return Triggering(begin(tx, job, child_id, facts), idempotency_hit=False, payload=self.request.payload)


@dataclass(frozen=True)
class ContinueRun:
    """Make the next run of a chain: same job, priority and queue; the payload is the parent's unless given."""

    context: Context
    run_id: str
    new_run_id: str
    payload: Any = None
    keep_payload: bool = True
    claim: c.Claim = c.ANY_CLAIM
    weight: int = 2

    def prepare(self, plan: Plan) -> None:
        """Read the run."""
        plan.need(self.run_id)

    def handle(self, tx: Transaction) -> Triggering:
        """Record the continuation on both sides."""
        run = get_run(tx, self.run_id)
        apply(tx, run.run_id, c.Continue(self.new_run_id, self.claim))
        job = open_job(tx, run.job_id)
        payload = documents(tx, run.run_id)[0] if self.keep_payload else self.payload
        packet = packet_of(tx, run) if self.keep_payload else NOTHING
        check_payload(job, payload)
        facts = replace(
            copy_of(run, payload, "continuation", self.context.actor),
            payload_type=packet.type,
            payload_text=packet.text,
            job_slug=job.settings.slug,
            continuation_of=run.run_id,
            lineage_depth=run.lineage_depth + 1,
        )
        return Triggering(create_run(tx, self.new_run_id, facts), idempotency_hit=False, payload=payload)


@dataclass(frozen=True)
class ReplayRun:
    """Make a new run of a finished one, from its payload or from one of its checkpoints."""

    context: Context
    run_id: str
    new_run_id: str
    from_checkpoint: int | None = None
    weight: int = 2

    def prepare(self, plan: Plan) -> None:
        """Read the run."""
        plan.need(self.run_id)

    def handle(self, tx: Transaction) -> Triggering:
        """Record the replay on both sides."""
        run = get_run(tx, self.run_id)
        apply(tx, run.run_id, c.Replay(self.new_run_id))
        job = open_job(tx, run.job_id)
        if self.from_checkpoint is None:
            payload, packet = documents(tx, run.run_id)[0], packet_of(tx, run)
        else:
            payload, packet = _checkpoint(tx, run, self.from_checkpoint).state, NOTHING
        facts = replace(
            copy_of(run, payload, "manual", self.context.actor),
            job_slug=job.settings.slug,
            payload_type=packet.type,
            payload_text=packet.text,
            replay_of=run.run_id,
            replay_checkpoint=self.from_checkpoint,
            debug_mode=run.debug_mode or self.from_checkpoint is not None,
        )
        return Triggering(create_run(tx, self.new_run_id, facts), idempotency_hit=False, payload=payload)


@dataclass(frozen=True)
class ReplayDeadLetter:
    """Queue a dead letter again, if its job still takes runs; answers the run after it."""

    context: Context
    run_id: str
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read the run."""
        plan.need(self.run_id)

    def handle(self, tx: Transaction) -> Run:
        """Decide and record."""
        job_id = get_run(tx, self.run_id).job_id
        after = apply(tx, self.run_id, c.ReplayDeadLetter())
        open_job(tx, job_id)
        return after


def packet_of(tx: Transaction, run: Run) -> Packet:
    """Return what a run's payload does not tell of the text that it was read from."""
    if not run.payload_text_kept:
        return Packet(run.payload_type)
    written = [recorded.event for recorded in tx.recorded(run.run_id) if recorded.version == run.payload_version]
    if not written:
        (row,) = tx.query(SQL["event"], {"run_id": run.run_id, "version": run.payload_version})
        written = [recorded_of(row).event]
    return Packet(run.payload_type, written[0].payload_text)


def copy_of(run: Run, payload: Any, triggered_by: str, actor: str) -> e.Triggered:
    """Return the facts of a run like another: same job version and policy, tags, metadata, priority and limits."""
    return e.Triggered(
        job_id=run.job_id,
        job_slug=run.job_slug,
        job_version=run.job_version,
        triggered_by=triggered_by,
        policy=run.policy,
        queue=run.queue,
        payload=payload,
        priority=run.priority,
        ttl_secs=run.ttl_secs,
        tags=run.tags,
        metadata=run.metadata,
        concurrency_key=run.concurrency_key,
        overrides=run.overrides,
        created_by=actor,
        hints=run.hints,
    )


def job_id_of(tx: Transaction, ref: str) -> str:
    """Return the id of the job that `ref` names, by id or by slug.

    Raises:
        JobNotFound: it names none.
    """
    if isinstance(tx.state(ref), Job):
        return ref
    made = [job.job_id for job in tx.states(Job) if job.settings.slug == ref and not job.deleted]
    rows = tx.query(SQL["id_of_slug"], {"slug": ref})
    found = made or [row[0] for row in rows]
    if not found:
        raise JobNotFound(f"there is no job {ref!r} in this project")
    return found[0]


def _checkpoint(tx: Transaction, run: Run, sequence: int) -> e.Checkpointed:
    rows = tx.query(SQL["checkpoint"], {"run_id": run.run_id, "skip": sequence - 1}) if sequence > 0 else []
    if not rows:
        raise CheckpointNotFound(f"run {run.run_id} has no checkpoint {sequence}; it has {run.checkpoints}")
    return recorded_of(rows[0]).event
