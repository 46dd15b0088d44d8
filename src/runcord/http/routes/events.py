"""Events: what somebody outside sends to the run that waits for it, and the waits themselves."""

from collections.abc import AsyncGenerator
from typing import Any

import structlog
from pydantic import TypeAdapter

from runcord.errors import EventNotFound
from runcord.handling.event_waits import SQL, EventWait
from runcord.handling.events import CancelWait, SendEvent, SendToPrefix
from runcord.http.body import validate_as
from runcord.http.models.event import (
    EventsQuery,
    EventStats,
    EventTrigger,
    PurgeBody,
    Purged,
    SentEvent,
    SentToPrefix,
)
from runcord.http.models.page import encode_cursor, page
from runcord.http.models.stream import StreamQuery
from runcord.http.models.value import EventKey, EventPrefix
from runcord.http.newest_first import place_before
from runcord.http.operation import Answer, Call, Operation
from runcord.http.resuming import position_after
from runcord.http.run_answers import load_run
from runcord.http.sse import MEDIA_TYPE, frames
from runcord.projecting.time_travel import version_at
from runcord.streaming.events import track_from
from runcord.streaming.waits import end_of, wait_begun_at

log = structlog.get_logger(__name__)

_EVENTS = "events"
_KEY: TypeAdapter[str] = TypeAdapter(EventKey)
_PREFIX: TypeAdapter[str] = TypeAdapter(EventPrefix)


async def list_event_waits(call: Call, query: EventsQuery) -> Answer:
    """List the waits for events, newest first: of each event key the latest."""
    rows: list[Any] = []
    if query.workflow_run_id is None and query.source_type != "workflow_step":
        before = await place_before(call, query, _EVENTS)
        params = {"before": before, "status": query.status, "limit": query.size + 1}
        statement = SQL["page"] if query.status is None else SQL["page_of_status"]
        rows = await call.backend.read(statement, {"project_id": call.project_id, **params})
    waits = [EventWait.of_row(row) for row in rows[: query.size]]
    next_cursor = encode_cursor(_EVENTS, waits[-1].position) if len(rows) > query.size else None
    return page(call, query, [_render(wait, call.project_id) for wait in waits], next_cursor)


async def get_event_wait(call: Call) -> Answer:
    """Get the wait for an event key, or the latest one that is over."""
    return Answer(_render(await _load(call), call.project_id))


async def stream_event_wait(call: Call) -> Answer:
    """Follow the wait for an event key: a frame that it began, and one when it is over; then the stream ends.

    A frame's `id` is the position of what it tells of: whoever sends it back, as `Last-Event-ID` or `after`, goes on
    exactly there.
    """
    backend, project_id = call.backend, call.project_id
    wait = (await _load(call)).as_begun
    place = await position_after(call)
    wait = await wait_begun_at(backend.read, project_id, wait.event_key, place) or wait
    run, _ = await load_run(call, wait.run_id)
    version = await version_at(backend.read, project_id, run.run_id, wait.position)
    track = await track_from(backend.read, project_id, run, version)
    backend.stream_slots.require(project_id)

    async def blocks() -> AsyncGenerator[bytes]:
        with backend.stream_slots.taken(project_id):
            if wait.position > place:
                yield frames([(wait.position, _render(wait, project_id))])
            async with backend.follower.follow(project_id, run.run_id) as feed:
                over, position = await end_of(wait, feed, track, version)
            if position > place:
                yield frames([(position, _render(over, project_id))])

    return Answer(blocks=blocks)


async def send_event(call: Call) -> Answer:
    """Send an event to the run that waits for its key; the run is queued again and its next attempt is given it.

    The same event, sent again, is taken as heard.
    """
    handler = SendEvent(call.context, _key(call), call.body(SentEvent).payload)
    committed = await call.backend.committer.execute(call.project_id, handler)
    return Answer(_render(committed.value, call.project_id), position=committed.position)


async def send_to_prefix(call: Call) -> Answer:
    """Send one event to all runs that wait for keys with this prefix, up to 1,000 of them, in one append.

    Who sends it again reaches those that have begun to wait since, and those that were too many the first time.
    """
    prefix = validate_as(_PREFIX, call.path["prefix"], "the prefix")
    handler = SendToPrefix(call.context, prefix, call.body(SentEvent).payload)
    committed = await call.backend.committer.execute(call.project_id, handler)
    waits: list[EventWait] = committed.value
    members = {"resolved": len(waits), "triggers": [_render(wait, call.project_id) for wait in waits]}
    return Answer(members, position=committed.position)


