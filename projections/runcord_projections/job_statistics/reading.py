"""Reading job statistics: how jobs did in a stretch of hours, summed or hour by hour."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from operator import add
from typing import Any, NamedTuple

from runcord.ledger.statements import Read
from runcord.sql import load
from runcord_projections.job_statistics.projection import JobHour

SQL = load("runcord_projections.job_statistics", "view.sql")

HOUR = timedelta(hours=1)

_ROWS_AT_ONCE = 1_000
"""Summing them takes about as long as a request may hold up others."""
_SUMMED = ("triggered", "attempts", "completed", "failed", "canceled", "expired", "cost_microusd", "tokens")


class Window(NamedTuple):
    """From the beginning of one hour to that of another, which is not counted any more."""

    since: datetime
    until: datetime

    @property
    def hours(self) -> int:
        """How many hours it has."""
        return (self.until - self.since) // HOUR

    def parts(self, hours: int) -> Iterator["Window"]:
        """Yield the windows of at most so many hours that it consists of, in their order."""
        since = self.since
        while since < self.until:
            until = min(since + hours * HOUR, self.until)
            yield Window(since, until)
            since = until


class JobTotal(NamedTuple):
    """What one job did in a window."""

    job_id: str
    job_slug: str
    total: JobHour
    """The sums; its `hour` is where the window begins."""
    hours: Sequence[JobHour]
    """The hours in which something happened, if they were asked for."""


async def last_window(read: Read, hours: int) -> Window:
    """Return the last hours by the ledger's clock, the present one included."""
    [(now,)] = await read(SQL["now"], {})
    until = now.replace(minute=0, second=0, microsecond=0) + HOUR
    return Window(until - hours * HOUR, until)


async def active_jobs(read: Read, project_id: str, window: Window, *, after: str = "", limit: int) -> list[str]:
    """Return the jobs of which anything happened in a window, in the order of their ids, beyond `after`."""
    rows = await read(SQL["jobs"], {"project_id": project_id, **window._asdict(), "after": after, "limit": limit})
    return [job_id for (job_id,) in rows]


async def statistics(
    read: Read, project_id: str, window: Window, job_ids: Sequence[str], *, by_hour: bool = False
) -> list[JobTotal]:
    """Return how jobs did in a window, also those of which nothing happened."""
    scope: dict[str, Any] = {"project_id": project_id, "job_ids": list(job_ids)}
    slugs: dict[str, str] = dict(await read(SQL["slugs"], scope))
    totals = {job_id: JobHour(job_id, window.since) for job_id in job_ids}
    hours: dict[str, list[JobHour]] = {job_id: [] for job_id in job_ids}
    for part in window.parts(max(1, _ROWS_AT_ONCE // max(1, len(job_ids)))):
        for row in await read(SQL["hours"], {**scope, **part._asdict()}):
            hour = JobHour(*row)
            totals[hour.job_id] = _sum(totals[hour.job_id], hour)
            if by_hour:
                hours[hour.job_id].append(hour)
    return [JobTotal(job_id, slugs[job_id], totals[job_id], hours[job_id]) for job_id in job_ids]


def _sum(one: JobHour, other: JobHour) -> JobHour:
    """Return the sum of two hours of a job, at the time of the first."""
    sums: dict[str, int] = {name: getattr(one, name) + getattr(other, name) for name in _SUMMED}
    work, wait = _plus(one.work_counts, other.work_counts), _plus(one.wait_counts, other.wait_counts)
    return one._replace(**sums, work_counts=work, wait_counts=wait)


def _plus(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    short, long = sorted((one, other), key=len)
    return (*map(add, short, long), *long[len(short) :])
