"""Streams whose readers cost nothing while they are idle: a socket, and the one task that serves its request.

The task waits for the client to go away, and is woken when there is something to send.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runcord.clock import monotonic
from runcord.errors import Unavailable
from runcord.http.sse import BEGINNING, END, HEADERS, KEEPALIVE, MEDIA_TYPE, RECHECK_SECS, IsPermitted

_RETRY_SECS = 0.5
"""How soon a database that is away is asked again."""


class Listened(Protocol):
    """Something that tells when it has news."""

    def listen(self, wake: Callable[[], None] | None) -> None:
        """Call `wake`, and nobody else, when something has come to be read."""
        ...


class Source(Listened, Protocol):
    """What a stream sends."""

    @property
    def has_news(self) -> bool:
        """Whether there may be something to read."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether everything was read, and nothing can come."""
        ...

    async def read(self) -> bytes:
        """Return the next frames; none if there are none yet, or the search goes on.

        Raises:
            Unavailable: they cannot be read now.
        """
        ...


OpenSource = Callable[[], AbstractAsyncContextManager[Source]]


class QuietStream(Response):
    """Sends what a source has, as it comes, and a comment whenever there was silence for too long.

    It ends when the source does; and when the client is gone, when it is not permitted any more, and when the server is
    to stop: then without `END`.
    """

    def __init__(
        self, open_source: OpenSource, headers: Mapping[str, str], *, keepalive_secs: float, is_permitted: IsPermitted
    ) -> None:
        super().__init__(None, 200, {**headers, **HEADERS}, MEDIA_TYPE)
        del self.headers["content-length"]
        self._open = open_source
        self._keepalive_secs = keepalive_secs
        self._is_permitted = is_permitted
        self._permitted_at = monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            await _send_body(send, BEGINNING)
            # A stream that cannot begin is one that was cut: its client comes back.
            with contextlib.suppress(Unavailable):
                async with self._open() as source:
                    await self._stream(source, receive, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stream(self, source: Source, receive: Receive, send: Send) -> None:
        spoke_at = monotonic()
        while True:
            if monotonic() - self._permitted_at >= RECHECK_SECS:
                if not await self._is_permitted():
                    return
                self._permitted_at = monotonic()
            pause = 0.0
            try:
                frames = await source.read()
            except Unavailable:
                frames, pause = b"", _RETRY_SECS
            if not frames and monotonic() - spoke_at >= self._keepalive_secs:
                frames = KEEPALIVE
            if frames:
                await _send_body(send, frames)
                spoke_at = monotonic()
            if source.is_over:
                await _send_body(send, END)
                return
            if not pause and not source.has_news:
                pause = max(0.0, spoke_at + self._keepalive_secs - monotonic())
            if await is_gone(source, receive, pause):
                return


async def is_gone(source: Listened, receive: Receive, seconds: float) -> bool:
    """Wait until a source has news, for so long at the most; return whether the client went away meanwhile.

    A server that is to stop says of all clients that they are gone.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds) as waiting:
            source.listen(lambda: None if waiting.expired() else waiting.reschedule(loop.time()))
            while (await receive())["type"] != "http.disconnect":
                pass
        return True
    except TimeoutError:
        return False
    finally:
        source.listen(None)


async def _send_body(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})