async def cancel_event_wait(call: Call) -> Answer:
    """Call off the wait for an event: the run that waits is cancelled, with all its descendants."""
    committed = await call.backend.committer.execute(call.project_id, CancelWait(call.context, _key(call)))
    return Answer(_render(committed.value, call.project_id), position=committed.position)


async def count_event_waits(call: Call) -> Answer:
    """Count the waits for events by status. Purged ones are not among them."""
    (row,) = await call.backend.read(SQL["stats"], {"project_id": call.project_id})
    return Answer(dict(zip(EventStats.model_fields, row, strict=True)))


async def purge_event_waits(call: Call) -> Answer:
    """List waits no more that have been over for so many days. What happened stays in the histories of their runs."""
    body = call.body(PurgeBody)
    params = {"project_id": call.project_id, "days": body.older_than_days}
    if body.dry_run:
        ((count,),) = await call.backend.read(SQL["count_settled"], params)
        return Answer({"deleted": 0, "dry_run": True, "would_delete": count})
    ((count,),) = await call.backend.touch(SQL["purge_settled"], params)
    log.info("event_waits_purged", project_id=call.project_id, actor=call.actor, **body.model_dump(), deleted=count)
    return Answer({"deleted": count, "dry_run": False})


async def _load(call: Call) -> EventWait:
    key = call.path["event_key"]
    rows = await call.backend.read(SQL["event_wait"], {"project_id": call.project_id, "event_key": key})
    if not rows:
        raise EventNotFound(f"no run waits, or has waited, for the event key {key[:128]!r}")
    return EventWait.of_row(rows[0])


def _key(call: Call) -> str:
    return validate_as(_KEY, call.path["event_key"], "the event key")


def _render(wait: EventWait, project_id: str) -> dict[str, Any]:
    members: dict[str, Any] = {
        "id": wait.trigger_id,
        "event_key": wait.event_key,
        "project_id": project_id,
        "source_type": "job_run",
        "trigger_type": "event",
        "job_run_id": wait.run_id,
        "status": wait.status,
        "requested_at": wait.requested_at,
    }
    further = {
        "expires_at": wait.expires_at,
        "timeout_secs": wait.timeout_secs,
        "received_at": wait.settled_at if wait.status == "received" else None,
        "sent_by": wait.sent_by,
        "response_payload": wait.payload,
        "error": "event trigger timed out" if wait.status == "timed_out" else None,
        "notify_url": wait.notify_url,
    }
    return members | {name: value for name, value in further.items() if value is not None}


def _operation(method: Any, path: str, handle: Any, summary: str, answer: Any, **options: Any) -> Operation:
    options = {"scope": "runs:read", **options}
    return Operation(method, f"/v1/events{path}", handle, summary, "events", answer=answer, **options)


_SENDING: dict[str, Any] = {"scope": "events:send", "other_scopes": ("runs:write",), "body": SentEvent}

OPERATIONS = (
    _operation("GET", "/stats", count_event_waits, "Count waits for events", EventStats),
    _operation(
        "POST", "/purge", purge_event_waits, "Purge waits for events", Purged, scope="runs:write", body=PurgeBody
    ),
    _operation(
        "POST",
        "/prefix/{prefix:path}/send",
        send_to_prefix,
        "Send an event to a prefix",
        SentToPrefix,
        **_SENDING,
    ),
    _operation("POST", "/{event_key:path}/send", send_event, "Send an event", EventTrigger, **_SENDING),
)

OPERATIONS_ON_ONE = (
    _operation(
        "GET",
        "/{event_key:path}/stream",
        stream_event_wait,
        "Follow the wait for an event",
        EventTrigger,
        query=StreamQuery,
        media_type=MEDIA_TYPE,
    ),
    _operation("GET", "/{event_key:path}", get_event_wait, "Get the wait for an event", EventTrigger),
    _operation(
        "DELETE",
        "/{event_key:path}",
        cancel_event_wait,
        "Call off the wait for an event",
        EventTrigger,
        scope="runs:write",
    ),
)
"""These come after all other paths of events: an event key may hold slashes, so they take what is left."""
