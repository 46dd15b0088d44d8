"""Runs: what their workers left on record, and where they stand among other runs."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from runcord.http.compat.strait.render import (
    render_checkpoint,
    render_message,
    render_output,
    render_run_dependency,
    render_state_key,
    render_tool_call,
    render_usage,
)
from runcord.http.models.page import PageQuery, encode_cursor, list_of, page
from runcord.http.models.run import (
    DebugBundle,
    DependencyStatus,
    JobRun,
    MessagesQuery,
    RunCheckpoint,
    RunEvent,
    RunOutput,
    RunState,
    RunToolCall,
    RunUsage,
)
from runcord.http.moment import MomentPageQuery, is_of_moment, moment_of_page
from runcord.http.newest_first import LAST_POSITION
from runcord.http.operation import Answer, Call, Operation
from runcord.http.run_answers import load_run, require_run, run_as_it_was, run_at, run_in_path, run_of_row
from runcord.ledger.transaction import Row
from runcord.projecting import run_facts as facts
from runcord.projecting.dependency_status import dependency_status
from runcord_projections.run_view.projection import CODEC, SQL

F = TypeVar("F", bound=facts.Fact)

_LINEAGE = "lineage"

MAX_BUNDLED_MESSAGES = 10_000
MAX_BUNDLED = 1_000
"""Of each other kind of fact in a debug bundle."""


async def list_events(call: Call) -> Answer:
    """List the log lines and reports of progress of the run's workers, oldest first.

    Of a run in debug mode also the commands that reached it (`type=debug`), each with its input, its times, and the
    events or the refusal that came of it.
    """
    query = call.query(MessagesQuery)
    place = query.place("events", int)
    await require_run(call)
    found = await facts.messages(
        call.backend.read,
        call.project_id,
        call.path["run_id"],
        after=place[0] if place else 0,
        limit=query.size + 1,
        level=query.level,
        type=query.type,
    )
    return _page(call, query, "events", found, render_message)


async def list_checkpoints(call: Call) -> Answer:
    """List the run's checkpoints, newest first."""
    return await _newest_first(call, "checkpoints", facts.checkpoints, render_checkpoint)


async def list_usage(call: Call) -> Answer:
    """List the run's uses of models, newest first."""
    return await _newest_first(call, "usage", facts.usages, render_usage)


async def list_tool_calls(call: Call) -> Answer:
    """List the run's calls of tools, newest first."""
    return await _newest_first(call, "tool-calls", facts.tool_calls, render_tool_call)


async def list_outputs(call: Call) -> Answer:
    """List the present values of the run's outputs, in the order of their keys."""
    query = call.query(PageQuery)
    place = query.place("outputs", str)
    await require_run(call)
    found = await facts.outputs(call.backend.read, call.project_id, call.path["run_id"])
    if place is not None:
        found = [output for output in found if output.output_key > place[0]]
    shown = found[: query.size]
    next_cursor = encode_cursor("outputs", shown[-1].output_key) if len(found) > query.size else None
    return page(call, query, [render_output(output) for output in shown], next_cursor)


async def list_state(call: Call) -> Answer:
    """List the present values of all of the run's state keys, in their order."""
    await require_run(call)
    found = await facts.state_keys(call.backend.read, call.project_id, call.path["run_id"])
    return Answer([render_state_key(key) for key in found])


async def get_debug_bundle(call: Call) -> Answer:
    """Answer the run with everything that its workers left on record.

    At most 10,000 events, the first ones, all outputs, and the last 1,000 of each other kind.
    """
    run, row = await load_run(call)
    read, project_id, run_id = call.backend.read, call.project_id, run.run_id
    events = await facts.messages(read, project_id, run_id, limit=MAX_BUNDLED_MESSAGES)
    checkpoints = await facts.checkpoints(read, project_id, run_id, limit=MAX_BUNDLED)
    usage = await facts.usages(read, project_id, run_id, limit=MAX_BUNDLED)
    tool_calls = await facts.tool_calls(read, project_id, run_id, limit=MAX_BUNDLED)
    outputs = await facts.outputs(read, project_id, run_id)
    return Answer(
        {
            "run": run_of_row(call, row),
            "events": [render_message(message) for message in events],
            "checkpoints": [render_checkpoint(checkpoint) for checkpoint in checkpoints],
            "usage": [render_usage(one) for one in usage],
            "tool_calls": [render_tool_call(one) for one in tool_calls],
            "outputs": [render_output(output) for output in outputs],
        },
        version=run.version,
    )


