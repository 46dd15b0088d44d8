"""Reading job statistics: how jobs did in a stretch of hours, summed or hour by hour."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from runcord.projecting.time_travel import Read
from runcord.sql import load
from runcord_projections.job_statistics.projection import JobHour

SQL = load("runcord_projections.job_statistics", "view.sql")

HOUR = timedelta(hours=1)


class Window(NamedTuple):
    """From the beginning of one hour to that of another, which is not counted any more."""

    since: datetime
    until: datetime

    @property
    def hours(self) -> int:
        """How many hours it has."""
        return (self.until - self.since) // HOUR


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


async def statistics(
    read: Read,
    project_id: str,
    window: Window,
    *,
    job_id: str | None = None,
    after: str = "",
    by_hour: bool = False,
    limit: int,
) -> list[JobTotal]:
    """Return how jobs did in a window, in the order of their ids, beyond `after`: those that did anything at all."""
    scope: dict[str, Any] = {"project_id": project_id, **window._asdict()}
    rows = await read(SQL["totals"], {**scope, "job_id": job_id, "after": after, "limit": limit})
    totals = [JobHour(*row) for row in rows]
    if not totals:
        return []
    scope["job_ids"] = [total.job_id for total in totals]
    slugs: dict[str, str] = dict(await read(SQL["slugs"], scope))
    hours: dict[str, list[JobHour]] = {total.job_id: [] for total in totals}
    for row in await read(SQL["hours"], scope) if by_hour else ():
        hours[row[0]].append(JobHour(*row))
    return [JobTotal(total.job_id, slugs[total.job_id], total, hours[total.job_id]) for total in totals]
