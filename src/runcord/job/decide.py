"""`decide(command, job) -> events` for jobs. Pure."""

from runcord.errors import Conflict, JobNotFound
from runcord.job import commands as c
from runcord.job import events as e
from runcord.job.state import Job


def decide(command: c.Command, job: Job | None) -> tuple[e.Event, ...]:
    """Return the events that `command` causes.

    Raises:
        JobNotFound: there is no such job, or no more.
        Conflict: the job is there already.
    """
    match command:
        case c.CreateJob():
            if job is not None:
                raise Conflict("the job exists already")
            return (e.JobCreated(command.version_id, command.settings, command.created_by),)
        case _ if job is None or job.deleted:
            raise JobNotFound
        case c.UpdateJob():
            return (e.JobUpdated(command.version_id, command.changes),)
        case c.DeleteJob():
            return (e.JobDeleted(),)
