"""The tail: the one reader per process that follows the ledgers.

It hears of this process's commits directly, of other processes' by NOTIFY, and of anything it may have missed by
looking at the heads once a second: the poll is the truth, the notification only makes it quick. Notifications
are sent outside the append transactions, at most one per five milliseconds, on the tail's own connection; one
sent inside would take a database-wide lock at every commit. Chunks are told of in the same way, on a channel of
their own.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import psycopg
import structlog

from runcord.clock import monotonic
from runcord.job.state import Job
from runcord.ledger.database import connect_listener
from runcord.ledger.feed import Feeds, Key
from runcord.ledger.hub import Hub
from runcord.ledger.transaction import Row
from runcord.ledger.view import Change
from runcord.run.state import Run
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/ledger.sql")
CHUNKS_SQL = load("runcord.sql", "queries/chunks.sql")

CHANNEL = "runcord"
CHUNK_CHANNEL = "runcord_chunks"
POLL_SECS = 1.0
NOTIFY_INTERVAL_SECS = 0.005
_MAX_NOTE_BYTES = 7000
"""PostgreSQL takes notifications of up to 8,000 bytes."""

_EVERYBODY = 1_000_000


def newly_ready(changes: Sequence[Change]) -> int:
    """Return how many runs may have become claimable by `changes`: queued ones, and those that got a free slot."""
    ready = 0
    for change in changes:
        before, after = change.before, change.after
        if isinstance(after, Run):
            ready += after.status == "queued"
            ready += before is not None and before.holds_slot and not after.holds_slot
        elif isinstance(after, Job):  # it may take work again
            ready += _EVERYBODY
    return ready


class Tail:
    """Follows the ledgers of one database and tells the hub, and the feeds of chunks."""

    def __init__(self, dsn: str, hub: Hub, chunks: Feeds[Any] | None = None) -> None:
        self._dsn = dsn
        self._hub = hub
        self._chunks = chunks
        self._chunk_news: dict[Key, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: dict[str, tuple[int, int]] = {}
        self._has_news = asyncio.Event()
        self._last_contact = monotonic()

    @property
    def lag_secs(self) -> float:
        """How long ago the tail last knew that it had missed nothing."""
        return monotonic() - self._last_contact

    def committed(self, project_id: str, position: int, changes: Sequence[Change]) -> None:
        """Take note of a commit of this process. Called from the committer's threads."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._note, project_id, position, newly_ready(changes))

    def streamed(self, project_id: str, run_id: str, sequence: int) -> None:
        """Take note that this process has written the chunks of a run up to `sequence`. Called from the event loop."""
        if self._chunks is not None:
            self._chunks.hear(project_id, run_id, sequence)
        self._chunk_news[project_id, run_id] = sequence
        self._has_news.set()

    def _note(self, project_id: str, position: int, ready: int) -> None:
        self._hub.advance(project_id, position, ready)
        _, more = self._news.get(project_id, (0, 0))
        self._news[project_id] = (position, min(ready + more, _EVERYBODY))
        self._has_news.set()

    async def run(self) -> None:
        """Follow until cancelled; a lost connection is made again."""
        self._loop = asyncio.get_running_loop()
        while True:
            try:
                async with await connect_listener(self._dsn) as conn:
                    await self._follow(conn)
            except* (psycopg.Error, OSError) as lost:  # a task group raises groups
                log.warning("tail_reconnects", error=str(lost.exceptions[0]).strip())
                await asyncio.sleep(0.2)

    async def _follow(self, conn: psycopg.AsyncConnection[Row]) -> None:
        await conn.execute(f"listen {CHANNEL}".encode())
        await conn.execute(f"listen {CHUNK_CHANNEL}".encode())
        # Whatever happened between two connections was not heard.
        await self._look(conn)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(conn))
            tasks.create_task(self._tell())

    async def _listen(self, conn: psycopg.AsyncConnection[Row]) -> None:
        next_look = monotonic() + POLL_SECS
        while True:
            async for note in conn.notifies(timeout=max(0.0, next_look - monotonic()), stop_after=1):
                self._hear(note)
            if monotonic() >= next_look:
                await self._look(conn)
                next_look = monotonic() + POLL_SECS

    def _hear(self, note: psycopg.Notify) -> None:
        try:
            for first, second, third in orjson.loads(note.payload):
                if note.channel == CHANNEL:
                    self._hub.advance(first, second, third)
                elif self._chunks is not None:
                    self._chunks.hear(first, second, third)
        except (ValueError, TypeError):
            log.warning("foreign_notification", channel=note.channel)

    async def _look(self, conn: psycopg.AsyncConnection[Row]) -> None:
        projects = self._hub.watched()
        cursor = await conn.execute(SQL["heads_after"], {"project_ids": projects})
        for project_id, position in await cursor.fetchall():
            if position > self._hub.position(project_id):
                self._hub.advance(project_id, position, _EVERYBODY)
        if self._chunks is not None and (keys := self._chunks.opened()):
            params = {"project_ids": [key[0] for key in keys], "run_ids": [key[1] for key in keys]}
            cursor = await conn.execute(CHUNKS_SQL["chunk_heads_of"], params)
            for project_id, run_id, sequence in await cursor.fetchall():
                self._chunks.hear(project_id, run_id, sequence)
        self._last_contact = monotonic()

    async def _tell(self) -> None:
        """Tell the other processes, on a connection of its own: the listening one is busy listening."""
        async with await connect_listener(self._dsn) as conn:
            while True:
                await self._has_news.wait()
                self._has_news.clear()
                for channel, payload in self._payloads():
                    await conn.execute("select pg_notify(%s, %s)", (channel, payload))
                await asyncio.sleep(NOTIFY_INTERVAL_SECS)

    def _payloads(self) -> list[tuple[str, str]]:
        """Return what there is to tell, by channel and in pieces that fit, and forget it."""
        news = [(project_id, *what) for project_id, what in self._news.items()]
        chunk_news = [(*key, sequence) for key, sequence in self._chunk_news.items()]
        self._news.clear()
        self._chunk_news.clear()
        told = ((CHANNEL, news), (CHUNK_CHANNEL, chunk_news))
        return [(channel, piece) for channel, entries in told for piece in _pieces(entries)]


def _pieces(entries: Iterable[tuple[Any, ...]]) -> list[str]:
    """Return JSON lists of entries, each small enough for a notification."""
    pieces: list[str] = []
    piece: list[bytes] = []
    size = 0
    for entry in map(orjson.dumps, entries):
        if piece and size + len(entry) > _MAX_NOTE_BYTES:
            pieces.append(f"[{b','.join(piece).decode()}]")
            piece, size = [], 0
        piece.append(entry)
        size += len(entry) + 1
    if piece:
        pieces.append(f"[{b','.join(piece).decode()}]")
    return pieces
