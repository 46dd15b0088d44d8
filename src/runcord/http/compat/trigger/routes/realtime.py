"""Trigger.dev's realtime: one run, the runs with some tags, or those of a batch, followed by held polls.

A poll says how far its client has got, and so servers remember nothing between two of them. While one is held it is a
subscription like any other: no connection to the database, no task but that of its request.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from runcord.clock import monotonic, utc_now
from runcord.errors import Invalid, NotFound
from runcord.http.compat.trigger import shape as shapes
from runcord.http.compat.trigger.duration import seconds
from runcord.http.compat.trigger.operation import trigger_operation, wants_new
from runcord.http.compat.trigger.shape import Offset, Shape
from runcord.http.compat.trigger.shape_models import ShapeMessage, ShapeQuery, TagsShapeQuery
from runcord.http.compat.trigger.shape_row import columns_without, row, schema
from runcord.http.operation import Answer, Call, Operation, Target, TokenAccess
from runcord.http.public_tokens import PublicToken
from runcord.http.quiet_stream import is_gone
from runcord.http.request import Request
from runcord.http.run_answers import no_such_run
from runcord.http.selecting import selection, tag
from runcord.http.targets import batch_in_path, run_in_path
from runcord.key import token_scopes as scopes
from runcord.key.token_scopes import Resource
from runcord.ledger import mapper
from runcord.run.packet import Packet, text_of
from runcord.run.state import Run
from runcord.sql import load
from runcord.streaming.events import last_position
from runcord.streaming.run_pages import at_rest, latest_versions
from runcord.streaming.selection import Selection
from runcord.streaming.versions import SQL, Version, latest
from runcord_projections.batch_view.projection import SQL as BATCHES
from runcord_projections.run_view.projection import SQL as RUNS

LEDGER_SQL = load("runcord.sql", "queries/ledger.sql")

CHUNK_RUNS = 200
"""In one answer of a snapshot, at most."""
CHUNK_BYTES = 1024 * 1024
WINDOW_SECS = 24 * 3600
"""How far back the runs of tags reach unless it is said."""

_LOOKING_SECS = 1.0
_PLACES = 10**18
"""A place in a snapshot: which list of it, and the position of the trigger below which to go on in that."""
_REFUSED_IN_TAGS = frozenset('"\\') | frozenset(map(chr, (*range(32), 127)))


async def realtime_run(call: Call) -> Answer:
    """Follow a run by Electric's shape protocol, as `runs.subscribeToRun` does."""
    query, run_id = call.query(ShapeQuery), call.path["run_id"]
    return await _answer(call, query, _shape(call, "run", (run_id,), query), Selection(run_id=run_id))


async def realtime_batch(call: Call) -> Answer:
    """Follow the runs of a batch by Electric's shape protocol, as `runs.subscribeToBatch` does."""
    query, batch_id = call.query(ShapeQuery), call.path["batch_id"]
    if query.offset == "-1":
        found = await call.backend.read(BATCHES["get"], {"project_id": call.project_id, "batch_id": batch_id})
        if not found:
            raise NotFound(f"there is no batch {batch_id[:128]!r} in this project")
    return await _answer(call, query, _shape(call, "batch", (batch_id,), query), selection(batch_id=batch_id))


async def realtime_runs(call: Call) -> Answer:
    """Follow the runs that have all of some tags by Electric's shape protocol, as `runs.subscribeToRunsWithTag` does.

    A run comes in when it is given the last of the tags. With `createdAt`, runs that were triggered so long before the
    beginning, or later; 24 hours unless it is said, and as many as wanted.
    """
    query = call.query(TagsShapeQuery)
    names = tuple(shapes.names_in(query.tags))
    if not names or any(not _REFUSED_IN_TAGS.isdisjoint(name) for name in names):
        raise Invalid("tags must name one tag at least, without control characters, quotes and backslashes")
    shape = _shape(call, "tags", names, query, query.createdAt)
    if shape.knows(query.handle) and query.offset != "-1":
        since_ms = shapes.since_of(query.handle or "") or 0
    else:
        window = WINDOW_SECS if query.createdAt is None else seconds(query.createdAt)
        if window is None:
            raise Invalid("createdAt must be a duration such as 30m, 1h or 7d")
        since_ms = max(0, int((utc_now() - timedelta(seconds=window)).timestamp() * 1000))
    since = datetime.fromtimestamp(since_ms / 1000, UTC)
    selected = selection(tags=[tag(name) for name in names], created_since=since)
    return await _answer(call, query, shape, selected, since_ms)


