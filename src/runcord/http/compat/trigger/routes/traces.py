"""Trigger.dev's API: traces of runs, rendered from their histories."""

from collections.abc import Sequence
from typing import Any

from runcord.clock import utc_now
from runcord.errors import Invalid, NotFound
from runcord.http.compat.trigger import answers
from runcord.http.compat.trigger.operation import trigger_operation, wants_new
from runcord.http.compat.trigger.query import SpansQuery
from runcord.http.compat.trigger.trace import (
    TRACED,
    Span,
    render_events,
    render_page,
    render_span,
    render_tree,
    spans_of,
)
from runcord.http.operation import Answer, Call, TokenAccess
from runcord.http.run_answers import load_run
from runcord.http.targets import run_in_path
from runcord.projecting.time_travel import events_of_types
from runcord.recorded import Recorded
from runcord.run.state import Run
from runcord_projections.run_view.projection import CODEC, SQL

MOST_CHILDREN = 1000
MOST_EVENTS = 10_000
"""How many of a run's spawned runs, and of the events that begin and end its attempts, make its trace: the oldest."""

_PAGE = 1000


async def get_task_run_trace(call: Call) -> Answer:
    """Answer the run, its attempts and the runs that it spawned as a tree of spans; with `page[size]`, one by one."""
    query, now = call.query(SpansQuery), utc_now()
    run, _, spans = await _spans(call)
    if query.size is None and query.after is None:
        return Answer(render_tree(run, spans, now), version=run.version)
    begin = _place(query.after)
    end = begin + (query.size or _PAGE)
    pagination = {"next": str(end)} if end < len(spans) else {}
    return Answer({**render_page(spans[begin:end], now), "pagination": pagination}, version=run.version)


async def list_task_run_events(call: Call) -> Answer:
    """Answer the spans of a run in a list."""
    run, _, spans = await _spans(call)
    return Answer({"events": render_events(spans, utc_now())}, version=run.version)


async def get_task_run_span(call: Call) -> Answer:
    """Answer one span of a run: what went wrong in it, and which runs were spawned below it."""
    run, children, spans = await _spans(call)
    wanted = call.path["span_id"]
    for span in spans:
        if span.id == wanted:
            below = {one.run_id for one in spans if one.parent_id == wanted}
            shown = [child for child in children if child.run_id in below]
            return Answer(render_span(span, shown, utc_now(), new=wants_new(call)), version=run.version)
    raise NotFound(f"the run {run.run_id} has no span {wanted[:64]!r}")


async def _spans(call: Call) -> tuple[Run, Sequence[Run], list[Span]]:
    run, _ = await load_run(call)
    read, project_id = call.backend.read, call.project_id
    params = {"project_id": project_id, "run_id": run.run_id, "after": 0, "limit": MOST_CHILDREN}
    children = [CODEC.decode(row[0]) for row in await read(SQL["children"], params)]
    events: list[Recorded[Any]] = []
    while len(events) < MOST_EVENTS:
        after = events[-1].version if events else 0
        page = await events_of_types(read, project_id, run.run_id, TRACED, after=after, limit=_PAGE)
        events += page
        if len(page) < _PAGE:
            break
    return run, children, spans_of(run, events, children)


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):
        raise Invalid("the cursor is not one of this list: send `pagination.next` of the page before, as it is")
    return int(cursor)


_READS = TokenAccess("read", run_in_path)

OPERATIONS = (
    trigger_operation(
        "GET",
        "/api/v1/runs/{run_id}/trace",
        get_task_run_trace,
        "Get a run's trace",
        query=SpansQuery,
        answer=answers.Trace | answers.TracePage,
        tokens=_READS,
    ),
    trigger_operation(
        "GET",
        "/api/v1/runs/{run_id}/events",
        list_task_run_events,
        "List a run's spans",
        answer=answers.TraceEvents,
        tokens=_READS,
    ),
    trigger_operation(
        "GET",
        "/api/v1/runs/{run_id}/spans/{span_id}",
        get_task_run_span,
        "Get a span of a run",
        answer=answers.SpanDetail,
        tokens=_READS,
    ),
)
