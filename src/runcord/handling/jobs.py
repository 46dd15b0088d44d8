"""Handlers of commands to jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from runcord.errors import JobHasActiveRuns, JobIsDependedOn, JobNotFound, JobSlugTaken
from runcord.handling import job_secrets
from runcord.handling.consequence import SQL
from runcord.handling.dependency_graph import graph_of, note
from runcord.handling.schema import check_schema
from runcord.job import commands as c
from runcord.job.controls import check_controls
from runcord.job.decide import decide
from runcord.job.state import Job
from runcord.ledger.transaction import Context, Plan, Transaction


@dataclass(frozen=True)
class CommandJob:
    """One command to one job; answers the job after it."""

    context: Context
    job_id: str
    command: c.DefinitionCommand
    secrets: Mapping[str, bytes | None] = field(default_factory=dict[str, bytes | None])
    """Sealed secrets to be kept for the job, by name; None removes one."""
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read the job."""
        plan.need(self.job_id)

    def handle(self, tx: Transaction) -> Job:
        """Check what concerns other jobs and runs, then decide and record.

        Raises:
            JobSlugTaken, JobHasActiveRuns, JobIsDependedOn, JobNotFound: refused.
            Invalid: a schema cannot be used, or settings do not go together.
        """
        job = tx.state(self.job_id)
        events = decide(self.command, job)
        match self.command:
            case c.CreateJob(settings=given) | c.UpdateJob(changes=given):
                _check_settings(tx, self.job_id, given)
            case c.DeleteJob():
                if self.job_id in graph_of(tx).dependents:
                    raise JobIsDependedOn
                if tx.query(SQL["job_is_active"], {"job_id": self.job_id})[0][0]:
                    raise JobHasActiveRuns("the job has runs that have not ended: cancel them, or let them end, first")
                job_secrets.forget(tx, self.job_id)
        job_secrets.keep(tx, self.job_id, self.secrets)
        after: Job = tx.record(self.job_id, *events)
        if after.deleted and after.dependencies:
            note(tx, after)
        match self.command:
            case c.CreateJob(settings=given) | c.UpdateJob(changes=given):
                check_controls(after, given)
            case _:
                pass
        return after


@dataclass(frozen=True)
class CloneJob:
    """Make a job with the settings and secrets of another, under its own name and slug; answers the new job."""

    context: Context
    job_id: str
    clone_id: str
    version_id: str
    name: str
    slug: str
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read the job."""
        plan.need(self.job_id)

    def handle(self, tx: Transaction) -> Job:
        """Copy what differs from the defaults.

        Raises:
            JobSlugTaken, JobNotFound: refused.
        """
        settings = get_job(tx, self.job_id).settings
        given = {
            f.name: getattr(settings, f.name) for f in fields(settings) if getattr(settings, f.name) != f.default
        } | {"name": self.name, "slug": self.slug}
        # Compatibility is said of a version of that job.
        given.pop("backwards_compatible", None)
        events = decide(c.CreateJob(self.version_id, given, self.context.actor), tx.state(self.clone_id))
        _check_settings(tx, self.clone_id, given)
        job_secrets.copy(tx, self.job_id, self.clone_id)
        return tx.create(self.clone_id, *events)


@dataclass(frozen=True)
class Switched:
    """How many jobs were enabled or disabled that were not so before, and which ones are not there."""

    updated: int
    not_found: Sequence[str]


@dataclass(frozen=True)
class SwitchJobs:
    """Enable or disable jobs, each by its id and the id of the version that it gets; answers a `Switched`."""

    context: Context
    versions: Mapping[str, str]
    enabled: bool

    @property
    def weight(self) -> int:
        """One event for each."""
        return len(self.versions)

    def prepare(self, plan: Plan) -> None:
        """Read the jobs."""
        plan.need(*self.versions)

    def handle(self, tx: Transaction) -> Switched:
        """Give a new version to those that are not so already."""
        updated, not_found = 0, list[str]()
        for job_id, version_id in self.versions.items():
            job = tx.state(job_id)
            if not isinstance(job, Job) or job.deleted:
                not_found.append(job_id)
            elif job.settings.enabled != self.enabled:
                # Nothing about it breaks what was made for the version before.
                changes = {"enabled": self.enabled, "backwards_compatible": True}
                tx.record(job_id, *decide(c.UpdateJob(version_id, changes), job))
                updated += 1
        return Switched(updated, not_found)


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