def _shape(call: Call, kind: str, names: tuple[str, ...], query: ShapeQuery, window: str | None = None) -> Shape:
    """Return what the client asks for; what its token hides goes before what it wants to leave out itself."""
    return Shape(kind, names, columns_without(call.hidden or shapes.names_in(query.skipColumns)), window)


async def _answer(
    call: Call, query: ShapeQuery, shape: Shape, selected: Selection, since_ms: int | None = None
) -> Answer:
    try:
        offset = shapes.parse_offset(query.offset)
    except ValueError:
        return _refetch(shape, since_ms)
    if offset is None:
        return await _snapshot(call, shape, shape.handle(since_ms), selected, None)
    handle = query.handle
    if handle is None or not shape.knows(handle) or offset.position > await _head(call, offset.position):
        return _refetch(shape, since_ms)
    if offset.place:
        return await _snapshot(call, shape, handle, selected, offset)
    return await _changes(call, shape, handle, selected, offset.position, live=query.live == "true")


async def _head(call: Call, wanted: int) -> int:
    """Return a position that the ledger has reached, `wanted` or beyond if it has got so far."""
    known = call.backend.hub.position(call.project_id)
    return known if known >= wanted else await last_position(call.backend.read, call.project_id)


def _refetch(shape: Shape, since_ms: int | None) -> Answer:
    """Return the answer that has the client begin anew: a 409 that is an array, or it would ask without end."""
    return Answer([shapes.MUST_REFETCH], 409, headers=shapes.headers(shape.handle(since_ms), None, live=False))


async def _changes(call: Call, shape: Shape, handle: str, selected: Selection, after: int, *, live: bool) -> Answer:
    """Answer what changed after a position; a live poll is held until something does."""
    backend, project_id = call.backend, call.project_id
    backend.stream_slots.require(project_id)
    begun = monotonic()
    holds_until = begun + (backend.settings.realtime_hold_secs if live else 0.0)
    found: list[Version] = []
    with backend.stream_slots.taken(project_id):
        async with backend.run_updates.subscribe(project_id, selected, after=after, coalesce=True) as subscription:
            while True:
                found += await subscription.read()
                now = monotonic()
                if subscription.has_news:  # it has missed something, and looks for it
                    if now < begun + _LOOKING_SECS and len(found) < CHUNK_RUNS:
                        continue
                    if found or not live or now >= holds_until:
                        break
                elif (
                    found or now >= holds_until or await is_gone(subscription, call.request.receive, holds_until - now)
                ):
                    break
            reached, complete = subscription.reached, live or not subscription.has_news
    return await _rendered(call, shape, handle, latest(found), "update", Offset(reached), live=live, complete=complete)


async def _snapshot(call: Call, shape: Shape, handle: str, selected: Selection, begun: Offset | None) -> Answer:
    """Answer the present state, or the next chunk of it.

    A long snapshot is of one position: runs that move beyond it meanwhile are left out, and come with the changes.
    """
    read, project_id = call.backend.read, call.project_id
    head = begun.position if begun is not None else await last_position(read, project_id)
    if selected.run_id is not None:
        page = await latest_versions(read, project_id, selected, 0, head)
        if not page.versions:
            raise no_such_run(call)
        return await _rendered(call, shape, handle, page.versions, "insert", Offset(page.reached), live=False)
    floor = 0
    if selected.created_since is not None:
        floor = (await read(RUNS["position_at"], {"project_id": project_id, "at": selected.created_since}))[0][0]
    place = begun.place if begun is not None else head + 1
    found: list[Version] = []
    deadline = monotonic() + _LOOKING_SECS
    while place and not found:
        some, place = await _chunk(call, selected, head, floor, place)
        found += some
        if monotonic() > deadline:
            break
    return await _rendered(call, shape, handle, found, "insert", Offset(head, place), live=False, complete=not place)


