"""A channel in an event loop: whoever asks takes turns, and notifications are heard whenever they come."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest

from runcord.clock import monotonic
from runcord.ledger.database import connect_listener
from runcord.ledger.loop_channel import LoopChannel
from runcord.testing.postgres import TestServer

DEADLINE = 10.0

Heard = list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def dsn(postgres: TestServer) -> str:
    return postgres.create_database()


def with_channel(test: Callable[[LoopChannel, Heard, str], Coroutine[Any, Any, None]]) -> Callable[[str], None]:
    def run(dsn: str) -> None:
        async def inside() -> None:
            heard: Heard = []
            channel = LoopChannel(await connect_listener(dsn), lambda *note: heard.append(note))
            try:
                await test(channel, heard, dsn)
            finally:
                channel.close()

        asyncio.run(inside())

    run.__name__ = test.__name__
    return run


async def until(met: Callable[[], bool]) -> None:
    deadline = monotonic() + DEADLINE
    while not met():
        assert monotonic() < deadline
        await asyncio.sleep(0.005)


@with_channel
async def test_everybody_gets_their_own_answers(channel: LoopChannel, heard: Heard, dsn: str) -> None:
    asked = [channel.ask((b"select %(n)s::integer", {"n": n}), (b"select %(n)s::text", {"n": n})) for n in range(50)]
    assert await asyncio.gather(*asked) == [[[(n,)], [(str(n),)]] for n in range(50)]


@with_channel
async def test_more_is_sent_than_the_socket_takes_at_once(channel: LoopChannel, heard: Heard, dsn: str) -> None:
    text = "x" * 20_000_000
    assert await channel.ask((b"select length(%(text)s::text)", {"text": text})) == [[(len(text),)]]


@with_channel
async def test_an_error_is_of_who_asked_and_nothing_of_it_took_place(
    channel: LoopChannel, heard: Heard, dsn: str
) -> None:
    await channel.ask((b"create temporary table seen (n integer)", {}))
    with pytest.raises(psycopg.errors.DivisionByZero):
        await channel.ask((b"insert into seen values (1)", {}), (b"select 1 / %(n)s", {"n": 0}))
    assert await channel.ask((b"select n from seen", {})) == [[]]


@with_channel
async def test_others_are_heard_between_trips_and_during_them_and_itself_never(
    channel: LoopChannel, heard: Heard, dsn: str
) -> None:
    await channel.ask((b"listen here", {}))
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("select pg_notify('here', 'between')")
        await until(lambda: len(heard) == 1)
        asking = asyncio.create_task(channel.ask((b"select pg_sleep(0.2)", {}), (b"notify here, 'itself'", {})))
        await asyncio.sleep(0)
        other.execute("select pg_notify('here', 'during')")
        await asking
        other.execute("select pg_notify('here', 'after')")
        await until(lambda: len(heard) == 3)
    assert heard == [("here", b"between"), ("here", b"during"), ("here", b"after")]


@with_channel
async def test_a_connection_that_is_lost_is_told_of_though_nobody_asks(
    channel: LoopChannel, heard: Heard, dsn: str
) -> None:
    [[(pid,)]] = await channel.ask((b"select pg_backend_pid()", {}))
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s)", [pid])
    with pytest.raises(psycopg.OperationalError):
        await asyncio.wait_for(channel.until_lost(), DEADLINE)
    assert channel.closed


@with_channel
async def test_a_connection_that_is_lost_during_a_trip_is_told_of_to_all(
    channel: LoopChannel, heard: Heard, dsn: str
) -> None:
    [[(pid,)]] = await channel.ask((b"select pg_backend_pid()", {}))
    asking = asyncio.create_task(channel.ask((b"select pg_sleep(60)", {})))
    await asyncio.sleep(0)
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s)", [pid])
    with pytest.raises(psycopg.OperationalError):
        await asyncio.wait_for(asking, DEADLINE)
    with pytest.raises(psycopg.OperationalError):
        await asyncio.wait_for(channel.until_lost(), DEADLINE)


@with_channel
async def test_a_caller_that_goes_away_ends_the_connection(channel: LoopChannel, heard: Heard, dsn: str) -> None:
    asking = asyncio.create_task(channel.ask((b"select pg_sleep(60)", {})))
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert channel.closed
