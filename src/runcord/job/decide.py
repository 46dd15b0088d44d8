"""`decide(command, job) -> events` for jobs. Pure."""

from runcord.errors import Conflict, Invalid, JobNotFound
from runcord.job import commands as c
from runcord.job import events as e
from runcord.job.state import Job


def decide(command: c.Command, job: Job | None) -> tuple[e.Event, ...]:
    """Return the events that `command` causes.

    Raises:
        JobNotFound: there is no such job, or no more.
        Conflict: the job is there already.
        Invalid: a new job has no name or no slug.
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
