"""Trigger.dev's API: actions on many runs, which go on in the background."""

from datetime import datetime
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from runcord.bulk.commands import CancelBulk, RequestBulk
from runcord.bulk.events import BulkRequested
from runcord.clock import utc_now
from runcord.errors import BulkOperationEnded, BulkOperationNotFound, Invalid, TooManyRuns
from runcord.handling.bulk import CommandBulk
from runcord.http.compat.trigger import answers
from runcord.http.compat.trigger.bodies import BulkActionBody, BulkFilter
from runcord.http.compat.trigger.listing import LAST_POSITION, find, wanted
from runcord.http.compat.trigger.operation import trigger_operation
from runcord.http.compat.trigger.query import RowsQuery, TaskRunsQuery, pagination
from runcord.http.compat.trigger.render import render_bulk_action
from runcord.http.compat.trigger.request_ids import id_for_request
from runcord.http.operation import Answer, Call
from runcord.ledger.transaction import Context
from runcord_projections.bulk_view.projection import CODEC, SQL

MOST_OF_FILTER = 5000
"""How many runs a filter may stand for: they are found, and named, when the action is asked for."""

_TIME = TypeAdapter(datetime)
_AT_ONCE = 500


async def create_bulk_action(call: Call) -> Answer:
    """Cancel or replay the runs named, or those of a filter, up to 5,000; in the background.

    The runs of a filter are those that meet it now. A replay takes runs in any status, and leaves them as they are.
    """
    body = call.body(BulkActionBody)
    if (body.runIds is None) == (body.filter is None):
        raise Invalid("say which runs: give runIds or a filter, and not both")
    run_ids = body.runIds if body.filter is None else await _found(call, body.filter)
    if not run_ids:
        raise Invalid("the filter finds no runs: there is nothing to do")
    operation_id = id_for_request(call, "bulk")
    named = tuple(dict.fromkeys(run_ids))
    facts = BulkRequested(body.action, named, reason=body.name, any_status=body.action == "replay")
    context = Context(call.actor, call.request_id, call.context.trace, causation=operation_id)
    handler = CommandBulk(context, operation_id, RequestBulk(facts))
    committed = await call.backend.committer.execute(call.project_id, handler)
    return Answer({"id": operation_id}, 202, position=committed.position)


async def retrieve_bulk_action(call: Call) -> Answer:
    """Answer a bulk action: how far it has come, and what became of its runs."""
    params = {"project_id": call.project_id, "operation_id": call.path["operation_id"]}
    rows = await call.backend.read(SQL["get"], params)
    if not rows:
        raise BulkOperationNotFound(f"there is no bulk action {params['operation_id'][:128]!r} in this project")
    return Answer(render_bulk_action(CODEC.decode(rows[0][0])))


async def list_bulk_actions(call: Call) -> Answer:
    """List bulk actions, newest first."""
    query = call.query(RowsQuery)
    steps = query.steps
    before = steps[-1] if steps else LAST_POSITION
    params = {"project_id": call.project_id, "before": before, "limit": query.size + 1}
    rows = await call.backend.read(SQL["page"], params)
    shown = rows[: query.size]
    data = [render_bulk_action(CODEC.decode(state)) for state, _ in shown]
    next_step = shown[-1][1] if len(rows) > query.size else None
    return Answer({"data": data, "pagination": pagination(steps, next_step)})


async def abort_bulk_action(call: Call) -> Answer:
    """Stop a bulk action where it is; one that has ended stays as it is."""
    operation_id = call.path["operation_id"]
    handler = CommandBulk(call.context, operation_id, CancelBulk())
    try:
        committed = await call.backend.committer.execute(call.project_id, handler)
    except BulkOperationEnded:
        return Answer({"id": operation_id})
    return Answer({"id": operation_id}, position=committed.position)


async def _found(call: Call, given: BulkFilter) -> list[str]:
    """Return the ids of the runs of a filter.

    Raises:
        Invalid: the filter is empty, or names what no runs are found by.
        TooManyRuns: it stands for more than `MOST_OF_FILTER`.
    """
    query = _query(given)
    if not query.model_fields_set:
        raise Invalid("filter: give at least one member: an empty filter would mean every run")

    async def find_job(slug: str) -> str:
        return await call.backend.job_refs.find(call.project_id, slug)

    read = call.backend.read
    what = await wanted(read, call.project_id, query, utc_now(), find_job)
    run_ids: list[str] = []
    below: int | None = what.below
    while below is not None:
        page = await find(read, call.project_id, what, below=below, limit=_AT_ONCE)
        run_ids += [run.run_id for run in page.runs]
        below = page.next_below
        if len(run_ids) > MOST_OF_FILTER:
            raise TooManyRuns(f"the filter finds more than {MOST_OF_FILTER:,} runs: narrow it, by time for example")
    return run_ids


def _query(given: BulkFilter) -> TaskRunsQuery:
    members: dict[str, Any] = {
        "status": _several(given.status),
        "tasks": _several(given.taskIdentifier),
        "versions": _several(given.version),
        "tags": _several(given.tag),
        "queues": _queues(given.queue),
        "machines": _several(given.machine),
        "regions": _several(given.region),
        "batch": given.batch,
        "bulk_action": given.bulkAction,
        "schedule": given.schedule,
        "is_test": given.isTest,
        "since": _milliseconds(given.since, "from"),
        "until": _milliseconds(given.to, "to"),
        "period": given.period,
    }
    return TaskRunsQuery(**{name: value for name, value in members.items() if value not in (None, [])})


def _several(given: str | list[str] | None) -> list[str] | None:
    return [given] if isinstance(given, str) else given


def _queues(given: Any) -> list[str] | None:
    """Return the names of queues: given as text, or as `{type, name}`; one, or several."""
    if given is None:
        return None
    names: list[str] = []
    for one in cast(list[Any], given) if isinstance(given, list) else [given]:
        members = cast(dict[str, Any], one) if isinstance(one, dict) else {"type": "custom", "name": one}
        name = members.get("name")
        if not isinstance(name, str):
            raise Invalid("filter.queue: a queue is a text, or an object with `type` and `name`")
        names.append(f"task/{name}" if members.get("type") == "task" else name)
    return names


def _milliseconds(given: Any, name: str) -> int | None:
    if given is None or (isinstance(given, int) and not isinstance(given, bool)):
        return given
    try:
        at = _TIME.validate_python(given if isinstance(given, str) else None)
    except ValidationError as error:
        raise Invalid(f"filter.{name}: give a time (2026-01-31T12:00:00Z), or milliseconds since 1970") from error
    return int(at.timestamp() * 1000)


OPERATIONS = (
    trigger_operation(
        "POST",
        "/api/v1/bulk-actions",
        create_bulk_action,
        "Act on many runs",
        status=202,
        body=BulkActionBody,
        answer=answers.BulkActionId,
    ),
    trigger_operation(
        "GET",
        "/api/v1/bulk-actions",
        list_bulk_actions,
        "List bulk actions",
        query=RowsQuery,
        answer=answers.BulkActions,
    ),
    trigger_operation(
        "GET",
        "/api/v1/bulk-actions/{operation_id}",
        retrieve_bulk_action,
        "Retrieve a bulk action",
        answer=answers.BulkAction,
    ),
    trigger_operation(
        "POST",
        "/api/v1/bulk-actions/{operation_id}/abort",
        abort_bulk_action,
        "Abort a bulk action",
        answer=answers.BulkActionId,
    ),
)
