"""The tail: the one reader per process that follows the ledgers.

It hears of this process's commits directly, of other processes' by NOTIFY, and of anything it may have missed by
looking at the heads once a second: the poll is the truth, the notification only makes it quick. Notifications
are sent outside the append transactions, at most one per five milliseconds, on the tail's own connection; one
sent inside would take a database-wide lock at every commit.
"""

import asyncio
from collections.abc import Sequence

import orjson
import psycopg
import structlog

from runcord.clock import monotonic
from runcord.ledger.database import connect_listener
from runcord.ledger.hub import Hub
from runcord.ledger.transaction import Row
from runcord.ledger.view import Change
from runcord.run.state import Run
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/ledger.sql")

CHANNEL = "runcord"
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
        else:  # a job may take work again
            ready += _EVERYBODY
    return ready


class Tail:
    """Follows the ledgers of one database and tells the hub."""

    def __init__(self, dsn: str, hub: Hub) -> None:
        self._dsn = dsn
        self._hub = hub
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
            for project_id, position, ready in orjson.loads(note.payload):
                self._hub.advance(project_id, position, ready)
        except (ValueError, TypeError):
            log.warning("foreign_notification", channel=note.channel)

    async def _look(self, conn: psycopg.AsyncConnection[Row]) -> None:
        projects = self._hub.watched()
        cursor = await conn.execute(SQL["heads_after"], {"project_ids": projects})
        for project_id, position in await cursor.fetchall():
            if position > self._hub.position(project_id):
                self._hub.advance(project_id, position, _EVERYBODY)
        self._last_contact = monotonic()

    async def _tell(self) -> None:
        """Tell the other processes, on a connection of its own: the listening one is busy listening."""
        async with await connect_listener(self._dsn) as conn:
            while True:
                await self._has_news.wait()
                self._has_news.clear()
                for payload in self._payloads():
                    await conn.execute("select pg_notify(%s, %s)", (CHANNEL, payload))
                await asyncio.sleep(NOTIFY_INTERVAL_SECS)

    def _payloads(self) -> list[str]:
        """Return what there is to tell, in pieces that fit, and forget it."""
        payloads: list[str] = []
        piece: list[tuple[str, int, int]] = []
        size = 0
        for project_id, (position, ready) in self._news.items():
            piece.append((project_id, position, ready))
            size += len(project_id) + 40
            if size > _MAX_NOTE_BYTES:
                payloads.append(orjson.dumps(piece).decode())
                piece, size = [], 0
        if piece:
            payloads.append(orjson.dumps(piece).decode())
        self._news.clear()
        return payloads
