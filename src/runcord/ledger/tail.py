"""The tail: the one reader per process that follows the ledgers.

It hears of this process's commits directly, of other processes' by NOTIFY, and of anything it may have missed by
looking at the heads once a second: the poll is the truth, the notification only makes it quick. Notifications
are sent outside the append transactions, at most one per five milliseconds, on the tail's own connection; one
sent inside would take a database-wide lock at every commit. Chunks are told of in the same way, on a channel of
their own.

Nobody is told who is not there. Whoever listens holds a shared advisory lock, and says so by a note when it begins; a
tail asks with each look whether it is the only holder, and from then on says nothing until it hears a note.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import orjson
import psycopg
import structlog

from runcord.clock import monotonic
from runcord.job.state import Job
from runcord.ledger.arrays import Texts
from runcord.ledger.database import connect_listener
from runcord.ledger.feed import Feeds, Key
from runcord.ledger.hub import Hub
from runcord.ledger.loop_channel import LoopChannel
from runcord.ledger.view import Change
from runcord.run.state import Run
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/ledger.sql")
CHUNKS_SQL = load("runcord.sql", "queries/chunks.sql")

CHANNEL = "runcord"
CHUNK_CHANNEL = "runcord_chunks"
LISTENERS = {"lock": 0x72756E636F7264}
"""The advisory lock of all who listen. Lower letters: migrations hold "Runcord"."""
HELLO: tuple[bytes, dict[str, str]] = (SQL["tell"], {"channel": CHANNEL, "payload": "[]"})
"""What a listener says when it begins: nothing, which is news of it."""

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
        self._news: dict[str, tuple[int, int]] = {}
        self._has_news = asyncio.Event()
        self.has_company = True
        """Whether there may be somebody to tell."""
        self._heard = 0
        self._last_contact = monotonic()

    @property
    def lag_secs(self) -> float:
        """How long ago the tail last knew that it had missed nothing."""
        return monotonic() - self._last_contact

    def committed(self, project_id: str, position: int, changes: Sequence[Change]) -> Callable[[], None]:
        """Return what takes note of a commit of this process, to be called in the event loop."""
        return partial(self._note, project_id, position, newly_ready(changes))

    def streamed(self, project_id: str, run_id: str, sequence: int) -> None:
        """Take note that this process has written the chunks of a run up to `sequence`. Called from the event loop."""
        if self._chunks is not None:
            self._chunks.hear(project_id, run_id, sequence)
        self._chunk_news[project_id, run_id] = sequence
        self._tell_company()

    def _note(self, project_id: str, position: int, ready: int) -> None:
        self._hub.advance(project_id, position, ready)
        self._keep(project_id, position, ready)
        self._tell_company()

    def _keep(self, project_id: str, position: int, ready: int) -> None:
        reached, more = self._news.get(project_id, (0, 0))
        self._news[project_id] = (max(position, reached), min(ready + more, _EVERYBODY))

    def _tell_company(self) -> None:
        if self.has_company:
            self._has_news.set()

    async def run(self) -> None:
        """Follow until cancelled; a lost connection is made again."""
        while True:
            try:
                await self._follow()
            except* (psycopg.Error, OSError) as lost:  # a task group raises groups
                log.warning("tail_reconnects", error=str(lost.exceptions[0]).strip())
                await asyncio.sleep(0.2)

    async def _follow(self) -> None:
        channel = LoopChannel(await connect_listener(self._dsn), self._hear)
        try:
            await channel.ask(
                (f"listen {CHANNEL}".encode(), {}),
                (f"listen {CHUNK_CHANNEL}".encode(), {}),
                (SQL["join_listeners"], LISTENERS),
            )
            await channel.ask(HELLO)
            # Whatever happened between two connections was not heard.
            await self._look(channel)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(channel.until_lost())
                tasks.create_task(self._keep_looking(channel))
                tasks.create_task(self._keep_telling(channel))
        finally:
            channel.close()

    async def _keep_looking(self, channel: LoopChannel) -> None:
        while True:
            await asyncio.sleep(POLL_SECS)
            await self._look(channel)

    def _hear(self, channel: str, payload: bytes) -> None:
        """Take in what another process says."""
        self._heard += 1
        if not self.has_company:
            # It may have begun to listen just now, and hears what nobody was told since the last look.
            self.has_company = True
            self._has_news.set()
        try:
            for first, second, third in orjson.loads(payload):
                if channel == CHANNEL:
                    self._hub.advance(first, second, third)
                elif self._chunks is not None:
                    self._chunks.hear(first, second, third)
        except (ValueError, TypeError):
            log.warning("foreign_notification", channel=channel)

    async def _look(self, channel: LoopChannel) -> None:
        heard, untold, untold_chunks = self._heard, self._news, self._chunk_news
        if not self.has_company:
            # Who begins to listen from here on looks for itself at what has happened until now.
            self._news, self._chunk_news = {}, {}
        asked = [(SQL["heads_after"], {"project_ids": Texts(self._hub.watched())})]
        if self._chunks is not None and (keys := self._chunks.opened()):
            params = {"project_ids": Texts(key[0] for key in keys), "run_ids": Texts(key[1] for key in keys)}
            asked.append((CHUNKS_SQL["chunk_heads_of"], params))
        heads, *chunk_heads, [(is_alone,)] = await channel.ask(*asked, (SQL["is_only_listener"], LISTENERS))
        for project_id, position in heads:
            if position > self._hub.position(project_id):
                self._hub.advance(project_id, position, _EVERYBODY)
        for rows in chunk_heads:
            for project_id, run_id, sequence in rows:
                assert self._chunks is not None
                self._chunks.hear(project_id, run_id, sequence)
        self._last_contact = monotonic()
        if heard == self._heard:
            self.has_company = not is_alone
        if self.has_company and untold is not self._news:
            for project_id, (position, ready) in untold.items():
                self._keep(project_id, position, ready)
            self._chunk_news = {**untold_chunks, **self._chunk_news}
            self._has_news.set()

    async def _keep_telling(self, channel: LoopChannel) -> None:
        """Tell the other processes, as long as there are any."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            notes = [(SQL["tell"], {"channel": to, "payload": payload}) for to, payload in self._payloads()]
            if notes:
                await channel.ask(*notes)
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
