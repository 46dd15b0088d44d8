"""Making a job depend on another, and ending that."""

from dataclasses import dataclass

from runcord.errors import Invalid, JobNotFound
from runcord.handling import dependencies
from runcord.handling.dependency_graph import graph_of, note, require_no_cycle
from runcord.handling.descent import job_id_of
from runcord.handling.jobs import get_job
from runcord.job import commands as c
from runcord.job.decide import decide
from runcord.job.events import Condition
from runcord.job.state import Job
from runcord.ledger.transaction import Context, Plan, Transaction


@dataclass(frozen=True)
class DependOnJob:
    """Hold runs of a job back until runs of another, named by id or slug, have ended as `condition` says.

    Answers the job; its last dependency is the new one. Runs that are under way already are left alone.
    """

    context: Context
    job_id: str
    version_id: str
    dependency_id: str
    on: str
    condition: Condition
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read both jobs."""
        plan.need(self.job_id, self.on)

    def handle(self, tx: Transaction) -> Job:
        """Decide and record.

        Raises:
            JobNotFound, DependencyExists, DependencyCycle: refused.
            Invalid: the other job is this one, or not in this project.
        """
        job = get_job(tx, self.job_id)
        try:
            on = get_job(tx, job_id_of(tx, self.on))
        except JobNotFound:
            raise Invalid(f"there is no job {self.on[:128]!r} in this project that could be depended on") from None
        command = c.AddDependency(self.version_id, self.dependency_id, on.job_id, self.condition)
        events = decide(command, job)
        require_no_cycle(tx, job, on)
        if on.job_id not in graph_of(tx).dependents:
            dependencies.remember_endings(tx, on.job_id)
        after: Job = tx.record(job.job_id, *events)
        note(tx, after)
        return after


@dataclass(frozen=True)
class EndDependency:
    """Take a dependency away, and queue the runs that only it has held back; answers the job."""

    context: Context
    job_id: str
    version_id: str
    dependency_id: str
    weight: int = 2

    def prepare(self, plan: Plan) -> None:
        """Read the job."""
        plan.need(self.job_id)

    def handle(self, tx: Transaction) -> Job:
        """Decide and record.

        Raises:
            JobNotFound, DependencyNotFound: refused.
        """
        job = get_job(tx, self.job_id)
        after: Job = tx.record(job.job_id, *decide(c.RemoveDependency(self.version_id, self.dependency_id), job))
        note(tx, after)
        dependencies.reconsider(tx, job.job_id)
        return after
