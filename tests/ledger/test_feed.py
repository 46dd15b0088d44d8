"""Feeds: every reader gets every entry once, in order, whatever it missed hearing, and readers share their queries."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcord.ledger.feed import WINDOW_BYTES, WINDOW_ENTRIES, Entry, Feed, Feeds

PAGE = 3


class Log:
    """Entries that a feed reads, page by page, and how often it did."""

    def __init__(self, entries: int = 0, size: int = 1) -> None:
        self.entries = [Entry(number, size, number) for number in range(1, entries + 1)]
        self.size = size
        self.reads = 0

    def add(self, count: int = 1) -> int:
        for _ in range(count):
            self.entries.append(Entry(len(self.entries) + 1, self.size, len(self.entries) + 1))
        return len(self.entries)

    async def load(self, after: int) -> Sequence[Entry[int]]:
        self.reads += 1
        await asyncio.sleep(0)
        return [entry for entry in self.entries if entry.number > after][:PAGE]


async def catch_up(feed: Feed[int], cursor: int = 0) -> list[int]:
    """Return what a reader gets until there is no more."""
    got: list[int] = []
    while (page := await feed.page(cursor)).entries:
        got += [entry.number for entry in page.entries]
        cursor = page.reached
    return got


def test_a_reader_gets_what_is_there_and_then_what_comes() -> None:
    async def test() -> None:
        log = Log(7)
        feed = Feed(log.load)
        assert await catch_up(feed) == [1, 2, 3, 4, 5, 6, 7]
        waiting = asyncio.create_task(feed.beyond(7))
        await asyncio.sleep(0)
        assert not waiting.done()
        feed.hear(log.add(2))
        await waiting
        assert await catch_up(feed, 7) == [8, 9]

    asyncio.run(test())


def test_readers_at_the_end_share_one_query() -> None:
    async def test() -> None:
        log = Log(2)
        feed = Feed(log.load)
        await catch_up(feed)
        log.reads = 0
        for _ in range(5):
            feed.hear(log.add())
            got = await asyncio.gather(*(catch_up(feed, len(log.entries) - 1) for _ in range(50)))
            assert got == [[len(log.entries)]] * 50
        assert log.reads == 5
        await asyncio.gather(*(catch_up(feed, len(log.entries)) for _ in range(50)))
        assert log.reads == 5, "nothing was heard of, so there was nothing to look for"

    asyncio.run(test())


@pytest.mark.parametrize("size", [1, WINDOW_BYTES // 4, WINDOW_BYTES * 2])
def test_a_slow_reader_costs_no_memory_and_misses_nothing(size: int) -> None:
    async def test() -> None:
        log = Log(1, size)
        feed = Feed(log.load)
        await catch_up(feed)
        for _ in range(WINDOW_ENTRIES + 10):
            number = log.add()
            feed.hear(number)
            assert await catch_up(feed, number - 1) == [number]
            kept = feed._window
            assert len(kept) <= WINDOW_ENTRIES and sum(entry.size for entry in kept) <= WINDOW_BYTES
        assert await catch_up(feed, 1) == list(range(2, number + 1))

    asyncio.run(test())


def test_entries_that_were_removed_keep_nobody_busy() -> None:
    async def test() -> None:
        log = Log(4)
        feed = Feed(log.load)
        feed.hear(4)
        log.entries.clear()
        page = await feed.page(1)
        assert (page.entries, page.reached) == ([], 4)
        waiting = asyncio.create_task(feed.beyond(page.reached))
        await asyncio.sleep(0)
        assert not waiting.done()
        log.entries.append(Entry(5, 1, 5))
        feed.hear(5)
        await waiting
        assert await catch_up(feed, page.reached) == [5]

    asyncio.run(test())


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.lists(st.integers(0, 3), max_size=6)), max_size=20))
def test_whatever_the_order_each_reader_gets_all_in_order(steps: list[tuple[int, bool, list[int]]]) -> None:
    async def test() -> None:
        log = Log()
        feed = Feed(log.load)
        cursors = [0, 0, 0, 0]
        got: list[list[int]] = [[], [], [], []]

        async def read(reader: int) -> None:
            page = await feed.page(cursors[reader])
            cursors[reader] = page.reached
            got[reader] += [entry.number for entry in page.entries]

        for added, heard, readers in steps:
            log.add(added)
            if heard:
                feed.hear(len(log.entries))
            await asyncio.gather(*(read(reader) for reader in set(readers)))
        feed.hear(len(log.entries))
        for reader in range(4):
            got[reader] += await catch_up(feed, cursors[reader])
            assert got[reader] == [entry.number for entry in log.entries]

    asyncio.run(test())


def test_a_feed_is_shared_while_anybody_reads_it() -> None:
    async def load(project_id: str, run_id: str, after: int) -> Sequence[Entry[int]]:
        return []

    feeds = Feeds(load)
    with feeds.open("p", "run_a") as first:
        with feeds.open("p", "run_a") as second, feeds.open("q", "run_a") as other:
            assert first is second is not other
            assert sorted(feeds.opened()) == [("p", "run_a"), ("q", "run_a")]
        assert feeds.opened() == [("p", "run_a")]
    assert feeds.opened() == []
    feeds.hear("p", "run_a", 5)  # of no interest to anybody
