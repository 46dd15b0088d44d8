"""Runs: listing and reading them."""

from dataclasses import replace
from typing import Any

from runcord.errors import Forbidden, NotFound, RunNotFound
from runcord.http.models.page import PageQuery, encode_cursor, list_of, page
from runcord.http.models.run import (
    DebugMode,
    JobRun,
    RunQuery,
    RunStats,
    StatsQuery,
)
from runcord.http.models.run_filter import DeadLettersQuery, FilterQuery, RunsQuery
from runcord.http.moment import is_of_moment
from runcord.http.newest_first import moment_and_place, place_before
from runcord.http.operation import Answer, Call, Operation, TokenAccess
from runcord.http.run_answers import (
    load_run,
    require_run,
    run_as_it_was,
    run_in_path,
    run_in_version,
    run_of_row,
    shown_run,
)
from runcord.http.targets import run_in_path as the_run
from runcord.http.targets import runs_of_filter
from runcord.projecting.time_travel import version_at
from runcord.run.status import Status
from runcord_projections.run_history.past_runs import past_runs
from runcord_projections.run_terms.filter import RunFilter
from runcord_projections.run_terms.projection import SQL as RUN_TERMS_SQL
from runcord_projections.run_view.projection import SQL

_RUNS = "runs"
_CHILDREN = "children"


async def list_runs(call: Call) -> Answer:
    """List the project's runs, newest first; all filters given must hold.

    The cursor is the one of the page before, or a time: then only runs triggered before it are listed.

    With `position` or `at`, the list as it was then: the runs that met the filters, as they were. All pages of a cursor
    are of that moment, whatever happens meanwhile.
    """
    query = call.query(RunsQuery)
    return await _newest_first(call, query, replace(query.filter, statuses=query.statuses_asked))


async def list_dead_letters(call: Call) -> Answer:
    """List the runs in the dead-letter queue, newest first; all filters given must hold.

    With `position` or `at`, the queue as it was then; all pages of a cursor are of that moment.
    """
    query = call.query(DeadLettersQuery)
    return await _newest_first(call, query, replace(query.filter, statuses=[Status.DEAD_LETTER]))


async def count_runs(call: Call) -> Answer:
    """Count the project's runs, or those of one job, by status."""
    params = {"project_id": call.project_id, "job_id": call.query(StatsQuery).job_id}
    by_status: dict[str, int] = dict(await call.backend.read(SQL["count_by_status"], params))
    return Answer({"by_status": by_status, "total": sum(by_status.values())})


async def get_run(call: Call) -> Answer:
    """Answer the run as it is, or as it was: by its `version`, the ledger's `position`, or the time (`at`).

    The ETag is the version: with `If-None-Match`, an unchanged run is answered by 304 and no body.
    """
    query = call.query(RunQuery)
    if query.version is None and query.position is None and query.at is None:
        run, row = await load_run(call)
        if _is_known(call, run.version):
            return Answer(None, 304, version=run.version)
        return Answer(run_of_row(call, row), version=run.version)
    run = await run_in_version(call, await _version(call, query))
    if _is_known(call, run.version):
        return Answer(None, 304, version=run.version)
    return Answer(await run_as_it_was(call, run), version=run.version)


async def _version(call: Call, query: RunQuery) -> int:
    """Return the version that the run had at the moment asked for."""
    if query.version is not None:
        return query.version
    read, project_id = call.backend.read, call.project_id
    position = query.position
    if position is None:
        position = (await read(SQL["position_at"], {"project_id": project_id, "at": query.at}))[0][0]
    version = await version_at(read, project_id, call.path["run_id"], position)
    if version == 0:
        await require_run(call)
        moment = f"position {position}" if query.at is None else query.at.isoformat()
        raise RunNotFound(f"the run was not there yet at {moment}")
    return version


async def list_children(call: Call) -> Answer:
    """List the runs that this run has spawned, oldest first."""
    query = call.query(PageQuery)
    place = query.place(_CHILDREN, int)
    await require_run(call)
    params = {**run_in_path(call), "after": place[0] if place else 0, "limit": query.size + 1}
    rows = await call.backend.read(SQL["children"], params)
    shown = rows[: query.size]
    return page(
        call,
        query,
        [run_of_row(call, row) for row in shown],
        encode_cursor(_CHILDREN, shown[-1][4]) if len(rows) > query.size else None,
    )


