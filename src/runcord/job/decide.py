"""`decide(command, job) -> events` for jobs. Pure."""

from runcord.errors import Conflict, DependencyExists, DependencyNotFound, Invalid, JobNotFound
from runcord.job import commands as c
from runcord.job import events as e
from runcord.job.controls import BOTH_HOLD_BACK, window_of
from runcord.job.state import Job

MAX_DEPENDENCIES = 100


def decide(command: c.Command, job: Job | None) -> tuple[e.Event, ...]:
    """Return the events that `command` causes.

    Raises:
        JobNotFound: there is no such job, or no more.
        Conflict: the job is there already.
        Invalid: a new job has no name or no slug, or a job would depend on itself, or on too many.
        DependencyExists, DependencyNotFound: the dependency is there already, or is not.
    """
    match command:
        case c.CreateJob():
            if job is not None:
                raise Conflict("the job exists already")
            if not (command.settings.get("name") and command.settings.get("slug")):
                raise Invalid("a job needs a name and a slug")
            return (e.JobCreated(command.version_id, command.settings, command.created_by),)
        case _ if job is None or job.deleted:
            raise JobNotFound
        case c.UpdateJob():
            return (e.JobUpdated(command.version_id, command.changes),)
        case c.DeleteJob():
            return (e.JobDeleted(),)
        case c.AddDependency():
            if command.depends_on_job_id == job.job_id:
                raise Invalid("a job cannot depend on itself")
            if any(known.depends_on_job_id == command.depends_on_job_id for known in job.dependencies):
                raise DependencyExists
            if window_of(job.settings) is not None:
                raise Invalid(BOTH_HOLD_BACK)
            if len(job.dependencies) >= MAX_DEPENDENCIES:
                raise Invalid(f"a job depends on at most {MAX_DEPENDENCIES} others")
            return (
                e.JobDependencyAdded(
                    command.version_id, command.dependency_id, command.depends_on_job_id, command.condition
                ),
            )
        case c.RemoveDependency():
            if all(known.dependency_id != command.dependency_id for known in job.dependencies):
                raise DependencyNotFound(f"the job has no dependency {command.dependency_id[:128]!r}")
            return (e.JobDependencyRemoved(command.version_id, command.dependency_id),)
