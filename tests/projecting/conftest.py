"""Runs on record, and a way to read them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
import pytest

from runcord.ledger.mapper import encode
from runcord.projecting.time_travel import Read
from runcord.testing.ledger import PROJECT, Entry, append, open_project

P = ParamSpec("P")
T = TypeVar("T")


class Ledger:
    """A ledger to write events to, and to run the read functions on."""

    def __init__(self, dsn: str, conn: psycopg.Connection[Any]) -> None:
        self._dsn = dsn
        self._conn = conn
        self._versions: dict[str, int] = {}

    def record(self, run_id: str, *events: Any) -> None:
        """Append events to a run."""
        version = self._versions.get(run_id, 0)
        entries = [Entry(run_id, version + n, encode(event), event.TYPE) for n, event in enumerate(events, 1)]
        append(self._conn, *entries)
        self._versions[run_id] = version + len(events)

    def ask(
        self,
        function: Callable[Concatenate[Read, str, P], Coroutine[Any, Any, T] | Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a read function for the project of this ledger."""

        async def ask() -> T:
            async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as conn:

                async def read(statement: bytes, params: Any) -> list[tuple[Any, ...]]:
                    return await (await conn.execute(statement, params)).fetchall()

                return await function(read, PROJECT, *args, **kwargs)

        return asyncio.run(ask())


@pytest.fixture
def ledger(dsn: str) -> Iterator[Ledger]:
    """An empty ledger."""
    open_project(dsn)
    with psycopg.connect(dsn, autocommit=True) as conn:
        yield Ledger(dsn, conn)
