"""Job statistics: how the runs of each job did, hour by hour.

Guarantees: everything is counted in the hour in which it happened, by the ledger's time: a run is triggered in one
hour, may wait for a worker into the next and end in a third. The sum over hours misses nothing and counts nothing
twice. Percentiles of any stretch of hours follow from the sums of the counts (`durations`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from runcord.projecting.projection import Projection, Step, Table
from runcord.run import events as e
from runcord.run.status import SLOT_HOLDING, Status
from runcord_projections.job_statistics.durations import count

_HOUR = timedelta(hours=1)

_COUNTED_AS = {
    e.Triggered: "triggered",
    e.Attempted: "attempts",
    e.Completed: "completed",
    e.Failed: "failed",
    e.TimedOut: "failed",
    e.Crashed: "failed",
    e.SystemFailed: "failed",
    e.DeadLettered: "failed",
    e.Canceled: "canceled",
    e.Expired: "expired",
    e.Dequeued: "",
    e.UsageRecorded: "",
}
_AT_WORK = SLOT_HOLDING | {Status.WAITING}
_WORK_ENDS = frozenset((e.Completed, e.Failed, e.TimedOut, e.Crashed, e.SystemFailed, e.DeadLettered, e.Canceled))


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
    """How long the attempts worked that ended their runs, waits within them included; not what was over before: a
    paused run that is canceled has no such attempt."""
    wait_counts: tuple[int, ...] = ()
    """How long runs that were due waited for a worker."""


class JobStatistics(Projection[JobHour]):
    """Counts, durations and cost by job and hour."""

    name = "job_statistics"
    reads = frozenset(_COUNTED_AS)
    table = Table("job_statistics", JobHour, key=("job_id", "hour"))

    def __init__(self) -> None:
        self._hour = datetime.min.replace(tzinfo=UTC)

    def keys(self, step: Step) -> Iterable[tuple[str, datetime]]:
        """The run's job, in the hour of the event."""
        if step.after is None:
            return ()
        return ((step.after.job_id, self._hour_of(step.recorded.at)),)

    def _hour_of(self, at: datetime) -> datetime:
        """Return when the hour of a time began. Times come in order, so that it is nearly always the last one."""
        if not self._hour <= at < self._hour + _HOUR:
            self._hour = at.replace(minute=0, second=0, microsecond=0)
        return self._hour

    def evolve(self, row: JobHour | None, key: tuple[str, datetime], steps: Sequence[Step]) -> JobHour:
        """Return the counts with what the events add."""
        hour = JobHour(*key) if row is None else row
        counts: Counter[str] = Counter()
        work, wait = list(hour.work_counts), list(hour.wait_counts)
        for step in steps:
            before, recorded, _ = step
            event = recorded.event
            counts[_COUNTED_AS[event.__class__]] += 1
            if event.__class__ is e.UsageRecorded:
                counts["cost_microusd"] += event.cost_microusd
                counts["tokens"] += event.total_tokens
            elif event.__class__ is e.Dequeued:
                assert before is not None
                count(wait, recorded.at - before.due_at)
            elif (worked := _worked(step)) is not None:
                count(work, worked)
        del counts[""]
        sums = {name: getattr(hour, name) + added for name, added in counts.items()}
        return hour._replace(**sums, work_counts=tuple(work), wait_counts=tuple(wait))


def _worked(step: Step) -> timedelta | None:
    """Return how long the attempt worked that has ended its run; None if the event ends no attempt and run."""
    before, recorded, _ = step
    if recorded.event.__class__ not in _WORK_ENDS or before is None or before.status not in _AT_WORK:
        return None
    return None if before.started_at is None else recorded.at - before.started_at


PROJECTION = JobStatistics()
