"""Finding runs as `runs.list` wants them, by the statements that all lists of runs are read with.

A filter with several values is met by any of them, and one tag may be two in our own words. So a list is made of
several, each of which PostgreSQL finds by its index, merged by the positions of the triggers; what no index knows is
looked at afterwards. The runs of a bulk action are known by their ids, so they are read by these, and held against
all else afterwards.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product

from runcord.errors import Invalid, JobNotFound
from runcord.http.compat.trigger.duration import NoDuration, seconds
from runcord.http.compat.trigger.query import TaskRunsQuery
from runcord.http.compat.trigger.render import hint, is_test
from runcord.http.compat.trigger.status import NAMES, internal_names, internal_status, own_statuses
from runcord.http.compat.trigger.tags import readings
from runcord.ledger.statements import Read
from runcord.projecting.bulk_results import touched
from runcord.run.state import Run
from runcord_projections.run_terms.filter import RunFilter
from runcord_projections.run_terms.projection import SQL as TERMS_SQL
from runcord_projections.run_view.projection import CODEC
from runcord_projections.run_view.projection import SQL as VIEW_SQL

LAST_POSITION = 2**63 - 1
MOST_LISTS = 100
"""How many lists one may be made of."""

_MOST_LOOKS = 20
"""How often more runs are read for one page; after that it is shown with what was found, and a cursor to go on."""

_MICROSECOND = timedelta(microseconds=1)

FindJob = Callable[[str], Awaitable[str]]
"""Returns the id of the job of a slug; raises JobNotFound."""


@dataclass(frozen=True)
class Wanted:
    """The lists to merge, what else has to hold, and the positions between which the runs were triggered.

    With `among`, only the runs of these ids are meant.
    """

    lists: Sequence[RunFilter]
    holds: Callable[[Run], bool]
    above: int = 0
    below: int = LAST_POSITION
    among: Sequence[str] | None = None


@dataclass(frozen=True)
class Found:
    """Some runs, newest first, and below which position there may be more; None if there are none."""

    runs: Sequence[Run]
    next_below: int | None


async def wanted(read: Read, project_id: str, query: TaskRunsQuery, now: datetime, find_job: FindJob) -> Wanted:
    """Return what a query asks for.

    Raises:
        Invalid: there is no such status, or the filters have too many values together.
        NoDuration: the period is none.
        TooManyRuns: the bulk action has too many to be a filter.
    """
    names = None if query.status is None else internal_names(_known(query.status))
    statuses = None if names is None else own_statuses(names)
    job_ids: list[str | None] = [None] if query.tasks is None else [*await _jobs(query.tasks, find_job)]
    tags: list[dict[str, str]] = (
        [{}] if query.tags is None else [reading for tag in query.tags for reading in readings(tag)]
    )
    if len(job_ids) * len(tags) > MOST_LISTS:
        raise Invalid(f"tasks and tags make more than {MOST_LISTS} combinations: ask for fewer at once")
    lists = [
        RunFilter(statuses=statuses, job_id=job_id, batch_id=query.batch, tags=entries)
        for job_id, entries in product(job_ids, tags)
    ]
    nothing = query.schedule is not None or statuses == []
    since, until = _since(query, now), None if query.until is None else _time(query.until + 1) - _MICROSECOND
    return Wanted(
        lists=[] if nothing else lists,
        holds=lambda run: (names is None or internal_status(run) in names) and _holds(query, run),
        above=0 if since is None else await _position(read, project_id, since - _MICROSECOND),
        below=LAST_POSITION if until is None else await _position(read, project_id, until) + 1,
        among=None if query.bulk_action is None else await touched(read, project_id, query.bulk_action),
    )


async def find(read: Read, project_id: str, what: Wanted, *, below: int, limit: int) -> Found:
    """Return at most `limit` runs that were triggered below a position, newest first."""
    below = min(below, what.below)
    runs: list[Run] = []
    for _ in range(_MOST_LOOKS):
        rows = await _page(read, project_id, what, below, limit + 1)
        for position, state in rows:
            if position <= what.above:
                return Found(runs, None)
            run = CODEC.decode(state)
            if what.holds(run) and (what.among is None or any(_meets(run, one) for one in what.lists)):
                if len(runs) == limit:
                    return Found(runs, below)
                runs.append(run)
            below = position
        if len(rows) <= limit:
            return Found(runs, None)
    return Found(runs, below)


async def _page(read: Read, project_id: str, what: Wanted, below: int, limit: int) -> list[tuple[int, bytes]]:
    """Return the positions and states of the newest runs of any of the lists, or of those named."""
    if what.among is not None:
        params = {"project_id": project_id, "run_ids": list(what.among), "before": below, "limit": limit}
        return [(row[4], row[0]) for row in await read(VIEW_SQL["page_of_named"], params)]
    merged: dict[int, bytes] = {}
    for one in what.lists:
        params = {"project_id": project_id, "before": below, "limit": limit, **one.params()}
        merged |= {row[4]: row[0] for row in await read(TERMS_SQL["page"], params)}
    return sorted(merged.items(), reverse=True)[:limit]


async def _jobs(tasks: Sequence[str], find_job: FindJob) -> list[str]:
    found: list[str] = []
    for task in dict.fromkeys(tasks):
        try:
            found.append(await find_job(task))
        except JobNotFound:
            continue  # nobody has triggered it yet: no run is of it
    return found


def _known(statuses: Sequence[str]) -> Sequence[str]:
    for name in statuses:
        if name not in NAMES:
            raise Invalid(f"there is no status {name[:32]!r}: choose among {', '.join(sorted(NAMES))}")
    return statuses


def _meets(run: Run, wanted: RunFilter) -> bool:
    """Return whether a run is of a list: what the statements of lists ask, asked of the run itself."""
    tags = run.tags or {}
    return (
        (wanted.statuses is None or run.status in wanted.statuses)
        and wanted.job_id in (None, run.job_id)
        and wanted.batch_id in (None, run.batch_id)
        and all(key in tags and value in (None, tags[key]) for key, value in wanted.tags.items())
    )


def _holds(query: TaskRunsQuery, run: Run) -> bool:
    return (
        (query.queues is None or not {run.queue, f"task/{run.job_slug}"}.isdisjoint(query.queues))
        and (query.is_test is None or is_test(run) is query.is_test)
        and _is_among(hint(run, "version"), query.versions)
        and _is_among(hint(run, "machine"), query.machines)
        and _is_among(hint(run, "region"), query.regions)
    )


def _is_among(value: str | None, asked: Sequence[str] | None) -> bool:
    return asked is None or value in asked


def _since(query: TaskRunsQuery, now: datetime) -> datetime | None:
    if query.since is not None:
        return _time(query.since)
    if query.period is None:
        return None
    secs = seconds(query.period)
    if secs is None:
        raise NoDuration(f"filter[createdAt][period]: {query.period!r} is no duration such as `7d` or `1h30m`")
    return now - timedelta(seconds=secs)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)


async def _position(read: Read, project_id: str, at: datetime) -> int:
    return (await read(VIEW_SQL["position_at"], {"project_id": project_id, "at": at}))[0][0]
