"""Histories: every event of a run, or of an API key, as it was recorded."""

from collections.abc import Sequence
from typing import Any, cast

import orjson

from runcord.errors import Invalid, NotFound
from runcord.http.models.page import PageQuery, encode_cursor, list_of, page
from runcord.http.models.run import HistoryEvent, HistoryQuery
from runcord.http.operation import Answer, Call, Operation
from runcord.http.run_answers import require_run
from runcord.ledger import mapper
from runcord.projecting.time_travel import events_of_types, history
from runcord.recorded import Recorded
from runcord_projections.key_view.projection import SQL as KEYS

_HISTORY = "history"


async def get_history(call: Call) -> Answer:
    """List the run's events in their order, from the first or after a version: who did what, when, in which request.

    This is the record itself. The run at any `version` of it is `GET /v1/runs/{run_id}?version=`.
    """
    query = call.query(HistoryQuery)
    place = query.place(_HISTORY, int)
    after: int = place[0] if place else query.after
    read, project_id, run_id = call.backend.read, call.project_id, call.path["run_id"]
    chosen = None if query.types is None else _classes(query.types)
    await require_run(call)
    if chosen is None:
        found = await history(read, project_id, run_id, after=after, limit=query.size + 1)
    else:
        found = await events_of_types(read, project_id, run_id, chosen, after=after, limit=query.size + 1)
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


def _classes(names: Sequence[str]) -> list[type]:
    """Return the classes of events by their names, with or without the version at the end."""
    classes: list[type] = []
    for name in names:
        found = [cls for known, cls in mapper.REGISTRY.items() if name in (known, known.rpartition(".v")[0])]
        if not found:
            raise Invalid(f"{name[:128]!r} is no type of event: they are called like run.triggered or run.retried")
        classes += found
    return classes


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
)
