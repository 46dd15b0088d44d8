"""Writing chunks: those that come while a write is under way are written together by the next one.

A chunk is durable when its write returns. It takes no ledger's lock: a run's lease says whether the attempt lives,
and is held until the chunk is committed, so that nothing is streamed after an attempt's end.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from runcord.errors import InternalError, RuncordError
from runcord.ledger.arrays import Bigints, Booleans, Bytes, Integers, Texts
from runcord.ledger.statements import Touch
from runcord.run.commands import Claim
from runcord.run.status import FINISHED
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/chunks.sql")

BATCH_CHUNKS = 500
BATCH_BYTES = 1024 * 1024

_FINISHED = Texts(sorted(FINISHED))

WRITES_AT_ONCE = 2
"""Over all projects: the connections are shared with heartbeats."""


@dataclass(frozen=True)
class NewChunk:
    """What a worker says, for which run, and which attempt it speaks for; or what comes from outside of an attempt."""

    run_id: str
    claim: Claim
    stream_id: str
    done: bool
    chunk: bytes
    outside: bool = False
    """Whether it comes to the run whatever attempt is at work, until the run has ended."""
    writer: str | None = None
    """Who sends it, where it numbers its chunks: what it sends again counts once."""
    index: int | None = None
    """Its number among those of the writer, from 0."""


Waiting = tuple[NewChunk, "asyncio.Future[int | None]"]


class ChunkWriter:
    """Writes the chunks that come to this process. Belongs to one event loop."""

    def __init__(self, touch: Touch, on_write: Callable[[str, str, int], None]) -> None:
        self._touch = touch
        self._on_write = on_write
        self._waiting: dict[str, list[Waiting]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(WRITES_AT_ONCE)

    async def write(self, project_id: str, chunk: NewChunk) -> int | None:
        """Write a chunk and return its number, 0 if its writer had sent it before.

        None says that it was not written: its attempt is not at work, or the run has ended, or just then somebody was
        changing it.

        Raises:
            Unavailable: the database is away; whether the chunk was written is not known.
        """
        future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(project_id, []).append((chunk, future))
        if project_id not in self._tasks:
            self._tasks[project_id] = asyncio.create_task(self._work(project_id))
        return await future

    async def close(self) -> None:
        """Return when all that came has been written."""
        await asyncio.gather(*self._tasks.values())

    async def _work(self, project_id: str) -> None:
        while waiting := self._waiting.pop(project_id, None):
            async with self._turns:
                # Whatever came while others had their turn goes along.
                waiting += self._waiting.pop(project_id, [])
                for batch in _batches(waiting):
                    await self._write(project_id, batch)
        del self._tasks[project_id]

    async def _write(self, project_id: str, batch: Sequence[Waiting]) -> None:
        try:
            written = dict(await self._touch(SQL["append_chunks"], _parameters(project_id, batch)))
        except Exception as error:
            known = error if isinstance(error, RuncordError) else InternalError()
            log.warning("chunks_not_written", project_id=project_id, count=len(batch), error=str(error))
            for _, future in batch:
                if not future.done():
                    future.set_exception(known)
            return
        heads: dict[str, int] = {}
        for place, (chunk, future) in enumerate(batch, 1):
            sequence = written.get(place)
            if not future.done():
                future.set_result(sequence)
            if sequence:
                heads[chunk.run_id] = max(sequence, heads.get(chunk.run_id, 0))
        for run_id, sequence in heads.items():
            self._on_write(project_id, run_id, sequence)


def _parameters(project_id: str, batch: Sequence[Waiting]) -> dict[str, Any]:
    chunks = [chunk for chunk, _ in batch]
    return {
        "project_id": project_id,
        "run_ids": Texts(chunk.run_id for chunk in chunks),
        "attempts": Integers(chunk.claim.attempt for chunk in chunks),
        "fences": Integers(chunk.claim.fence for chunk in chunks),
        "outsides": Booleans(chunk.outside for chunk in chunks),
        "outside_run_ids": Texts({chunk.run_id for chunk in chunks if chunk.outside}),
        "finished": _FINISHED,
        "stream_ids": Texts(chunk.stream_id for chunk in chunks),
        "dones": Booleans(chunk.done for chunk in chunks),
        "chunks": Bytes(chunk.chunk for chunk in chunks),
        "writers": Texts(chunk.writer for chunk in chunks),
        "indexes": Bigints(chunk.index for chunk in chunks),
    }


def _batches(waiting: Sequence[Waiting]) -> list[list[Waiting]]:
    """Return what waits, in order, in pieces of bounded size."""
    batches: list[list[Waiting]] = [[]]
    size = 0
    for one in waiting:
        size += len(one[0].chunk)
        if batches[-1] and (size > BATCH_BYTES or len(batches[-1]) >= BATCH_CHUNKS):
            batches.append([])
            size = len(one[0].chunk)
        batches[-1].append(one)
    return batches
