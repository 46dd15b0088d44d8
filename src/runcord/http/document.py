"""Answers that are one document, which is what nearly all requests get.

They are written at once, by way of the server's `Exchange` if there is one: the two messages in which ASGI would have
them cost a server more than all the rest that it does for a request.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol

import orjson
from starlette.types import Receive, Scope, Send

from runcord.http.cors import HEADERS as CORS_HEADERS

JSON = "application/json"

SECURITY_HEADERS: Mapping[str, str] = {
    "X-API-Version": "v1",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

_UNPRINTABLE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def dump(body: Any) -> bytes:
    """Return JSON bytes; times in RFC 3339, UTC, with `Z`."""
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)


class Exchange(Protocol):
    """One request and its answer, as the server has them: what ASGI has no words for."""

    @property
    def is_answered(self) -> bool:
        """Whether an answer has begun."""
        ...

    @property
    def is_heard(self) -> bool:
        """Whether `take_body` has returned the request's body, so that nothing of it is left to receive."""
        ...

    def take_body(self) -> bytes | None:
        """Return the request's body if all of it is there; None if it is still to be received."""
        ...

    def answer(self, status: int, head: bytes, body: bytes) -> bool:
        """Send a whole answer; the head is lines that end as lines do. False if that is not possible just now."""
        ...


def exchange_of(scope: Scope) -> Exchange | None:
    """Return what the server has put beside a request."""
    return scope.get("extensions", {}).get(EXCHANGE)


EXCHANGE = "runcord.exchange"
"""Where it puts that, among the extensions of the scope."""


class Standing:
    """Headers that all answers of a kind have."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        own = {name.lower(): value for name, value in headers.items()}
        self.pairs = _pairs(own)
        self.lines = _lines(own)


def _pairs(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _lines(headers: Mapping[str, str]) -> bytes:
    """Return headers as they are written.

    Raises:
        ValueError: one has a line end in it, or something else that no header may have.
    """
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("latin-1")
    if _UNPRINTABLE.search(lines) or not lines.count(b"\r") == lines.count(b"\n") == len(headers):
        raise ValueError("a header of an answer is not printable")
    return lines


USUAL = Standing(SECURITY_HEADERS)
ACROSS_ORIGINS = Standing({**SECURITY_HEADERS, **CORS_HEADERS})
"""For answers that pages of any origin may read."""


class Document:
    """The response with a JSON document, or with no body at all. Names of `headers` are in lower case."""

    def __init__(self, status: int, standing: Standing, headers: MutableMapping[str, str], body: bytes | None) -> None:
        self._status = status
        self._standing = standing
        self._body = body or b""
        self.headers = headers
        """Those beside the standing ones."""
        if body is not None:
            headers["content-length"] = str(len(body))
            headers.setdefault("content-type", JSON)

    def is_sent_at_once(self, scope: Scope) -> bool:
        """Answer the request by way of the server's exchange; False if there is none, or it cannot just now.

        Raises:
            ValueError: a header has a line end in it, or something else that no header may have.
        """
        head = self._standing.lines + _lines(self.headers)
        exchange = exchange_of(scope)
        return exchange is not None and exchange.answer(self._status, head, self._body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises as `is_sent_at_once` does."""
        if not self.is_sent_at_once(scope):
            headers = [*self._standing.pairs, *_pairs(self.headers)]
            await send({"type": "http.response.start", "status": self._status, "headers": headers})
            await send({"type": "http.response.body", "body": self._body})
