"""The floor of the appends: the least code that commits single requests in groups, an event and a state row each."""

import asyncio
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import orjson
import psycopg

from runcord.sql import load
from runcord_bench.load import PAYLOAD

SQL = load("runcord_bench", "floor.sql")


def prepare(dsn: str) -> str:
    """Give the database the floor's schema."""
    with psycopg.connect(dsn) as conn:
        conn.execute((files("runcord_bench") / "floor_schema.sql").read_bytes())
    return dsn


class GroupCommit:
    """One thread, one connection, one statement for all that was asked for while the one before was under way."""

    def __init__(self, dsn: str) -> None:
        self._conn = psycopg.connect(dsn, autocommit=True)
        self._waiting: deque[tuple[uuid.UUID, bytes, asyncio.Future[None]]] = deque()
        self._asked = threading.Event()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="floor", daemon=True)
        self._thread.start()

    async def append(self, data: bytes | None = None) -> None:
        """Record a new run, with `PAYLOAD` unless something else is given, and return when that is durable."""
        future = self._loop.create_future()
        self._waiting.append((uuid.uuid4(), orjson.dumps(PAYLOAD) if data is None else data, future))
        self._asked.set()
        await future

    def close(self) -> None:
        """End the thread, when nothing is asked for any more."""
        self._closing = True
        self._asked.set()
        self._thread.join()
        self._conn.close()

    def _serve(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._closing:
                return
            group = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not group:
                continue
            run_ids, data, futures = zip(*group, strict=True)
            self._conn.execute(SQL["append"], {"run_ids": list(run_ids), "data": list(data)})
            self._loop.call_soon_threadsafe(_resolve, futures)


@contextmanager
def group_commit(dsn: str) -> Iterator[GroupCommit]:
    """Run the floor's writer. To be used in a coroutine."""
    writer = GroupCommit(dsn)
    try:
        yield writer
    finally:
        writer.close()


def _resolve(futures: "tuple[asyncio.Future[None], ...]") -> None:
    for future in futures:
        future.set_result(None)
