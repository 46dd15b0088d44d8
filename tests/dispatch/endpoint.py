"""A real endpoint on loopback that answers as it is told, byte for byte."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET

import orjson


@dataclass(frozen=True)
class Request:
    """What arrived. Headers are by lower-case names."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def attempt(self) -> int:
        """Which attempt was sent."""
        return int(self.headers["x-attempt"])


Script = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Endpoint:
    """Where it listens, what it was sent so far, and what it answers from now on."""

    url: str
    script: Script
    requests: list[Request] = field(default_factory=list[Request])
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request has arrived."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has gone away while its request was worked on."""


def answering(status: int, body: object = b"", **headers: str) -> Script:
    """Return a script that answers at once; a body that is not bytes is sent as JSON."""
    return in_turn((status, body, headers))


def in_turn(*answers: tuple[int, object, dict[str, str]]) -> Script:
    """Return a script that gives one answer after the other, and the last one from then on."""
    left = list(answers)

    async def script(_: Request, writer: asyncio.StreamWriter) -> None:
        status, body, headers = left.pop(0) if len(left) > 1 else left[0]
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        lines = {"Content-Length": str(len(content)), **{n.replace("_", "-"): v for n, v in headers.items()}}
        head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(head.encode() + b"\r\n" + content)
        await writer.drain()

    return script


async def hanging(_: Request, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def dribbling(_: Request, writer: asyncio.StreamWriter) -> None:
    """Answer with a byte now and then, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def resetting(_: Request, writer: asyncio.StreamWriter) -> None:
    """Break the connection in the middle of an answer."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"half":')
    await writer.drain()
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def babbling(_: Request, writer: asyncio.StreamWriter) -> None:
    """Answer in no protocol."""
    writer.write(b"220 smtp.example.com ready\r\n\r\n")
    await writer.drain()


@contextlib.asynccontextmanager
async def open_endpoint(script: Script, host: str = "127.0.0.1") -> AsyncGenerator[Endpoint]:
    """Open an endpoint; all that it works on is dropped at the end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(task := asyncio.current_task())
        try:
            request = await _read(reader)
            endpoint.requests.append(request)
            endpoint.begun.set()
            work = asyncio.ensure_future(endpoint.script(request, writer))
            leaving = asyncio.ensure_future(reader.read())
            try:
                await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    endpoint.left.set()
                else:
                    work.result()
            finally:
                work.cancel()
                leaving.cancel()
                await asyncio.gather(work, leaving, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    tasks: set[asyncio.Task[None] | None] = set()
    server = await asyncio.start_server(serve, host, 0)
    port = server.sockets[0].getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    endpoint = Endpoint(f"http://{shown}:{port}/run", script)
    try:
        yield endpoint
    finally:
        server.close()
        for task in list(tasks):
            if task is not None:
                task.cancel()
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(first.split(" ")[1], headers, body)
