"""The feed: the events of the project's whole ledger, in their order, page by page or live."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import orjson

from runcord.clock import monotonic
from runcord.http.event_names import event_classes
from runcord.http.models.event import EventTrigger
from runcord.http.models.ledger import AnyEventsQuery, CloudEvent, LedgerEvent
from runcord.http.models.page import list_of
from runcord.http.operation import Answer, Call, Operation
from runcord.http.resuming import place_after
from runcord.http.routes.events import list_event_waits
from runcord.http.sse import frames
from runcord.ledger import mapper
from runcord.streaming.events import last_position
from runcord.streaming.ledger import Choice, StoredEvent, follow_ledger, load_page

_SCOPES_OF_KINDS = {"job": "jobs:read", "key": "api-keys:manage"}
"""Whoever has not the scope is not shown the streams of that kind."""

_LOOKING_SECS = 1.0
"""For how long a request looks for events of a rare sort, before it answers how far it has got."""


async def read_events(call: Call) -> Answer:
    """List the events of the ledger after a position, in their order; or follow them, live, as server-sent events.

    `X-Next-Cursor` is the position to go on `after`; a page may be short of its limit, or empty, and have one, while
    rare events are looked for. Without one, all up to `Runcord-Position` was looked at: go on after that. With
    `Accept: text/event-stream` the answer is a stream without end: a frame's `id` is its event's position, by which
    the stream is resumed exactly.

    A request for JSON without `after`, `types`, `run_id`, `job`, `tag` and `format` lists the waits for events instead,
    newest first, of each event key the latest, as Strait does at this path: as `{data, has_more, next_cursor}` unless
    `envelope=false` asks for an array. The cursor is the one of the page before, or a time: then only waits that began
    before it are listed.
    """
    query = call.query(AnyEventsQuery)
    call.require_own_project(query.project_id)
    if not (query.is_of_ledger or call.wants_stream):
        return await list_event_waits(call, query)
    backend, project_id = call.backend, call.project_id
    choice = await _choice(call, query)
    head = await last_position(backend.read, project_id)
    after = place_after(call, head, "position that the project's ledger", query.place_in_ledger)
    render = _cloud_event if query.format == "cloudevents" else _event
    if call.wants_stream:
        return _stream(call, choice, after, render)
    events: list[StoredEvent] = []
    deadline = monotonic() + _LOOKING_SECS
    while len(events) < query.ledger_limit and after < head and monotonic() < deadline:
        page = await load_page(backend.read, project_id, choice, after, head, query.ledger_limit - len(events))
        events += page.events
        after = page.reached
    return _page(call, query, [render(project_id, event) for event in events], after, head)


async def _choice(call: Call, query: AnyEventsQuery) -> Choice:
    types = None if query.types is None else tuple(mapper.stored_names(event_classes(query.types)))
    labels = [tag.partition(":") for tag in query.tag or ()]
    return Choice(
        types=types,
        run_id=query.run_id,
        job_id=None if query.job is None else await call.backend.job_refs.find(call.project_id, query.job),
        tags={key: value for key, colon, value in labels if colon} or None,
        tag_keys=tuple(key for key, colon, _ in labels if not colon) or None,
        hidden=tuple(kind for kind, scope in _SCOPES_OF_KINDS.items() if not call.permits(scope)),
    )


def _page(call: Call, query: AnyEventsQuery, rows: Sequence[Any], reached: int, head: int) -> Answer:
    headers: dict[str, str] = {}
    if query.format == "cloudevents":
        headers["Content-Type"] = "application/cloudevents-batch+json"
    if reached < head:
        url = call.request.url.remove_query_params("cursor").include_query_params(after=reached)
        headers |= {"X-Next-Cursor": str(reached), "Link": f'<{url.path}?{url.query}>; rel="next"'}
    if not query.is_enveloped:
        return Answer(rows, position=head, headers=headers)
    body: dict[str, Any] = {"data": rows, "has_more": reached < head}
    if reached < head:
        body["next_cursor"] = str(reached)
    return Answer(body, position=head, headers=headers)


def _stream(call: Call, choice: Choice, after: int, render: Any) -> Answer:
    backend, project_id = call.backend, call.project_id
    backend.stream_slots.require(project_id)

    async def blocks() -> AsyncGenerator[bytes]:
        with backend.stream_slots.taken(project_id), backend.ledger_feeds.open(project_id, "") as feed:
            pages = follow_ledger(backend.stream_read, backend.hub, feed, project_id, choice, after)
            async with aclosing(pages):
                async for events in pages:
                    yield frames((event.position, render(project_id, event)) for event in events)

    return Answer(blocks=blocks)


def _event(_: str, stored: StoredEvent) -> Mapping[str, Any]:
    event = stored.latest()
    return {
        "position": event.position,
        "stream_id": event.stream_id,
        "version": event.version,
        "event_id": event.event_id,
        "recorded_at": event.recorded_at,
        "type": event.type,
        "data": orjson.Fragment(event.data),
        # Who and why; what is not known is not there.
        **orjson.loads(event.metadata),
    }


def _cloud_event(project_id: str, stored: StoredEvent) -> Mapping[str, Any]:
    """Return the event as CloudEvents 1.0.2 has it in JSON, with its extensions `sequence` and `traceparent`."""
    event = stored.latest()
    metadata = orjson.loads(event.metadata)
    members = {
        "specversion": "1.0",
        "id": event.event_id,
        "source": f"/projects/{project_id}",
        "type": f"runcord.{event.type}",
        "subject": event.stream_id,
        "time": event.recorded_at,
        "datacontenttype": "application/json",
        "data": orjson.Fragment(event.data),
        "sequence": f"{event.position:019}",
        "streamversion": event.version,
    }
    extensions = {"actor": "actor", "request_id": "requestid", "causation": "causation", "trace": "traceparent"}
    return members | {name: metadata[member] for member, name in extensions.items() if member in metadata}


OPERATIONS = (
    Operation(
        "GET",
        "/v1/events",
        read_events,
        "Read the ledger, or list waits for events",
        "events",
        "runs:read",
        query=AnyEventsQuery,
        answer=list_of(LedgerEvent) | list_of(CloudEvent) | list_of(EventTrigger),
        stream=LedgerEvent | CloudEvent,
    ),
)
