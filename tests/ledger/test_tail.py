"""The tail follows the ledgers for as long as the process runs, and tells those of other processes."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator

import orjson
import psycopg
import pytest

from runcord.clock import monotonic
from runcord.http.credentials import create_project
from runcord.ledger import tail as tails
from runcord.ledger.hub import Hub
from runcord.ledger.tail import Tail

DEADLINE = 10.0

PROJECT = "proj_test"


async def until(met: Callable[[], bool]) -> None:
    deadline = monotonic() + DEADLINE
    while not met():
        assert monotonic() < deadline
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def process(dsn: str) -> AsyncGenerator[tuple[Tail, Hub]]:
    """What one server process has of this: a tail that has looked once, and a hub."""
    hub = Hub()
    tail = Tail(dsn, hub)
    following = asyncio.create_task(tail.run())
    began = monotonic()
    try:
        await until(lambda: tail.lag_secs < monotonic() - began)
        yield tail, hub
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@pytest.fixture
def hour_long_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found by looking: what is heard was told."""
    monkeypatch.setattr(tails, "POLL_SECS", 3600.0)


@contextlib.contextmanager
def ear(dsn: str) -> Iterator[psycopg.Connection]:
    """Somebody who hears all that is said, and is no listener that anybody knows of."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(f"listen {tails.CHANNEL}".encode())
        yield conn


def said(conn: psycopg.Connection) -> list[object]:
    """Return what was said up to now, but for greetings."""
    conn.execute("select 1")
    return [entry for note in conn.notifies(timeout=0) for entry in orjson.loads(note.payload)]


def test_the_tail_follows_again_after_its_connections_were_lost(dsn: str) -> None:
    async def test() -> None:
        tail = Tail(dsn, Hub())
        following = asyncio.create_task(tail.run())
        with psycopg.connect(dsn, autocommit=True) as conn:
            lost: set[int] = set()
            for _ in range(2):
                deadline = monotonic() + DEADLINE
                while not (found := connections(conn) - lost):
                    assert monotonic() < deadline and not following.done()
                    await asyncio.sleep(0.01)
                conn.execute("select pg_terminate_backend(pid) from unnest(%s) pid", (list(found),))
                lost |= found
            struck = monotonic()
            while tail.lag_secs > monotonic() - struck:
                assert monotonic() < struck + DEADLINE and not following.done()
                await asyncio.sleep(0.01)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(test())


@pytest.mark.usefixtures("hour_long_poll")
def test_processes_tell_each_other_and_one_that_begins_later_is_told_from_then_on(dsn: str) -> None:
    async def test() -> None:
        async with process(dsn) as (first, hub):
            first.committed(PROJECT, 1, [])()
            async with process(dsn) as (second, other_hub):
                # The first had told nobody of what it did when it was alone; the second's greeting has it made up for.
                assert await other_hub.moved(PROJECT, 0, DEADLINE)
                for position in range(2, 5):
                    first.committed(PROJECT, position, [])()
                    assert await other_hub.moved(PROJECT, position - 1, DEADLINE)
                second.committed(PROJECT, 5, [])()
                assert await hub.moved(PROJECT, 4, DEADLINE)

    asyncio.run(test())


def test_a_tail_that_is_alone_says_nothing_and_loses_nothing_by_it(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "POLL_SECS", 0.05)

    async def test() -> None:
        async with process(dsn) as (first, _):
            with ear(dsn) as conn:
                for position in range(1, 4):
                    first.committed(PROJECT, position, [])()
                looked = monotonic()
                await until(lambda: first.lag_secs < monotonic() - looked)
                assert said(conn) == []
                # What was heard of by nobody is on record, where whoever begins looks for it.
                create_project(conn, PROJECT, "test")
                conn.execute("update ledger_heads set position = 3, recorded_at = now()")
                async with process(dsn) as (_, hub):
                    assert await hub.moved(PROJECT, 2, DEADLINE)
                    first.committed(PROJECT, 4, [])()
                    assert await hub.moved(PROJECT, 3, DEADLINE)
                assert [PROJECT, 4, 0] in said(conn)
                # The other is gone: once that is seen there is nobody to tell again.
                await until(lambda: not first.has_company)
                first.committed(PROJECT, 5, [])()
                looked = monotonic()
                await until(lambda: first.lag_secs < monotonic() - looked)
                assert said(conn) == []

    asyncio.run(test())


def test_what_a_tail_says_itself_is_not_heard_by_it(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with process(dsn) as (first, hub), process(dsn) as (_, other_hub):
            told: list[int] = []
            advance = hub.advance

            def counted(project_id: str, position: int, ready: int) -> None:
                told.append(position)
                advance(project_id, position, ready)

            monkeypatch.setattr(hub, "advance", counted)
            for position in range(1, 4):
                first.committed(PROJECT, position, [])()
                assert await other_hub.moved(PROJECT, position - 1, DEADLINE)
            assert told == [1, 2, 3]

    asyncio.run(test())


def test_words_of_others_do_no_harm(dsn: str) -> None:
    async def test() -> None:
        async with process(dsn) as (_, hub):
            with psycopg.connect(dsn, autocommit=True) as conn:
                for payload in ("", "{}", "[1]", "[[]]", '[["proj_test", 7, 0]]'):
                    conn.execute("select pg_notify(%s, %s)", (tails.CHANNEL, payload))
            assert await hub.moved(PROJECT, 6, DEADLINE)

    asyncio.run(test())


def connections(conn: psycopg.Connection) -> set[int]:
    rows = conn.execute(
        "select pid from pg_stat_activity where application_name = 'runcord tail' and datname = current_database()"
    )
    return {pid for (pid,) in rows}
