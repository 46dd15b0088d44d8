"""Two server processes on one database, runs to be followed there, and readers of streams that may be cut anywhere."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson
import pytest

from runcord.client.sse import FrameReader
from runcord.clock import monotonic
from runcord.testing.postgres import TestServer
from runcord.testing.server import ServerProcess

DEADLINE = 15.0


@dataclass
class Stream:
    """What was received of a stream so far."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    raw: bytearray = field(default_factory=bytearray)
    frames: list[tuple[int, dict[str, Any]]] = field(default_factory=list[tuple[int, dict[str, Any]]])
    ended: bool = False
    """Whether the server said that nothing more will come."""
    closed: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ids(self) -> list[int]:
        return [number for number, _ in self.frames]

    @property
    def types(self) -> list[str]:
        return [data["event_type"] for _, data in self.frames]

    async def until(self, count: int) -> None:
        """Wait until so many frames have come."""
        async with asyncio.timeout(DEADLINE):
            while len(self.frames) < count:
                self.changed.clear()
                await self.changed.wait()

    async def until_closed(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while not self.closed:
                self.changed.clear()
                await self.changed.wait()


class Caller:
    """Speaks to one server."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.http = httpx2.AsyncClient(
            base_url=server.base_url,
            headers=server.headers,
            timeout=30,
            limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=50),
        )

    async def call(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self.http.request(method, path, json=body, headers=headers)

    async def done(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
        answer = await self.call(method, path, body, token=token)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def working(self, **job: Any) -> "Work":
        """Return a run at work."""
        slug = f"job-{next(_NUMBERS)}"
        made = await self.done("POST", "/v1/jobs", {"name": slug, "slug": slug, **job})
        run = await self.done("POST", f"/v1/jobs/{made['id']}/trigger", {"payload": {"n": 1}})
        return await self.take(run["id"])

    async def take(self, run_id: str) -> "Work":
        body = {"worker_id": "w", "run_id": run_id, "start": True}
        (claim,) = (await self.done("POST", "/v1/runs/dequeue", body))["data"]
        return Work(self, run_id, claim["run_token"])

    @contextlib.asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncGenerator[Stream]:
        """Open a stream and receive it in the background; leaving the block cuts the connection."""
        stream = Stream()
        receiving = asyncio.create_task(self._receive(stream, path, headers))
        try:
            async with asyncio.timeout(DEADLINE):
                while not stream.status:
                    await stream.changed.wait()
                    stream.changed.clear()
            yield stream
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    async def read(self, path: str, **headers: str) -> Stream:
        """Return a stream that ends, whole."""
        async with self.stream(path, **headers) as stream:
            await stream.until_closed()
            return stream

    async def _receive(self, stream: Stream, path: str, headers: dict[str, str]) -> None:
        reader = FrameReader()
        try:
            async with self.http.stream("GET", path, headers=headers) as answer:
                stream.status, stream.headers = answer.status_code, dict(answer.headers)
                stream.changed.set()
                async for piece in answer.aiter_bytes():
                    stream.raw += piece
                    for frame in reader.feed(piece):
                        stream.frames.append((int(frame.id), orjson.loads(frame.data)))
                    stream.ended = reader.ended
                    stream.changed.set()
        finally:
            stream.closed = True
            stream.changed.set()


@dataclass
class Work:
    """A run that this worker has claimed."""

    caller: Caller
    run_id: str
    token: str

    async def call(self, verb: str, body: Any = None) -> Any:
        return await self.caller.call("POST", f"/sdk/v1/runs/{self.run_id}/{verb}", body or {}, token=self.token)

    async def say(self, verb: str, body: Any = None) -> Any:
        answer = await self.call(verb, body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def log(self, message: str, data: Any = None) -> None:
        await self.say("log", {"message": message, "data": data})

    async def chunk(self, chunk: str, **members: Any) -> None:
        await self.say("stream", {"chunk": chunk, **members})

    @property
    def events(self) -> str:
        return f"/v1/runs/{self.run_id}/stream"

    @property
    def chunks(self) -> str:
        return f"/v1/runs/{self.run_id}/stream/chunks"


async def eventually(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Wait until a condition holds."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "the condition did not come to hold"
        await asyncio.sleep(0.01)


_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def servers(postgres: TestServer, template_database: str) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """Two processes that serve the same ledgers. They say that they live four times a second."""
    dsn = postgres.create_database(template=template_database)
    settings = {"RUNCORD_STREAM_KEEPALIVE_SECS": "0.25", "RUNCORD_REALTIME_HOLD_SECS": "1"}
    with ServerProcess(dsn, settings) as one, ServerProcess(dsn, settings) as two:
        yield one, two
    postgres.drop_database(dsn)


@contextlib.asynccontextmanager
async def calling(*servers: ServerProcess) -> AsyncGenerator[list[Caller]]:
    """Speak to servers."""
    callers = [Caller(server) for server in servers]
    try:
        yield callers
    finally:
        for caller in callers:
            await caller.http.aclose()
