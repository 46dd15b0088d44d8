"""What stands between clients and servers and does not last: connections that are cut, or that end by themselves."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from functools import partial

from anyio.from_thread import start_blocking_portal

from runcord.testing.server import ServerProcess


class Proxy:
    """Passes connections on to whichever server is up, and cuts them all when it is told to."""

    def __init__(self, servers: Sequence[ServerProcess], dice: random.Random, lifetime_secs: float | None) -> None:
        self._servers = servers
        self._dice = dice
        self._lifetime_secs = lifetime_secs
        self._open: set[asyncio.StreamWriter] = set()
        self.cuts = 0
        self.expired = 0
        """How many connections have come to the end of the time that they are given."""
        self.base_url = ""

    def cut(self) -> None:
        """Close all connections, in the midst of whatever they carry."""
        self.cuts += len(self._open)
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        self._open.add(writer)
        try:
            async with asyncio.timeout(self._lifetime_secs):
                with contextlib.suppress(ConnectionError):
                    await self._connect(reader, writer)
        except TimeoutError:
            self.expired += 1
        finally:
            writer.transport.abort()
            self._open.discard(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up = await asyncio.open_connection("127.0.0.1", self._dice.choice(self._servers).port)
        self._open.add(up[1])
        try:
            await asyncio.gather(self._carry(reader, up[1]), self._carry(up[0], writer))
        finally:
            up[1].transport.abort()
            self._open.discard(up[1])

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def proxied(
    servers: Sequence[ServerProcess], dice: random.Random, lifetime_secs: float | None = None
) -> AsyncGenerator[Proxy]:
    """Stand between clients and servers; with `lifetime_secs`, end each connection after so long, idle or not."""
    proxy = Proxy(servers, dice, lifetime_secs)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()
        proxy.cut()


@contextlib.contextmanager
def proxied_beside(
    server: ServerProcess, lifetime_secs: float | None = None
) -> Generator[tuple[Proxy, Callable[[], None]]]:
    """Do the same for a test that is not asynchronous, which gets what cuts all connections as well."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(proxied([server], random.Random(0), lifetime_secs)) as proxy,
    ):
        yield proxy, partial(portal.call, proxy.cut)
