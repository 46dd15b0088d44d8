"""Server-sent events: frames, and the response that sends them for as long as it takes.

What is sent can be read by line readers of all kinds: one line of data for each frame, in which nothing stands that
anybody takes for the end of a line. The format is that of the HTML standard, section 9.2.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runcord.errors import Invalid
from runcord.http.request import Request

MEDIA_TYPE = "text/event-stream"

RETRY_MS = 1000
"""How soon a client that lost its connection should come back."""

BEGINNING = b"retry: %d\n\n" % RETRY_MS
KEEPALIVE = b": keepalive\n\n"
END = b": end\n\n"
"""Says that nothing more will come; a stream that ends without it was cut, and is to be resumed."""

HEADERS: Mapping[str, str] = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Proxies must neither keep a stream nor hold it back."""

Blocks = Callable[[], AsyncGenerator[bytes]]
"""Makes the frames of a stream, one or several to a block."""

IsPermitted = Callable[[], Awaitable[bool]]
"""Asks whether the client may still see the stream."""

RECHECK_SECS = 1.0
"""How often that is asked."""

_MOST_DIGITS = 18

# JSON escapes the control characters by itself. Python's splitlines breaks lines at these as well.
_LINE_BREAKS = ((b"\xc2\x85", rb"\u0085"), (b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"))


def frames(numbered: Iterable[tuple[int, Mapping[str, Any]]]) -> bytes:
    """Return the frames of events: the number of each, to resume after, and its data as JSON."""
    return one_line(
        b"".join(
            b"id: %d\ndata: %b\n\n" % (number, orjson.dumps(data, option=orjson.OPT_UTC_Z)) for number, data in numbered
        )
    )


def one_line(json: bytes) -> bytes:
    """Return JSON in which no character stands that some reader takes for the end of a line."""
    for character, escaped in _LINE_BREAKS:
        json = json.replace(character, escaped)
    return json


def last_event_id(request: Request) -> int | None:
    """Return the number after which a client resumes that reconnects by itself, None if it does not.

    Raises:
        Invalid: the header holds something that is never sent as an id.
    """
    given = request.fields.get("last-event-id", "").strip()
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS):
        raise Invalid("Last-Event-ID must be the id of a frame of this stream: a whole number")
    return int(given)


class EventStream(Response):
    """Sends the blocks of a stream as they come, and a comment whenever there was silence for too long.

    It ends when the blocks do; and when the client is gone, when it is not permitted any more, and when the server is
    to stop: then without `END`.
    """

    def __init__(
        self, blocks: Blocks, headers: Mapping[str, str], *, keepalive_secs: float, is_permitted: IsPermitted
    ) -> None:
        super().__init__(None, 200, {**headers, **HEADERS}, MEDIA_TYPE)
        del self.headers["content-length"]
        self._blocks = blocks
        self._keepalive_secs = keepalive_secs
        self._is_permitted = is_permitted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            await self._stream(receive, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stream(self, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        tasks = (sending, asyncio.create_task(_gone(receive)), asyncio.create_task(self._forbidden()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _forbidden(self) -> None:
        """Return when the client is not permitted any more."""
        while True:
            await asyncio.sleep(RECHECK_SECS)
            if not await self._is_permitted():
                return

    async def _send(self, send: Send) -> None:
        await _send_body(send, BEGINNING)
        async with aclosing(self._blocks()) as blocks:
            while True:
                block = asyncio.ensure_future(anext(blocks, None))
                try:
                    while not (await asyncio.wait((block,), timeout=self._keepalive_secs))[0]:
                        await _send_body(send, KEEPALIVE)
                finally:
                    await _settled(block)
                content = block.result()
                if content is None:
                    break
                await _send_body(send, content)
        await _send_body(send, END)


async def _settled(block: "asyncio.Future[bytes | None]") -> None:
    """Leave no step of a generator running: it could not be closed."""
    if not block.done():
        block.cancel()
        await asyncio.gather(block, return_exceptions=True)


async def _send_body(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def _gone(receive: Receive) -> None:
    """Return when the client has gone away, or the server is to stop."""
    while (await receive())["type"] != "http.disconnect":
        pass
