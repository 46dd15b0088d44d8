"""Job statistics: how the runs of each job did, hour by hour.

Guarantees: everything is counted in the hour in which it happened, by the ledger's time: a run is triggered in one
hour, may wait for a worker into the next and end in a third. The sum over hours misses nothing and counts nothing
twice. Percentiles of any stretch of hours follow from the sums of the counts (`durations`).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from runcord.projecting.projection import Projection, Step, Table
from runcord.run import events as e
from runcord_projections.job_statistics.durations import counted

_FAILURES = (e.Failed, e.TimedOut, e.Crashed, e.SystemFailed, e.DeadLettered)
_ENDINGS = (e.Completed, *_FAILURES, e.Canceled, e.Expired)


class JobHour(NamedTuple):
    """One job in one hour."""

    job_id: str
    hour: datetime
    """When the hour begins."""
    triggered: int = 0
    attempts: int = 0
    completed: int = 0
    failed: int = 0
    """Ended badly, dead letters among them; a dead letter that is tried again and ends again counts again."""
    canceled: int = 0
    expired: int = 0
    cost_microusd: int = 0
    tokens: int = 0
    work_counts: tuple[int, ...] = ()
    """How long the last attempts worked."""
    wait_counts: tuple[int, ...] = ()
    """How long runs that were due waited for a worker."""


class JobStatistics(Projection[JobHour]):
    """Counts, durations and cost by job and hour."""

    name = "job_statistics"
    reads = frozenset((e.Triggered, e.Dequeued, e.Attempted, e.UsageRecorded, *_ENDINGS))
    table = Table("job_statistics", JobHour, key=("job_id", "hour"))

    def keys(self, step: Step) -> Iterable[tuple[str, datetime]]:
        """The run's job, in the hour of the event."""
        if step.after is None:
            return ()
        return ((step.after.job_id, step.recorded.at.replace(minute=0, second=0, microsecond=0)),)

    def evolve(self, row: JobHour | None, key: tuple[str, datetime], step: Step) -> JobHour:
        """Return the counts with what the event adds."""
        before, recorded, after = step
        hour = JobHour(*key) if row is None else row
        assert after is not None
        match recorded.event:
            case e.Triggered():
                return hour._replace(triggered=hour.triggered + (before is None))
            case e.Dequeued():
                assert before is not None
                return hour._replace(wait_counts=counted(hour.wait_counts, recorded.at - before.due_at))
            case e.Attempted():
                return hour._replace(attempts=hour.attempts + 1)
            case e.UsageRecorded() as usage:
                cost = hour.cost_microusd + usage.cost_microusd
                return hour._replace(cost_microusd=cost, tokens=hour.tokens + usage.total_tokens)
            case e.Canceled():
                return _worked(hour._replace(canceled=hour.canceled + 1), step)
            case e.Expired():
                return hour._replace(expired=hour.expired + 1)
            case e.Completed():
                return _worked(hour._replace(completed=hour.completed + 1), step)
            case _:
                return _worked(hour._replace(failed=hour.failed + 1), step)


def _worked(hour: JobHour, step: Step) -> JobHour:
    """Return the counts with the time for which the attempt worked that has just ended, if one has."""
    before = step.before
    if before is None or before.started_at is None:
        return hour
    return hour._replace(work_counts=counted(hour.work_counts, step.recorded.at - before.started_at))


PROJECTION = JobStatistics()
