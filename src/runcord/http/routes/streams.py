"""Streams: a run's events as they are recorded, and what its workers stream while they work."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from runcord.errors import Unavailable
from runcord.http.announcing import announce
from runcord.http.chunk_pages import followed_chunks
from runcord.http.compat.strait.frames import chunk_frame, event_frame, render_chunk
from runcord.http.models.page import encode_cursor, list_of, page
from runcord.http.models.stream import (
    ChunkBody,
    ChunkFrame,
    ChunksQuery,
    ChunkStreamQuery,
    ChunkTaken,
    RunFrame,
    StreamedChunk,
    StreamQuery,
)
from runcord.http.operation import Answer, Call, Operation, TokenAccess
from runcord.http.resuming import place_after, position_after
from runcord.http.run_answers import load_run, require_run
from runcord.http.sdk import SCOPE, sdk_answer
from runcord.http.sdk import TAG as WORKERS
from runcord.http.sse import MEDIA_TYPE, frames
from runcord.http.targets import run_in_path as the_run
from runcord.projecting.time_travel import version_at
from runcord.run.decide import require_live_attempt
from runcord.streaming import chunks as following
from runcord.streaming.chunk_writer import NewChunk
from runcord.streaming.events import follow_events, track_from

_CHUNKS = "chunks"

_TRIES = 50
_PAUSE_SECS = 0.02
"""A lease is being changed for some milliseconds; the ledger's own patience ends after about a second."""


async def stream_run(call: Call) -> Answer:
    """Follow a run: its whole history first, then every event as it is recorded, each a frame of server-sent events.

    A frame's `id` is the event's position: whoever sends the last one back, as `Last-Event-ID` or `after`, goes on
    exactly there. When the run is finished (a dead letter too) and its last event was sent, the stream ends with the
    comment `: end`; one that ends without it was cut. A run that is queued again later can be followed on from the
    last id.
    """
    backend, project_id = call.backend, call.project_id
    run, _ = await load_run(call)
    position = await position_after(call)
    version = await version_at(backend.read, project_id, run.run_id, position)
    track = await track_from(backend.read, project_id, run, version)
    backend.stream_slots.require(project_id)

    async def blocks() -> AsyncGenerator[bytes]:
        with backend.stream_slots.taken(project_id):
            async with (
                backend.follower.follow(project_id, run.run_id) as feed,
                aclosing(follow_events(feed, track, version)) as pages,
            ):
                async for steps in pages:
                    shown = (event_frame(step, project_id=project_id) for step in steps)
                    yield frames((one["position"], one) for one in shown)

    return Answer(blocks=blocks)


async def stream_chunks(call: Call) -> Answer:
    """Follow what a run's workers stream: all chunks that are kept, then each as it comes.

    A frame's `id` is the chunk's `sequence`, by which a stream is resumed exactly. When the run is finished and its
    last chunk was sent, the stream ends with the comment `: end`.
    """
    backend, project_id = call.backend, call.project_id
    stream_id = call.query(ChunkStreamQuery).stream_id
    run, _ = await load_run(call)
    last = await following.last_chunk(backend.read, project_id, run.run_id)
    sequence = place_after(call, last, "chunk that the run")
    backend.stream_slots.require(project_id)

    async def blocks() -> AsyncGenerator[bytes]:
        async with aclosing(followed_chunks(call, run, sequence, stream_id)) as pages:
            async for some in pages:
                yield frames((chunk.sequence, chunk_frame(run.run_id, chunk)) for chunk in some)

    return Answer(blocks=blocks)


async def list_chunks(call: Call) -> Answer:
    """List what a run's workers have streamed, in order, as far as it is kept."""
    query = call.query(ChunksQuery)
    place = query.place(_CHUNKS, int)
    await require_run(call)
    run_id = call.path["run_id"]
    found = await following.list_chunks(
        call.backend.read,
        call.project_id,
        run_id,
        query.stream_id,
        after=place[0] if place else query.after,
        limit=query.size + 1,
    )
    shown = found[: query.size]
    next_cursor = encode_cursor(_CHUNKS, shown[-1].sequence) if len(found) > query.size else None
    return page(call, query, [render_chunk(run_id, chunk) for chunk in shown], next_cursor)


async def stream_chunk(call: Call) -> Answer:
    """Stream a piece of text, such as a model's tokens: it is kept for a while, and is no part of the run's record.

    The attempt must be at work. A chunk that was answered is durable and cannot be overtaken by a later one. The first
    one of a stream announces it: the run has the stream among its events, and up to 100 of them.
    """
    body = call.body(ChunkBody)
    await announce(call, body.stream_id)
    run_id, claim = call.path["run_id"], call.claim
    chunk = NewChunk(run_id, claim, body.stream_id, body.done, body.chunk.encode())
    for _ in range(_TRIES):
        if await call.backend.chunk_writer.write(call.project_id, chunk) is not None:
            return sdk_answer(call, {"status": "ok"})
        run, _ = await load_run(call)
        require_live_attempt(claim, run)
        # It lives, so its lease was being changed, and that is over in a moment.
        await asyncio.sleep(_PAUSE_SECS)
    raise Unavailable("the run's attempt is being changed; try again shortly")


def _stream(path: str, handle: Any, summary: str, query: type[StreamQuery], answer: Any) -> Operation:
    return Operation(
        "GET",
        f"/v1/runs/{{run_id}}/{path}",
        handle,
        summary,
        "runs",
        "runs:read",
        query=query,
        answer=answer,
        media_type=MEDIA_TYPE,
        tokens=TokenAccess("read", the_run),
    )


OPERATIONS = (
    _stream("stream", stream_run, "Follow a run", StreamQuery, RunFrame),
    _stream("stream/chunks", stream_chunks, "Follow a run's chunks", ChunkStreamQuery, ChunkFrame),
    Operation(
        "GET",
        "/v1/runs/{run_id}/chunks",
        list_chunks,
        "List a run's chunks",
        "runs",
        "runs:read",
        query=ChunksQuery,
        answer=list_of(StreamedChunk),
    ),
    Operation(
        "POST",
        "/sdk/v1/runs/{run_id}/stream",
        stream_chunk,
        "Stream a chunk",
        WORKERS,
        SCOPE,
        access="run",
        body=ChunkBody,
        answer=ChunkTaken,
    ),
)
