"""Job statistics: how the runs of each job did, hour by hour.

Guarantees: everything is counted in the hour in which it happened, by the ledger's time: a run is triggered in one
hour, may wait for a worker into the next and end in a third. The sum over hours misses nothing and counts nothing
twice. Percentiles of any stretch of hours follow from the sums of the counts (`durations`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from runcord.projecting.projection import BatchProjection, Step, Table
from runcord.run import events as e
from runcord.run.status import SLOT_HOLDING, Status
from runcord_projections.job_statistics.durations import add, count

_HOUR = timedelta(hours=1)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

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


@dataclass(slots=True)
class Added:
    """What a batch adds to an hour of a job."""

    sums: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    work_counts: list[int] = field(default_factory=list[int])
    wait_counts: list[int] = field(default_factory=list[int])


class JobStatistics(BatchProjection[JobHour, Added]):
    """Counts, durations and cost by job and hour."""

    name = "job_statistics"
    reads = frozenset(_COUNTED_AS)
    table = Table("job_statistics", JobHour, key=("job_id", "hour"))
    outlined = True

    def gather(self, steps: Sequence[Step]) -> Mapping[tuple[str, datetime], Added]:
        """Return what is added to the hours of the jobs of runs."""
        found: dict[tuple[str, datetime], Added] = {}
        hour = end = _LONG_AGO
        for step in steps:
            before, recorded, after = step
            if after is None:
                continue
            at, event = recorded.at, recorded.event
            if not hour <= at < end:
                hour = at.replace(minute=0, second=0, microsecond=0)
                end = hour + _HOUR
            key = (after.job_id, hour)
            added = found.get(key)
            if added is None:
                added = found[key] = Added()
            kind = event.__class__
            name = _COUNTED_AS[kind]
            if name:
                added.sums[name] += 1
            if kind is e.UsageRecorded:
                added.sums["cost_microusd"] += event.cost_microusd
                added.sums["tokens"] += event.total_tokens
            elif kind is e.Dequeued:
                assert before is not None
                count(added.wait_counts, at - before.due_at)
            elif kind in _WORK_ENDS and (worked := _worked(step)) is not None:
                count(added.work_counts, worked)
        return found

    def evolve(self, row: JobHour | None, key: tuple[str, datetime], notes: Added, /) -> JobHour:
        """Return the counts with what is added."""
        hour = JobHour(*key) if row is None else row
        return hour._replace(
            **{name: getattr(hour, name) + added for name, added in notes.sums.items()},
            work_counts=add(hour.work_counts, notes.work_counts),
            wait_counts=add(hour.wait_counts, notes.wait_counts),
        )


def _worked(step: Step) -> timedelta | None:
    """Return how long the attempt worked that the event has ended together with its run; None if there was none."""
    before, recorded, _ = step
    if before is None or before.status not in _AT_WORK:
        return None
    return None if before.started_at is None else recorded.at - before.started_at


PROJECTION = JobStatistics()
