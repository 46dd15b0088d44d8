"""Handlers of commands to jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runcord.errors import JobHasActiveRuns, JobNotFound, JobSlugTaken
from runcord.handling import job_secrets
from runcord.handling.consequence import SQL
from runcord.handling.schema import check_schema
from runcord.job import commands as c
from runcord.job.decide import decide
from runcord.job.state import Job
from runcord.ledger.transaction import Context, Plan, Transaction


@dataclass(frozen=True)
class CommandJob:
    """One command to one job; answers the job after it."""

    context: Context
    job_id: str
    command: c.Command
    secrets: Mapping[str, bytes | None] = field(default_factory=dict[str, bytes | None])
    """Sealed secrets to be kept for the job, by name; None removes one."""
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read the job."""
        plan.need(self.job_id)

    def handle(self, tx: Transaction) -> Job:
        """Check what concerns other jobs and runs, then decide and record.

        Raises:
            JobSlugTaken, JobHasActiveRuns, JobNotFound: refused.
            Invalid: a schema cannot be used.
        """
        job = tx.state(self.job_id)
        events = decide(self.command, job)
        match self.command:
            case c.CreateJob(settings=given) | c.UpdateJob(changes=given):
                _check_settings(tx, self.job_id, given)
            case c.DeleteJob():
                if tx.query(SQL["job_is_active"], {"job_id": self.job_id})[0][0]:
                    raise JobHasActiveRuns("the job has runs that have not ended: cancel them, or let them end, first")
                job_secrets.forget(tx, self.job_id)
        job_secrets.keep(tx, self.job_id, self.secrets)
        return tx.record(self.job_id, *events)


def get_job(tx: Transaction, job_id: str) -> Job:
    """Return a job that is there.

    Raises:
        JobNotFound: it is not, or no more.
    """
    job = tx.state(job_id)
    if not isinstance(job, Job) or job.deleted:
        raise JobNotFound(f"there is no job {job_id!r} in this project")
    return job


def _check_settings(tx: Transaction, job_id: str, given: Mapping[str, Any]) -> None:
    for name in ("payload_schema", "result_schema"):
        if given.get(name) is not None:
            check_schema(given[name], name)
    slug = given.get("slug")
    if slug is None:
        return
    stored = {row[0] for row in tx.query(SQL["id_of_slug"], {"slug": slug})}
    # What this very transaction did to jobs is not in the table yet.
    for job in tx.states(Job):
        stored.discard(job.job_id)
        if job.settings.slug == slug and not job.deleted:
            stored.add(job.job_id)
    if stored - {job_id}:
        raise JobSlugTaken(f"the slug {slug!r} belongs to job {min(stored - {job_id})}: choose another")