async def _chunk(call: Call, selected: Selection, head: int, floor: int, place: int) -> tuple[list[Version], int]:
    """Return the runs of a chunk, and the place of the next one; 0 when there is none."""
    which, before = divmod(place, _PLACES)
    params = {"project_id": call.project_id, "before": before, "limit": CHUNK_RUNS, **selected.lists[which]}
    rows = await call.backend.read(SQL["positions_of_runs"], params)
    wanted = [(position, created) for position, created in rows if created > floor]
    is_last = len(rows) < CHUNK_RUNS or len(wanted) < len(rows)
    still = [one for one in wanted if one[0] <= head]
    positions = [position for position, _ in still]
    found, taken = await at_rest(call.backend.read, call.project_id, selected, positions, CHUNK_BYTES)
    if taken < len(still):
        return found, which * _PLACES + still[taken - 1][1]
    if not is_last:
        return found, which * _PLACES + rows[-1][1]
    return found, (which + 1) * _PLACES + head + 1 if which + 1 < len(selected.lists) else 0


async def _rendered(
    call: Call,
    shape: Shape,
    handle: str,
    versions: Sequence[Version],
    operation: str,
    offset: Offset,
    *,
    live: bool,
    complete: bool = True,
) -> Answer:
    new = wants_new(call)
    texts = await _kept_texts(call, versions) if "payload" in shape.columns else {}
    rows = [
        row(
            version.run,
            shape.columns,
            payload=texts.get(version.run.run_id) or _payload(version),
            output=_text(version.result, version.run.output_type) if "output" in shape.columns else None,
            new=new,
        )
        for version in versions
    ]
    said = shapes.headers(handle, offset, live=live, complete=complete, schema=schema(shape.columns))
    return Answer(shapes.messages(rows, operation=operation, complete=complete), headers=said)


async def _kept_texts(call: Call, versions: Sequence[Version]) -> dict[str, str]:
    """Return, by runs, the texts of payloads that were kept as they came."""
    runs: list[Run] = [version.run for version in versions if version.run.payload_text_kept]
    if not runs:
        return {}
    places = {"stream_ids": [run.run_id for run in runs], "versions": [run.payload_version for run in runs]}
    found = await call.backend.read(LEDGER_SQL["chosen_events"], {"project_id": call.project_id, **places})
    return {row[0]: mapper.recorded(row).event.payload_text for row in found}


def _payload(version: Version) -> str | None:
    return _text(version.payload, version.run.payload_type)


def _text(document: bytes | None, packet_type: str | None) -> str | None:
    if packet_type is None:
        return None if document is None else document.decode()
    return text_of(None if document is None else orjson.loads(document), Packet(packet_type))


async def runs_with_tags(call: Call) -> AsyncIterator[Resource]:
    """Yield what a subscription to tags is about: a run must have all, so that the scope of any one will do."""
    for resource in scopes.of_tags(shapes.names_in(call.query(TagsShapeQuery).tags)):
        yield resource


def _goes_on(request: Request, token: PublicToken) -> bool:
    """Whether a poll goes on with a shape that was begun before: it must not fail because its token has expired.

    A client that is refused stops without a word to its user.
    """
    query = request.query_params
    return shapes.is_handle(query.get("handle")) and query.get("offset", "-1") != "-1"


def _operation(path: str, handle: Any, summary: str, query: type[ShapeQuery], target: Target) -> Operation:
    return trigger_operation(
        "GET",
        path,
        handle,
        summary,
        tokens=TokenAccess("read", target, hides=True, goes_on=_goes_on),
        query=query,
        answer=list[ShapeMessage],
        other_answers={409: list[ShapeMessage]},
        may_limit=True,
    )


OPERATIONS = (
    _operation("/realtime/v1/runs", realtime_runs, "Follow runs with tags", TagsShapeQuery, runs_with_tags),
    _operation("/realtime/v1/runs/{run_id}", realtime_run, "Follow a run by polls", ShapeQuery, run_in_path),
    _operation("/realtime/v1/batches/{batch_id}", realtime_batch, "Follow a batch by polls", ShapeQuery, batch_in_path),
)
