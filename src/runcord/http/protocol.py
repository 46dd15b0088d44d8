"""HTTP/1.1 with request heads that are bounded in size and time, and answers that are written at once.

The parser alone would take a header line without end, and keep it; and nobody would ever close a connection on which
nothing is asked, or half a question.
"""

import asyncio
from typing import Any, cast

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from runcord.errors import Invalid, RuncordError
from runcord.http.body import RequestTimeout
from runcord.http.document import EXCHANGE, SECURITY_HEADERS, dump
from runcord.http.problems import problem
from runcord.ids import new_id

LARGEST_HEAD_BYTES = 64 * 1024
"""How much of a request line and headers is taken before the connection is closed; what arrives at once may be more."""

_CLOSE = b"connection: close\r\n"

_TOO_LATE = "the request line and headers did not arrive in time: send them at once"


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration for `BoundedHeadProtocol`, with the seconds that a request head may take to arrive."""

    def __init__(self, app: Any, *, head_secs: float, **options: Any) -> None:
        super().__init__(app, http=BoundedHeadProtocol, **options)
        self.head_secs = head_secs


class BoundedHeadProtocol(HttpToolsProtocol):
    """Closes a connection whose request head has become larger than `LARGEST_HEAD_BYTES`, with 400.

    So it does one whose head does not come within `head_secs`: with 408 if it has begun, without a word if nothing was
    sent at all. The time runs from the connection's beginning, or from the first byte after an answer; drops of a
    head, or of a body that was answered before it had come, do not make it longer. How long a connection may be idle
    between two requests is uvicorn's `timeout_keep_alive`.
    """

    config: BoundedConfig
    _in_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._await_no_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):  # pyright: ignore[reportUnnecessaryComparison]
            self._await_head()
        self._head_bytes = self._head_bytes + len(data) if self._in_head else 0
        if self._head_bytes > LARGEST_HEAD_BYTES:
            self.send_400_response(f"The request line and headers are larger than {LARGEST_HEAD_BYTES:,} bytes.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin its body."""
        self._in_head = False
        self._await_no_head()
        super().on_headers_complete()
        # The task that answers has been made, and has not begun.
        cast(Scope, self.scope)["extensions"] = {EXCHANGE: CycleExchange(self.cycle)}

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.config.head_secs, self._give_up)

    def _await_no_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        if self.transport.is_closing():
            return
        if self._in_head:
            self._refuse(RequestTimeout(_TOO_LATE), 408)
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read as a request, and close the connection."""
        self._refuse(Invalid(msg), 400)
        self.transport.close()

    def _refuse(self, error: RuncordError, status: int) -> None:
        """Answer in the form of all refusals, though there is no request yet."""
        request_id = new_id("req")
        body = dump(problem(error, request_id, status))
        headers = {**SECURITY_HEADERS, "X-Request-ID": request_id, "Content-Type": "application/json"}
        headers |= {"Content-Length": str(len(body)), "Connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[status] + f"{lines}\r\n".encode("ascii") + body)


class CycleExchange:
    """The exchange of one of uvicorn's cycles, in which it keeps a request and its answer."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

        self.is_heard = False
        """Whether the body was taken."""

    @property
    def is_answered(self) -> bool:
        """Whether an answer has begun."""
        return self._cycle.response_started

    def take_body(self) -> bytes | None:
        """Return the request's body if all of it is there."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        cycle.message_event.clear()
        cycle.flow.resume_reading()
        self.is_heard = True
        return body

    def answer(self, status: int, head: bytes, body: bytes) -> bool:
        """Send a whole answer, unless one has begun or the client is too slow to take more."""
        cycle = self._cycle
        if cycle.response_started or cycle.flow.write_paused or cycle.disconnected:
            return False
        usual = b"".join([b"%b: %b\r\n" % pair for pair in cycle.default_headers])
        if _CLOSE in head:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            usual += _CLOSE
        sent = b"" if cycle.scope["method"] == "HEAD" else body
        cycle.transport.write(b"".join([STATUS_LINE[status], usual, head, b"\r\n", sent]))
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True
