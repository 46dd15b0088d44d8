"""Documents are answered alike by way of the server's exchange and by ASGI's messages, whatever the client is like."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from runcord.http.body import read_body
from runcord.http.document import EXCHANGE, USUAL, Document, exchange_of
from runcord.http.protocol import BoundedConfig, BoundedHeadProtocol
from runcord.http.request import Request

pytestmark = pytest.mark.anyio

CALL = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"


class Wire(asyncio.Transport):
    """A connection whose client keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Connection:
    """A connection to an application, in this process."""

    def __init__(self, app: ASGIApp) -> None:
        config = BoundedConfig(app, head_secs=5, log_config=None, access_log=False)
        config.load()
        self._state = ServerState()
        self.wire = Wire()
        self.protocol = BoundedHeadProtocol(config, self._state, {})
        self.protocol.connection_made(self.wire)

    async def send(self, *pieces: bytes) -> bytes:
        """Send pieces one by one, and return the answer."""
        for piece in pieces:
            self.protocol.data_received(piece)
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while tasks := list(self._state.tasks):  # one answer may begin the next request
                await asyncio.gather(*tasks)
        return b"".join(self.wire.sent)

    def close(self) -> None:
        self.protocol.connection_lost(None)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what was sent."""
    request = Request(scope, receive, send)
    body = await read_body(request, 100, 5.0)
    await Document(200, USUAL, {"x-own": request.fields.get("x-own", "none")}, body)(scope, receive, send)


async def echo_by_messages(scope: Scope, receive: Receive, send: Send) -> None:
    """Do the same on a server that knows of no exchange."""
    await echo({**scope, "extensions": {}}, receive, send)


async def answer_of(app: ASGIApp, *pieces: bytes) -> tuple[bytes, bool, int]:
    """Return what an application answers, whether it hangs up then, and how often it has written."""
    connection = Connection(app)
    try:
        answer = await connection.send(*pieces)
        return answer, connection.wire.is_closed, len(connection.wire.sent)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "pieces",
    [
        (CALL,),
        (CALL[:-5], b"hel", b"lo"),
        (CALL[:20], CALL[20:]),
        (CALL.replace(b"POST", b"HEAD"),),
        (CALL.replace(b"Host: x", b"Connection: close"),),
        (CALL.replace(b"HTTP/1.1", b"HTTP/1.0"),),
        (CALL.replace(b"Content-Length: 5", b"Expect: 100-continue\r\nContent-Length: 5"),),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",),
        (b"GET /x HTTP/1.1\r\nX-Own: first\r\nX-Own: second\r\n\r\n",),
    ],
    ids=["whole", "late body", "late head", "head", "close", "http/1.0", "continue", "chunked", "twice"],
)
async def test_both_ways_say_the_same(pieces: tuple[bytes, ...]) -> None:
    at_once, hangs_up, writes = await answer_of(echo, *pieces)
    by_messages, hung_up, _ = await answer_of(echo_by_messages, *pieces)
    said = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert lines_of(at_once.removeprefix(said)) == lines_of(by_messages.removeprefix(said))
    assert hangs_up == hung_up
    assert writes == 1
    assert b" 200 OK\r\n" in at_once


def lines_of(answer: bytes) -> tuple[list[bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return sorted(head.split(b"\r\n")), body


async def test_requests_that_come_together_are_answered_in_turn() -> None:
    connection = Connection(echo)
    answers = await connection.send(CALL + CALL.replace(b"hello", b"world") + CALL)
    connection.close()
    assert [answer[-5:] for answer in answers.split(b"HTTP/1.1 ")[1:]] == [b"hello", b"world", b"hello"]


async def test_a_client_that_does_not_read_holds_its_answer_up_and_no_other() -> None:
    connection, other = Connection(echo), Connection(echo)
    connection.protocol.pause_writing()
    connection.protocol.data_received(CALL)
    assert b"hello" in await other.send(CALL)
    assert connection.wire.sent == []
    connection.protocol.resume_writing()
    assert b"hello" in await connection.send()
    connection.close()
    other.close()


async def test_a_body_in_pieces_that_is_too_large_is_refused() -> None:
    refused: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await echo(scope, receive, send)
        except Exception as error:
            refused.append(error)
            await Document(413, USUAL, {}, b"{}")(scope, receive, send)

    pieces = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"a\r\n0123456789\r\n" * 11 + b"0\r\n\r\n"
    answer, *_ = await answer_of(app, pieces)
    assert answer.startswith(b"HTTP/1.1 413 ") and len(refused) == 1


async def test_once_the_body_was_taken_nothing_is_received_until_the_client_is_gone() -> None:
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        assert exchange is not None and not exchange.is_heard
        assert exchange.take_body() == b"hello" and exchange.is_heard
        heard.append((await receive())["type"])

    connection = Connection(app)
    connection.protocol.data_received(CALL)
    for _ in range(5):
        await asyncio.sleep(0)
    assert heard == []
    connection.close()
    await connection.send()
    assert heard == ["http.disconnect"]


@pytest.mark.parametrize("headers", [{"x-bad": "a\r\nb: c"}, {"x-bad": "a\0"}])
async def test_a_header_that_would_be_two_is_not_sent(headers: dict[str, str]) -> None:
    raised: list[type[BaseException]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await Document(200, USUAL, dict(headers), b"{}")(scope, receive, send)
        except ValueError as error:
            raised.append(type(error))
            await Document(500, USUAL, {}, b"{}")(scope, receive, send)

    answer, *_ = await answer_of(app, CALL)
    assert raised == [ValueError] and answer.startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize(
    ("make", "content_type"),
    [
        (lambda: Document(200, USUAL, {}, b"{}"), b"application/json"),
        (lambda: Document(200, USUAL, {"content-type": "text/plain"}, b"{}"), b"text/plain"),
        (lambda: Document(204, USUAL, {}, None), None),
    ],
)
async def test_a_document_says_what_it_is(make: Callable[[], Document], content_type: bytes | None) -> None:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        raise AssertionError("there is nothing to receive")

    await make()({"type": "http", "method": "GET", "extensions": {EXCHANGE: None}}, receive, send)
    start, body = messages
    assert dict(start["headers"]).get(b"content-type") == content_type
    assert (b"content-length" in dict(start["headers"])) == (content_type is not None)
    assert body["body"] == (b"{}" if content_type else b"")
