"""A run's chunks as a sequence to be followed: numbered 1, 2, 3 …, whichever of its streams they belong to."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runcord.ledger.feed import Entry, Feed, Page
from runcord.ledger.statements import Read
from runcord.ledger.transaction import Row
from runcord.recorded import Recorded
from runcord.sql import load
from runcord.streaming.events import Track
from runcord.streaming.patience import patiently

SQL = load("runcord.sql", "queries/chunks.sql")

PAGE_CHUNKS = 500
PAGE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Chunk:
    """A piece of what a worker streams. `attempt` says which attempt has written it."""

    sequence: int
    stream_id: str
    done: bool
    attempt: int
    recorded_at: datetime
    text: str


async def load_chunks(read: Read, project_id: str, run_id: str, after: int) -> list[Entry[Chunk]]:
    """Return the next chunks of a run after a number."""
    params = {"project_id": project_id, "run_id": run_id, "after": after, "limit": PAGE_CHUNKS, "bytes": PAGE_BYTES}
    return [Entry(row[0], len(row[5]), _chunk(row)) for row in await read(SQL["chunks"], params)]


async def list_chunks(
    read: Read, project_id: str, run_id: str, stream_id: str | None, *, after: int, limit: int
) -> list[Chunk]:
    """Return chunks of one stream of a run, or of all, after a number, at most `limit`."""
    params = {"project_id": project_id, "run_id": run_id, "stream_id": stream_id, "after": after, "limit": limit}
    return [_chunk(row) for row in await read(SQL["chunks_of_stream"], params)]


async def last_chunk(read: Read, project_id: str, run_id: str) -> int:
    """Return the number of the run's last chunk, 0 if there was none; also if it has been removed since."""
    rows = await read(SQL["chunk_head"], {"project_id": project_id, "run_id": run_id})
    return rows[0][0] if rows else 0


async def follow_chunks(
    chunks: Feed[Chunk], sequence: int, events: Feed[Recorded[Any]], track: Track, version: int
) -> AsyncGenerator[list[Chunk]]:
    """Yield the chunks after a number, in pages, as they come; end when the run is finished and all were given.

    An attempt's end is recorded after its last chunk. So whoever knows of the end and reads then misses none.
    """
    while True:
        while (news := await patiently(lambda: events.page(version))).entries:  # noqa: B023
            version = news.reached
            for entry in news.entries:
                track.step(entry.value)
        read = chunks.read if track.is_finished else chunks.page
        page: Page[Chunk] = await patiently(lambda: read(sequence))  # noqa: B023
        sequence = page.reached
        if page.entries:
            yield [entry.value for entry in page.entries]
        elif track.is_finished:
            return
        else:
            await _first(chunks.beyond(sequence), events.beyond(version))


async def of_stream(pages: AsyncGenerator[list[Chunk]], stream_id: str | None) -> AsyncGenerator[list[Chunk]]:
    """Yield the chunks of one stream, or of all."""
    async with aclosing(pages):
        async for page in pages:
            if wanted := [chunk for chunk in page if stream_id in (None, chunk.stream_id)]:
                yield wanted


async def _first(*waits: Awaitable[None]) -> None:
    """Return when one of the waits is over."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _chunk(row: Row) -> Chunk:
    sequence, stream_id, done, attempt, recorded_at, chunk = row
    return Chunk(sequence, stream_id, done, attempt, recorded_at, bytes(chunk).decode())