async def list_lineage(call: Call) -> Answer:
    """List the run's whole chain of continuations: from its root, by depth, then by age.

    With `position` or `at`, the chain and its runs as they were then; all pages of a cursor are of that moment.
    """
    query = call.query(MomentPageQuery)
    if is_of_moment(query, _LINEAGE):
        return await _lineage_then(call, query)
    place = query.place(_LINEAGE, int, int)
    await require_run(call)
    rows = await _chain(call, query, place, LAST_POSITION)
    shown = rows[: query.size]
    next_cursor = encode_cursor(_LINEAGE, shown[-1][5], shown[-1][4]) if len(rows) > query.size else None
    return page(call, query, [run_of_row(call, row) for row in shown], next_cursor)


async def _lineage_then(call: Call, query: MomentPageQuery) -> Answer:
    moment, place = await moment_of_page(call, query, _LINEAGE, int, int)
    await run_at(call, call.path["run_id"], moment.position)
    rows = await _chain(call, query, place, moment.position)
    shown = rows[: query.size]
    runs = [await run_at(call, CODEC.decode(row[0]).run_id, moment.position) for row in shown]
    next_cursor = moment.cursor(_LINEAGE, shown[-1][5], shown[-1][4]) if len(rows) > query.size else None
    answer = page(call, query, [await run_as_it_was(call, run) for run in runs], next_cursor)
    return answer._replace(position=moment.position)


async def _chain(call: Call, query: MomentPageQuery, place: Sequence[int] | None, until: int) -> list[Row]:
    depth, after = place or (-1, 0)
    params = {**run_in_path(call), "depth": depth, "after": after, "until": until, "limit": query.size + 1}
    return await call.backend.read(SQL["lineage"], params)


async def get_dependency_status(call: Call) -> Answer:
    """Answer what the run's job depends on, and whether all of it holds; a job without dependencies is satisfied.

    A run that was queued has its dependencies satisfied for good, whatever ends after that.
    """
    return await _dependencies(call)


async def list_dependencies(call: Call) -> Answer:
    """Answer the same as `dependency-status`, under the path that Strait's Python client calls."""
    return await _dependencies(call)


async def _dependencies(call: Call) -> Answer:
    run, row = await load_run(call)
    found = await dependency_status(call.backend.read, call.project_id, run, row[1])
    body: dict[str, Any] = {
        "run_id": run.run_id,
        "job_id": run.job_id,
        "status": run.status,
        "dependencies": [render_run_dependency(run.job_id, one) for one in found],
        "dependencies_satisfied": all(one.satisfied for one in found),
    }
    return Answer(body, version=run.version)


async def _newest_first(
    call: Call, kind: str, find: Callable[..., Awaitable[list[F]]], render: Callable[[F], dict[str, Any]]
) -> Answer:
    query = call.query(PageQuery)
    place = query.place(kind, int)
    await require_run(call)
    found = await find(
        call.backend.read,
        call.project_id,
        call.path["run_id"],
        before=place[0] if place else facts.BEYOND_LAST,
        limit=query.size + 1,
    )
    return _page(call, query, kind, found, render)


def _page(call: Call, query: PageQuery, kind: str, found: Sequence[F], render: Callable[[F], dict[str, Any]]) -> Answer:
    """Return a page of facts of which one too many was read, to know whether there are more."""
    shown = found[: query.size]
    next_cursor = encode_cursor(kind, shown[-1].version) if len(found) > query.size else None
    return page(call, query, [render(fact) for fact in shown], next_cursor)


def _read(
    path: str, handle: Callable[[Call], Awaitable[Answer]], summary: str, answer: Any, **options: Any
) -> Operation:
    return Operation(
        method="GET",
        path=f"/v1/runs/{{run_id}}/{path}",
        handle=handle,
        summary=summary,
        tag="runs",
        scope="runs:read",
        answer=answer,
        **options,
    )


OPERATIONS = (
    _read("events", list_events, "List a run's log", list_of(RunEvent), query=MessagesQuery),
    _read("checkpoints", list_checkpoints, "List a run's checkpoints", list_of(RunCheckpoint), query=PageQuery),
    _read("usage", list_usage, "List a run's uses of models", list_of(RunUsage), query=PageQuery),
    _read("tool-calls", list_tool_calls, "List a run's calls of tools", list_of(RunToolCall), query=PageQuery),
    _read("outputs", list_outputs, "List a run's outputs", list_of(RunOutput), query=PageQuery),
    _read("state", list_state, "List a run's state", list[RunState]),
    _read("debug-bundle", get_debug_bundle, "Get all about a run", DebugBundle),
    _read("lineage", list_lineage, "List a run's continuations", list_of(JobRun), query=MomentPageQuery),
    _read("dependency-status", get_dependency_status, "Get a run's dependencies", DependencyStatus),
    _read("dependencies", list_dependencies, "Get a run's dependencies (alias)", DependencyStatus),
)
