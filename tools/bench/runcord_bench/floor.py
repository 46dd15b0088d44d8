"""The floor: the least code that commits what single callers ask for in groups, with every event and a state row."""

import asyncio
import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Generic, TypeVar

import orjson
import psycopg

from runcord.sql import load
from runcord_bench.load import PAYLOAD
from runcord_bench.report import Check

SQL = load("runcord_bench", "floor.sql")

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


def prepare(dsn: str) -> str:
    """Give the database the floor's schema."""
    with psycopg.connect(dsn) as conn:
        conn.execute((files("runcord_bench") / "floor_schema.sql").read_bytes())
    return dsn


class Grouped(Generic[Asked, Answered]):
    """One thread and one connection, which answer together all that was asked meanwhile."""

    def __init__(
        self, dsn: str, answer: Callable[[psycopg.Connection[Any], Sequence[Asked]], Sequence[Answered]]
    ) -> None:
        self._conn = psycopg.connect(dsn, autocommit=True)
        self._answer = answer
        self._waiting: deque[tuple[Asked, asyncio.Future[Answered]]] = deque()
        self._asked = threading.Event()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="floor", daemon=True)
        self._thread.start()

    async def ask(self, asked: Asked) -> Answered:
        """Return the answer, when what it says is durable."""
        future = self._loop.create_future()
        self._waiting.append((asked, future))
        self._asked.set()
        return await future

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
            asked, futures = zip(*group, strict=True)
            try:
                answers = self._answer(self._conn, asked)
            except psycopg.Error as error:
                self._loop.call_soon_threadsafe(_fail, futures, error)
            else:
                self._loop.call_soon_threadsafe(_resolve, futures, answers)


class GroupCommit(Grouped[bytes, None]):
    """Appends single runs, as many in one statement as there are."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, _append)

    async def append(self, data: bytes | None = None) -> None:
        """Record a new run, with `PAYLOAD` unless something else is given, and return when that is durable."""
        await self.ask(orjson.dumps(PAYLOAD) if data is None else data)


def append(conn: psycopg.Connection[Any], data: Sequence[bytes]) -> None:
    """Record new runs in one statement."""
    conn.execute(SQL["append"], {"run_ids": [uuid.uuid4() for _ in data], "data": list(data)})


def position(conn: psycopg.Connection[Any]) -> int:
    """Return how many events there are."""
    [(found,)] = conn.execute(SQL["position"]).fetchall()
    return found


def check_whole(conn: psycopg.Connection[Any]) -> Check:
    """Count the runs whose record is not four events and a completed state."""
    [(wrong,)] = conn.execute(SQL["unfinished"]).fetchall()
    return Check("the floor keeps the same record", f"{wrong} runs without their four events", wrong == 0)


def _append(conn: psycopg.Connection[Any], data: Sequence[bytes]) -> Sequence[None]:
    append(conn, data)
    return [None] * len(data)


def _resolve(futures: Sequence[asyncio.Future[Any]], answers: Sequence[Any]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        future.set_result(answer)


def _fail(futures: Sequence[asyncio.Future[Any]], error: psycopg.Error) -> None:
    for future in futures:
        future.set_exception(error)
