"""Statistics: how jobs did, hour by hour."""

from datetime import UTC, datetime
from typing import Any

from runcord.errors import Invalid
from runcord.http.models.page import encode_cursor, list_of, page
from runcord.http.models.views import AllStatisticsQuery, JobStatistics, StatisticsQuery
from runcord.http.operation import Answer, Call, Operation
from runcord.streaming.events import last_position
from runcord_projections.job_statistics.durations import percentile
from runcord_projections.job_statistics.projection import JobHour
from runcord_projections.job_statistics.reading import HOUR, JobTotal, Window, active_jobs, last_window, statistics

_STATISTICS = "statistics"
_DAY = 24

MOST_HOURS = 366 * _DAY
MOST_HOURS_ONE_BY_ONE = 31 * _DAY
MOST_HOURS_OF_ALL = 31 * _DAY
MOST_HOURS_OF_ALL_ONE_BY_ONE = 7 * _DAY

_COUNTS = ("triggered", "attempts", "completed", "failed", "canceled", "expired")


async def get_job_statistics(call: Call) -> Answer:
    """Tell how a job did: runs by how they ended, how long they waited and worked, tokens and cost.

    Over whole hours, at most 366 days; with `by=hour`, each hour as well, at most 31 days.
    """
    query = call.query(StatisticsQuery)
    backend, project_id = call.backend, call.project_id
    job_id = await backend.job_refs.find(project_id, call.path["job_id"])
    head = await last_position(backend.read, project_id)
    window = _bounded(await _window(call, query), MOST_HOURS_ONE_BY_ONE if query.by == "hour" else MOST_HOURS)
    await backend.projections.reach(project_id, head, "job_statistics")
    [job] = await statistics(backend.read, project_id, window, [job_id], by_hour=query.by == "hour")
    return Answer(_job(job, window, query), position=head)


async def list_statistics(call: Call) -> Answer:
    """List how the project's jobs did, by their ids: those of which anything happened in the time asked for.

    As for one job, over at most 31 days; with `by=hour`, 7 days. All pages of a cursor are of the same hours.
    """
    query = call.query(AllStatisticsQuery)
    backend, project_id = call.backend, call.project_id
    place = query.place(_STATISTICS, int, int, str)
    head = await last_position(backend.read, project_id)
    window = await _window(call, query) if place is None else _carried(query, place[0], place[1])
    window = _bounded(window, MOST_HOURS_OF_ALL_ONE_BY_ONE if query.by == "hour" else MOST_HOURS_OF_ALL)
    await backend.projections.reach(project_id, head, "job_statistics")
    active = await active_jobs(backend.read, project_id, window, after=place[2] if place else "", limit=query.size + 1)
    shown = active[: query.size]
    found = await statistics(backend.read, project_id, window, shown, by_hour=query.by == "hour")
    hours = [int(time.timestamp()) for time in window]
    cursor = encode_cursor(_STATISTICS, *hours, shown[-1]) if len(active) > query.size else None
    return page(call, query, [_job(job, window, query) for job in found], cursor)._replace(position=head)


async def _window(call: Call, query: StatisticsQuery | AllStatisticsQuery) -> Window:
    if query.until is not None:
        return Window(query.since or query.until - _DAY * HOUR, query.until)
    last = await last_window(call.backend.read, _DAY)
    return last if query.since is None else Window(query.since, last.until)


def _carried(query: AllStatisticsQuery, since: int, until: int) -> Window:
    """Return the window that a cursor carries."""
    try:
        window = Window(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC))
    except (ValueError, OverflowError, OSError):
        raise Invalid("the cursor is not one of this list: send the `X-Next-Cursor` of the page before") from None
    if query.since not in (None, window.since) or query.until not in (None, window.until):
        raise Invalid(
            f"the cursor is of the hours from {window.since.isoformat()} to {window.until.isoformat()}: go on with the "
            "parameters of the page before, or begin anew without the cursor"
        )
    return window


def _bounded(window: Window, most: int) -> Window:
    if window.since >= window.until:
        raise Invalid(f"from must be earlier than to, which is {window.until.isoformat()}")
    if window.hours > most:
        raise Invalid(f"that are {window.hours} hours: ask for at most {most} at once")
    return window


def _job(job: JobTotal, window: Window, query: StatisticsQuery | AllStatisticsQuery) -> dict[str, Any]:
    members: dict[str, Any] = {
        "job_id": job.job_id,
        "job_slug": job.job_slug,
        "from": window.since,
        "to": window.until,
        "total": _statistics(job.total),
    }
    if query.by == "hour":
        members["hours"] = [{"hour": hour.hour, **_statistics(hour)} for hour in job.hours]
    return members


def _statistics(hour: JobHour) -> dict[str, Any]:
    ended = hour.completed + hour.failed
    return {
        **{name: getattr(hour, name) for name in _COUNTS},
        "success_rate": round(hour.completed / ended, 4) if ended else None,
        "work_ms": _percentiles(hour.work_counts),
        "wait_ms": _percentiles(hour.wait_counts),
        "cost_microusd": hour.cost_microusd,
        "tokens": hour.tokens,
    }


def _percentiles(counts: tuple[int, ...]) -> dict[str, float | None]:
    return {f"p{percent}": percentile(counts, percent) for percent in (50, 95, 99)}


OPERATIONS = (
    Operation(
        "GET",
        "/v1/jobs/{job_id}/statistics",
        get_job_statistics,
        "Tell how a job did",
        "jobs",
        "jobs:read",
        query=StatisticsQuery,
        answer=JobStatistics,
    ),
    Operation(
        "GET",
        "/v1/statistics",
        list_statistics,
        "List how jobs did",
        "jobs",
        "jobs:read",
        query=AllStatisticsQuery,
        answer=list_of(JobStatistics),
    ),
)
