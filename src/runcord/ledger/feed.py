"""Feeds: what all readers of one growing sequence in this process share.

A sequence is the events of a run, or its chunks: its entries are numbered in the order of their commits, and never
change. Each reader has a cursor of its own. Readers at the end of the sequence are served from a small window, which
one query fills for all of them; one that is behind reads pages from the database until it has caught up. So a slow
reader costs lag and nothing else, an idle one costs neither a query nor a connection.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

WINDOW_BYTES = 64 * 1024
WINDOW_ENTRIES = 256


class Entry(NamedTuple, Generic[T]):
    """One entry: its number and about how much memory it takes, in bytes."""

    number: int
    size: int
    value: T


class Page(NamedTuple, Generic[T]):
    """Entries in their order. Up to the number `reached`, there are no others."""

    entries: Sequence[Entry[T]]
    reached: int


Load = Callable[[int], Awaitable[Sequence[Entry[T]]]]
"""Reads the entries after a number: a page of them, none only if there are none."""


class Feed(Generic[T]):
    """One sequence, as far as it is known in this process. Belongs to one event loop."""

    def __init__(self, load: Load[T]) -> None:
        self._load = load
        self._window: deque[Entry[T]] = deque()
        self._size = 0
        self._floor = self._last = -1
        """The window holds all entries above the one and up to the other."""
        self._heard = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._extending = asyncio.Lock()

    def hear(self, number: int) -> None:
        """Take note that the sequence has reached `number`: that entry has been committed."""
        if number > self._heard:
            self._heard = number
            for future in self._waiting:
                if not future.done():
                    future.set_result(None)
            self._waiting.clear()

    async def beyond(self, after: int) -> None:
        """Wait until an entry after `after` has been heard of."""
        while self._heard <= after:
            future = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)

    async def page(self, after: int) -> Page[T]:
        """Return the next entries after `after`; none if none has been heard of that this reader has not got."""
        if after != self._last:
            return self._kept(after) or await self.read(after)
        async with self._extending:
            if after == self._last and self._heard > after:
                return await self.read(after)
            # Another reader has fetched them meanwhile, for all.
            return self._kept(after) or await self.read(after)

    async def read(self, after: int) -> Page[T]:
        """Return the next entries after `after` that are in the database, whatever has been heard of."""
        heard = self._heard
        entries = await self._load(after)
        reached = entries[-1].number if entries else max(after, heard)
        if after == self._last:
            self._keep(entries, reached)
        elif not entries and reached > self._last:
            self._begin(reached)
        return Page(entries, reached)

    def _kept(self, after: int) -> Page[T] | None:
        if not self._floor <= after <= self._last:
            return None
        return Page([entry for entry in self._window if entry.number > after], self._last)

    def _keep(self, entries: Sequence[Entry[T]], reached: int) -> None:
        self._window.extend(entries)
        self._size += sum(entry.size for entry in entries)
        self._last = reached
        while self._size > WINDOW_BYTES or len(self._window) > WINDOW_ENTRIES:
            dropped = self._window.popleft()
            self._size -= dropped.size
            self._floor = dropped.number

    def _begin(self, tip: int) -> None:
        """Hold nothing, from the end of the sequence on."""
        self._window.clear()
        self._size = 0
        self._floor = self._last = tip


Key = tuple[str, str]
"""Project and run."""


class Feeds(Generic[T]):
    """The feeds that anybody in this process reads."""

    def __init__(self, load: Callable[[str, str, int], Awaitable[Sequence[Entry[T]]]]) -> None:
        self._load = load
        self._open: dict[Key, tuple[Feed[T], int]] = {}

    def opened(self) -> list[Key]:
        """Return project and run of every open feed."""
        return list(self._open)

    def hear(self, project_id: str, run_id: str, number: int) -> None:
        """Tell a feed, if it is open, what its sequence has reached."""
        found = self._open.get((project_id, run_id))
        if found is not None:
            found[0].hear(number)

    @contextmanager
    def open(self, project_id: str, run_id: str) -> Generator[Feed[T]]:
        """Open the feed of a run for one more reader."""
        key = (project_id, run_id)
        feed, readers = self._open.get(key, (None, 0))
        if feed is None:
            feed = Feed[T](lambda after: self._load(project_id, run_id, after))
        self._open[key] = (feed, readers + 1)
        try:
            yield feed
        finally:
            feed, readers = self._open.pop(key)
            if readers > 1:
                self._open[key] = (feed, readers - 1)
