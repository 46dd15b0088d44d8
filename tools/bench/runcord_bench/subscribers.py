"""Subscribers of a server: very many streams on one event loop, each with no more than a socket and a parser."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

from runcord.clock import monotonic
from runcord_bench.process import ProcessFailed
from runcord_bench.server import Server

OPENED_AT_ONCE = 100


@dataclass
class Deliveries:
    """What subscribers were sent of the runs that were triggered: positions by subscriber, and how long it took.

    A run that says of the time when it was triggered that it was before the clock began is counted, and not timed.
    """

    latencies: list[float] = field(default_factory=list[float])
    seen: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    count: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)


class _Reader(asyncio.Protocol):
    """Reads one stream. A run's payload says when its trigger was sent."""

    def __init__(self, number: int, target: str, server: Server, deliveries: Deliveries) -> None:
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number = number
        self._target = target
        self._server = server
        self._deliveries = deliveries
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        host = urlsplit(self._server.base_url).netloc
        head = f"GET {self._target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {self._server.api_key}\r\n\r\n"
        transport.write(head.encode())

    def data_received(self, data: bytes) -> None:
        now = monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                self._take(orjson.loads(line[6:]), now)
            elif line.startswith(b"id: "):
                self._deliveries.seen.setdefault(self._number, []).append(int(line[4:]))
            elif line.startswith(b"retry: ") and not self.begun.done():
                self.begun.set_result(None)
            elif line.startswith(b"HTTP/1.1 ") and not line.startswith(b"HTTP/1.1 200") and not self.begun.done():
                self.begun.set_exception(ProcessFailed(f"a subscription was refused: {data.decode()}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.begun.done():
            self.begun.set_exception(ProcessFailed("a subscription was cut before it began"))

    def _take(self, run: dict[str, dict[str, float]], now: float) -> None:
        self._deliveries.count += 1
        if run["payload"]["at"] >= 0:
            self._deliveries.latencies.append(now - run["payload"]["at"])
        self._deliveries.came.set()


@asynccontextmanager
async def subscribed(server: Server, tags: Sequence[str]) -> AsyncGenerator[Deliveries]:
    """Hold a subscription open for each of some tags: to what comes, and not to what there is."""
    deliveries = Deliveries()
    transports: list[asyncio.BaseTransport] = []
    parts = urlsplit(server.base_url)
    host, port = parts.hostname or "", parts.port or 80
    [(head, *_)] = server.conn.execute("select max(position) from ledger_heads").fetchall()
    try:
        for first in range(0, len(tags), OPENED_AT_ONCE):
            opened = await asyncio.gather(
                *(
                    _open(host, port, number, f"/v1/subscribe?tag={tag}&after={head}", server, deliveries)
                    for number, tag in enumerate(tags[first : first + OPENED_AT_ONCE], first)
                )
            )
            transports += opened
        yield deliveries
    finally:
        for transport in transports:
            transport.close()


async def _open(
    host: str, port: int, number: int, target: str, server: Server, deliveries: Deliveries
) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    transport, reader = await loop.create_connection(lambda: _Reader(number, target, server, deliveries), host, port)
    await reader.begun
    return transport
