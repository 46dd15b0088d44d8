"""One HTTP exchange with an endpoint: a request, its answer or why there is none, and how long each step took.

Every exchange has a connection of its own: its address is checked each time, a connection that the endpoint has
closed meanwhile is never used, and the trace tells the whole truth. Redirects are not followed, proxies of the
environment are not used, certificates are verified (`SSL_CERT_FILE` and `SSL_CERT_DIR` name other authorities).
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpcore2
import httpx2

from runcord.clock import monotonic
from runcord.dispatch.addresses import AddressGuard
from runcord.dispatch.dialling import AddressRefused, GuardedBackend, Resolve, resolve

CONNECT_SECS = 10.0
"""How long resolving the name, connecting and the TLS handshake may each take."""

MAX_RESULT = 1024 * 1024
MAX_EXCERPT = 4096
"""As much of an answer that holds no result is read."""


@dataclass(frozen=True)
class Reply:
    """What the endpoint answered. `body` is None when it is larger than a result may be."""

    status: int
    headers: Mapping[str, str]
    """By lower-case names."""
    body: bytes | None


@dataclass(frozen=True)
class NoReply:
    """Why there is no answer."""

    error_class: str
    message: str


@dataclass
class Timings:
    """Seconds that the steps took so far."""

    began: float = field(default_factory=monotonic)
    connected: float | None = None
    answered: float | None = None
    ended: float | None = None

    async def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of an event of the HTTP library."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self.connected = monotonic()
        elif event == "http11.receive_response_headers.complete":
            self.answered = monotonic()

    @property
    def connect_secs(self) -> float:
        """From the beginning to the connection, or to the end of the attempt to make one."""
        return (self.connected or self.ended or self.began) - self.began

    @property
    def ttfb_secs(self) -> float:
        """From the connection to the answer's head, or to the end of waiting for it."""
        return 0.0 if self.connected is None else (self.answered or self.ended or self.connected) - self.connected

    @property
    def transfer_secs(self) -> float:
        """From the answer's head to its last byte."""
        return 0.0 if self.answered is None or self.ended is None else self.ended - self.answered

    @property
    def whole_secs(self) -> float:
        """From the beginning to the end."""
        return (self.ended or self.began) - self.began


@dataclass(frozen=True)
class Exchange:
    """What came of a request, and when."""

    outcome: Reply | NoReply
    timings: Timings

    @property
    def status(self) -> int | None:
        """The status of the answer, if there is one."""
        return self.outcome.status if isinstance(self.outcome, Reply) else None


class Line:
    """Sends requests to whatever endpoints the guard permits."""

    def __init__(self, guard: AddressGuard, resolve: Resolve = resolve) -> None:
        self._backend = GuardedBackend(guard, resolve)
        self._ssl_context: ssl.SSLContext | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Exchange:
        """Send a request and read its answer, for at most `timeout` seconds. Never raises but when cancelled."""
        timings = Timings()
        outcome: Reply | NoReply
        try:
            async with asyncio.timeout(timeout):
                outcome = await self._post(url, headers, body, timings)
        except (TimeoutError, httpcore2.ReadTimeout, httpcore2.WriteTimeout):
            outcome = NoReply("timeout", f"no complete answer within the {timeout:g} seconds that the attempt had left")
        except AddressRefused as error:
            outcome = NoReply("address", str(error))
        except (httpx2.InvalidURL, httpcore2.UnsupportedProtocol) as error:
            outcome = NoReply("address", f"the endpoint's URL cannot be used: {error}")
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
            outcome = NoReply("connection", f"cannot connect: {str(error) or type(error).__name__}")
        except (httpcore2.NetworkError, httpcore2.RemoteProtocolError) as error:
            when = "before its answer" if timings.answered is None else "in the middle of its answer"
            outcome = NoReply("transient", f"the connection broke {when}{f': {error}' if str(error) else ''}")
        except (httpcore2.ProtocolError, OSError) as error:
            outcome = NoReply("unknown", f"{type(error).__name__}: {error}")
        timings.ended = monotonic()
        return Exchange(outcome, timings)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes, timings: Timings) -> Reply:
        parsed = httpx2.URL(url)
        target = httpcore2.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path)
        lines = [(b"Host", parsed.netloc), *((name.encode(), value.encode("ascii")) for name, value in headers.items())]
        extensions = {"timeout": {"connect": CONNECT_SECS}, "trace": timings.note}
        ssl_context = await self._trusted() if parsed.scheme == "https" else None
        async with (
            httpcore2.AsyncHTTPConnection(target.origin, ssl_context, network_backend=self._backend) as connection,
            connection.stream("POST", target, headers=lines, content=body, extensions=extensions) as response,
        ):
            received = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            holds_result = 200 <= response.status < 300 and response.status != 202
            answer = await _read(response, MAX_RESULT if holds_result else MAX_EXCERPT, whole=holds_result)
        return Reply(response.status, received, answer)

    async def _trusted(self) -> ssl.SSLContext:
        """Return the authorities that are trusted; reading them takes a tenth of a second, so it is done once."""
        if self._ssl_context is None:
            self._ssl_context = await asyncio.to_thread(httpcore2.default_ssl_context)
        return self._ssl_context


async def _read(response: httpcore2.Response, limit: int, *, whole: bool) -> bytes | None:
    """Return the body; of one beyond the limit nothing if it is wanted whole, else its beginning."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            return None if whole else b"".join(chunks)[:limit]
    return b"".join(chunks)
