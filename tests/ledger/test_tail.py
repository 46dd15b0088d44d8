"""The tail follows the ledgers for as long as the process runs, whatever becomes of its connections."""

import asyncio

import psycopg

from runcord.clock import monotonic
from runcord.ledger.hub import Hub
from runcord.ledger.tail import Tail

DEADLINE = 10.0


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


def connections(conn: psycopg.Connection) -> set[int]:
    rows = conn.execute(
        "select pid from pg_stat_activity where application_name = 'runcord tail' and datname = current_database()"
    )
    return {pid for (pid,) in rows}
