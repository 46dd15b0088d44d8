"""Job statistics: how the runs of each job did, hour by hour.

Guarantees: everything is counted in the hour in which it happened, by the ledger's time: a run is triggered in one
hour, may wait for a worker into the next and end in a third. The sum over hours misses nothing and counts nothing
twice. Percentiles of any stretch of hours follow from the sums of the counts (`durations`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from runcord.projecting.projection import BatchProjection, Step, Stretch, Table, steps_of
from runcord.run import events as e
from runcord.run.status import SLOT_HOLDING, Status
from runcord.run.stretches import EARLIER, Way
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


Place = tuple[str, datetime]
"""A job and an hour."""


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
    by_stretches = True

    def gather(self, steps: Sequence[Step]) -> Mapping[Place, Added]:
        """Return what is added to the hours of the jobs of runs."""
        found: dict[Place, Added] = {}
        _add_steps(found, steps)
        return found

    def gather_stretches(self, stretches: Sequence[Stretch], noted: dict[Place, Added]) -> Mapping[Place, Added]:
        """Add the runs that go plain ways: how often each was gone in an hour, and how long what lasted."""
        gone: defaultdict[Place, defaultdict[Way, int]] = defaultdict(lambda: defaultdict(int))
        hour = end = _LONG_AGO
        for stretch in stretches:
            way, run, _, _, _, times = stretch
            if not hour <= times[0] < end:
                hour, end = _hour_of(times[0])
            if times[-1] >= end:
                _add_steps(noted, [one for one in steps_of(stretch) if one.recorded.event.__class__ in self.reads])
                continue
            place = (run.job_id, hour)
            gone[place][way] += 1
            waits, works = _timed(way)
            if not (waits or works):
                continue
            added = noted.get(place)
            if added is None:
                added = noted[place] = Added()
            for n in waits:
                count(added.wait_counts, times[n] - run.due_at)
            for n, since in works:
                started = run.started_at if since == EARLIER else times[since]
                if started is not None:
                    count(added.work_counts, times[n] - started)
        for place, ways in gone.items():
            for way, times_gone in ways.items():
                kinds = [kind for kind in way.kinds if kind in self.reads]
                if kinds:
                    sums = noted.setdefault(place, Added()).sums
                    for name in filter(None, map(_COUNTED_AS.__getitem__, kinds)):
                        sums[name] += times_gone
        return noted

    def evolve(self, row: JobHour | None, key: Place, notes: Added, /) -> JobHour:
        """Return the counts with what is added."""
        hour = JobHour(*key) if row is None else row
        return hour._replace(
            **{name: getattr(hour, name) + added for name, added in notes.sums.items()},
            work_counts=add(hour.work_counts, notes.work_counts),
            wait_counts=add(hour.wait_counts, notes.wait_counts),
        )


def _add_steps(found: dict[Place, Added], steps: Iterable[Step]) -> None:
    """Add what steps say of the hours in which they happened."""
    hour = end = _LONG_AGO
    for step in steps:
        before, recorded, after = step
        if after is None:
            continue
        at, event = recorded.at, recorded.event
        if not hour <= at < end:
            hour, end = _hour_of(at)
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


def _hour_of(at: datetime) -> tuple[datetime, datetime]:
    """Return when the hour began that holds a time, and when it ended."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    return hour, hour + _HOUR


@lru_cache(1024)
def _timed(way: Way) -> tuple[Sequence[int], Sequence[tuple[int, int]]]:
    """Return where a run is taken on its way; and where work ends, with where it was started."""
    ends = [n for n, kind in enumerate(way.kinds) if kind in _WORK_ENDS and way.before[n] in _AT_WORK]
    return way.dequeued, [(n, way.started[n]) for n in ends]


def _worked(step: Step) -> timedelta | None:
    """Return how long the attempt worked that the event has ended together with its run; None if there was none."""
    before, recorded, _ = step
    if before is None or before.status not in _AT_WORK:
        return None
    return None if before.started_at is None else recorded.at - before.started_at


PROJECTION = JobStatistics()
