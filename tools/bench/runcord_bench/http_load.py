"""Load over HTTP: connections that send one request after the other, at next to no cost to whoever measures.

As a process of its own (`PORT KEY PATH BODY CONNECTIONS SECONDS`) it keeps its connections busy and says what they did.
"""

import asyncio
import sys
from typing import cast

import uvloop

from runcord_bench.load import closed_loop
from runcord_bench.process import Process, ProcessFailed, say, wait_to_begin
from runcord_bench.sampling import Sample

HOST = "127.0.0.1"

_LATEST_SECS = 30.0


class Connection(asyncio.Protocol):
    """One connection. It knows as much of HTTP as it takes to tell one answer from the next."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[int] | None = None
        self._received = b""
        self._transport: asyncio.Transport

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Return a connection to a server of this machine."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, HOST, port)
        return connection

    async def send(self, request: bytes) -> bytes:
        """Send a request and return the body of its answer.

        Raises:
            ProcessFailed: the answer is no success, or the server has hung up.
        """
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        status = await self._answer
        if not 200 <= status < 300:
            raise ProcessFailed(f"a request was refused with {status}: {self._received[:500].decode()}")
        _, _, body = self._received.partition(b"\r\n\r\n")
        self._received = b""
        return body

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer the one who waits, when an answer is there as a whole."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if blank and self._answer is not None and not self._answer.done():
            [length] = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if len(body) >= int(length):
                self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the one who waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ProcessFailed("the server hung up"))


def post(path: str, key: str, body: bytes) -> bytes:
    """Return a request as it is sent."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def result(process: Process, seconds: float) -> tuple[Sample, int]:
    """Return what a process that has begun to load a server says when it has done."""
    said = process.read(seconds + _LATEST_SECS)
    return Sample(said["rate"], said["latencies"]), said["answered"]


def main(port: str, key: str, path: str, body: str, connections: str, seconds: str) -> None:
    """Wait until it is time, keep the connections busy, and say what they did."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        free = runner.run(opened(int(port), int(connections)))
        wait_to_begin()
        request, answered = post(path, key, body.encode()), 0

        async def send() -> None:
            nonlocal answered
            connection = free.pop()
            await connection.send(request)
            free.append(connection)
            answered += 1

        sample = runner.run(closed_loop(len(free), float(seconds), send))
        say({"rate": sample.rate, "latencies": list(sample.latencies), "answered": answered})


async def opened(port: int, count: int) -> list[Connection]:
    """Return so many connections to a server of this machine."""
    return [await Connection.open(port) for _ in range(count)]


if __name__ == "__main__":
    main(*sys.argv[1:])
