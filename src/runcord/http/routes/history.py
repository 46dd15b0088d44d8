"""Histories: every event of a run, or of an API key, as it was recorded."""

from typing import Any, cast

import orjson

from runcord.errors import NotFound
from runcord.http.event_names import event_classes
from runcord.http.models.page import PageQuery, encode_cursor, list_of, page
from runcord.http.models.run import DiffQuery, HistoryEvent, HistoryQuery, RunDiff
from runcord.http.operation import Answer, Call, Operation
from runcord.http.run_answers import load_run, require_run, run_as_it_was, run_in_version
from runcord.ledger import mapper
from runcord.projecting import difference
from runcord.projecting.time_travel import events_by, history, whole_history
from runcord.recorded import Recorded
from runcord_projections.key_view.projection import SQL as KEYS

_HISTORY = "history"


async def get_history(call: Call) -> Answer:
    """List the run's events in their order, from the first or after a version: who did what, when, in which request.

    `types`, `actor` and `request_id` pick some of them; all given must hold.

    This is the record itself. The run at any `version` of it is `GET /v1/runs/{run_id}?version=`.
    """
    query = call.query(HistoryQuery)
    place = query.place(_HISTORY, int)
    after: int = place[0] if place else query.after
    read, project_id, run_id = call.backend.read, call.project_id, call.path["run_id"]
    chosen = None if query.types is None else event_classes(query.types)
    await require_run(call)
    if chosen is None and query.actor is None and query.request_id is None:
        found = await history(read, project_id, run_id, after=after, limit=query.size + 1)
    else:
        found = await events_by(
            read,
            project_id,
            run_id,
            types=chosen,
            actor=query.actor,
            request_id=query.request_id,
            after=after,
            limit=query.size + 1,
        )
    shown = found[: query.size]
    next_cursor = encode_cursor(_HISTORY, shown[-1].version) if len(found) > query.size else None
    return page(call, query, [_render(recorded) for recorded in shown], next_cursor)


async def get_key_history(call: Call) -> Answer:
    """List an API key's events in their order: who made, rotated or revoked it, when, in which request."""
    query = call.query(PageQuery)
    place = query.place(_HISTORY, int)
    project_id, key_id = call.project_id, call.path["key_id"]
    if not await call.backend.read(KEYS["get"], {"project_id": project_id, "key_id": key_id}):
        raise NotFound("there is no such API key in this project")
    after = place[0] if place else 0
    found = await history(call.backend.read, project_id, key_id, after=after, limit=query.size + 1)
    shown = found[: query.size]
    next_cursor = encode_cursor(_HISTORY, shown[-1].version) if len(found) > query.size else None
    return page(call, query, [_render(recorded) for recorded in shown], next_cursor)


async def get_diff(call: Call) -> Answer:
    """Compare the run in two versions: what the events between them made of it.

    `patch` is a JSON Patch (RFC 6902) that makes the run in version `to` of the run in version `from`; `changes` says
    the same for people. Backwards works too. Version 0 is nothing: its run is an empty object.
    """
    query = call.query(DiffQuery)
    to = query.after if query.after is not None else (await load_run(call))[0].version
    since = query.before if query.before is not None else to - 1
    before, after = [await _document(call, version) for version in (since, to)]
    low, high = sorted((since, to))
    events = [
        recorded.event.TYPE
        async for recorded in whole_history(call.backend.read, call.project_id, call.path["run_id"], low, high)
    ]
    return Answer(
        {
            "run_id": call.path["run_id"],
            "from": since,
            "to": to,
            "patch": difference.patch(before, after),
            "changes": difference.changes(before, after),
            "events": events,
        },
        version=to,
    )


async def _document(call: Call, version: int) -> dict[str, Any]:
    """Return the run in a version as plain JSON."""
    if version == 0:
        return {}
    return orjson.loads(mapper.to_json(await run_as_it_was(call, await run_in_version(call, version))))


def _render(recorded: Recorded[Any]) -> dict[str, Any]:
    cls = cast(Any, type(recorded.event))
    return {
        "version": recorded.version,
        "position": recorded.position,
        "event_id": recorded.event_id,
        "recorded_at": recorded.at,
        "type": cls.TYPE,
        "data": orjson.Fragment(mapper.encode(recorded.event)),
        # Who and why; what is not known is not there.
        **recorded.metadata,
    }


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/runs/{run_id}/history",
        handle=get_history,
        summary="Get a run's history",
        tag="history",
        scope="runs:read",
        query=HistoryQuery,
        answer=list_of(HistoryEvent),
    ),
    Operation(
        method="GET",
        path="/v1/api-keys/{key_id}/history",
        handle=get_key_history,
        summary="Get an API key's history",
        tag="history",
        scope="api-keys:manage",
        query=PageQuery,
        answer=list_of(HistoryEvent),
    ),
    Operation(
        method="GET",
        path="/v1/runs/{run_id}/diff",
        handle=get_diff,
        summary="Compare two versions of a run",
        tag="history",
        scope="runs:read",
        query=DiffQuery,
        answer=RunDiff,
    ),
)