async def get_debug_mode(call: Call) -> Answer:
    """Answer whether the run is in debug mode."""
    run, _ = await load_run(call)
    return Answer({"run_id": run.run_id, "debug_mode": run.debug_mode}, version=run.version)


async def _newest_first(call: Call, query: FilterQuery, wanted: RunFilter) -> Answer:
    if query.project_id is not None and query.project_id != call.project_id:
        raise NotFound("this credential belongs to another project: leave `project_id` out, or use that project's key")
    _require_sight(call, query)
    if is_of_moment(query, _RUNS):
        return await _newest_first_then(call, query, wanted)
    place = {"project_id": call.project_id, "before": await place_before(call, query, _RUNS), "limit": query.size + 1}
    rows = await call.backend.read(RUN_TERMS_SQL["page"], {**place, **wanted.params()})
    shown = rows[: query.size]
    return page(
        call,
        query,
        [run_of_row(call, row) for row in shown],
        encode_cursor(_RUNS, shown[-1][4]) if len(rows) > query.size else None,
    )


def _require_sight(call: Call, query: FilterQuery) -> None:
    """Raise Forbidden for a filter by what the caller may not see: whom it finds would tell."""
    asked = {
        "payload": query.payload_contains is not None,
        "metadata": query.metadata is not None or query.metadata_key is not None,
        "runTags": query.tags is not None or query.tag_key is not None,
    }
    if found := sorted(column for column in call.hidden if asked.get(column)):
        raise Forbidden(f"the credential may not see {' and '.join(found)}: leave the filter out")


async def _newest_first_then(call: Call, query: FilterQuery, wanted: RunFilter) -> Answer:
    moment, before = await moment_and_place(call, query, _RUNS)
    if wanted.statuses is not None:
        await call.backend.projections.reach(call.project_id, moment.position, "run_history")
    found = await past_runs(
        call.backend.read, call.project_id, wanted, position=moment.position, before=before, limit=query.size + 1
    )
    shown = found[: query.size]
    next_cursor = moment.cursor(_RUNS, shown[-1].created_position) if len(found) > query.size else None
    rows = [shown_run(call, past.run, past.documents.payload, past.documents.result) for past in shown]
    return page(call, query, rows, next_cursor)._replace(position=moment.position)


def _is_known(call: Call, version: int) -> bool:
    """Whether the caller has this version of the answer already (RFC 9110, weak comparison)."""
    given = call.request.fields.get("if-none-match", "")
    tags = {tag.strip().removeprefix("W/") for tag in given.split(",")}
    return "*" in tags or f'"{version}"' in tags


def _read(path: str, **options: Any) -> dict[str, Any]:
    return {"method": "GET", "path": path, "tag": "runs", "scope": "runs:read", **options}


OPERATIONS = (
    Operation(
        **_read("/v1/runs"),
        handle=list_runs,
        summary="List runs",
        query=RunsQuery,
        answer=list_of(JobRun),
        tokens=TokenAccess("read", runs_of_filter, hides=True),
    ),
    Operation(
        **_read("/v1/runs/dlq"),
        handle=list_dead_letters,
        summary="List dead letters",
        query=DeadLettersQuery,
        answer=list_of(JobRun),
    ),
    Operation(
        **_read("/v1/runs/stats"), handle=count_runs, summary="Count runs by status", query=StatsQuery, answer=RunStats
    ),
    Operation(
        **_read("/v1/runs/{run_id}"),
        handle=get_run,
        summary="Get a run",
        tokens=TokenAccess("read", the_run, hides=True),
        query=RunQuery,
        answer=JobRun,
        other_answers={304: None},
    ),
    Operation(
        **_read("/v1/runs/{run_id}/children"),
        handle=list_children,
        summary="List a run's children",
        query=PageQuery,
        answer=list_of(JobRun),
    ),
    Operation(**_read("/v1/runs/{run_id}/debug"), handle=get_debug_mode, summary="Get debug mode", answer=DebugMode),
)
