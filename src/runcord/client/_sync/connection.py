# Made from _async/connection.py by tools/generate_client.py: edit that file.
"""Sends requests: one connection pool, one policy of retries."""

import random
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx2

from runcord.client.configuration import Configuration
from runcord.client.errors import RuncordClientError, TransportError, error_from_answer
from runcord.client.page import Page
from runcord.client.request import Request

T = TypeVar("T")

SILENCE_SECS = 40.0
"""A stream that says nothing for so long is lost: the server sends a comment every 15 seconds at the least."""


class Connection:
    """Send requests to one server with one API key."""

    def __init__(self, configuration: Configuration, transport: httpx2.BaseTransport | None = None) -> None:
        self._configuration = configuration
        self._http = httpx2.Client(
            base_url=configuration.base_url,
            timeout=configuration.timeout,
            transport=transport,
            limits=httpx2.Limits(
                max_connections=configuration.connections, max_keepalive_connections=configuration.connections
            ),
        )

    def send(self, request: Request[T]) -> T:
        """Return the answer to `request`, trying again as the policy allows. Raises RuncordClientError."""
        answer = self._answer(request)
        return request.parse(answer.status_code, answer.content)

    def page(self, request: Request[T]) -> Page[T]:
        """Return one page of a list of what the request answers."""
        answer = self._answer(request)
        items = request.parse_many(answer.status_code, answer.content)
        return Page(items, answer.headers.get("X-Next-Cursor"))

    @contextmanager
    def stream(self, request: Request[T]) -> Generator[Iterator[bytes]]:
        """Open a stream, once, and give the pieces that come. Raises RuncordClientError, also when it breaks off.

        The server is never silent for as long as `SILENCE_SECS`.
        """
        timeout = httpx2.Timeout(self._configuration.timeout, read=SILENCE_SECS)
        headers = self._headers(request, "text/event-stream")
        try:
            with self._http.stream(
                request.method, request.path, params=request.parameters(), headers=headers, timeout=timeout
            ) as answer:
                if not answer.is_success:
                    content = answer.read()
                    raise error_from_answer(answer.status_code, answer.headers, content, request.call)
                yield answer.iter_bytes()
        except httpx2.RequestError as cause:
            raise TransportError(f"{request.call} was cut off: {cause or type(cause).__name__}") from cause

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _answer(self, request: Request[T]) -> httpx2.Response:
        content = request.content()
        tries = 0
        while True:
            tries += 1
            try:
                return self._try(request, content)
            except RuncordClientError as error:
                delay = self._configuration.policy.delay(request, error, tries, random.random())
                if delay is None:
                    raise
            time.sleep(delay)

    def _try(self, request: Request[T], content: bytes | None) -> httpx2.Response:
        headers = self._headers(request, "application/json")
        if content is not None:
            headers["Content-Type"] = "application/json"
        timeout = self._configuration.timeout
        try:
            answer = self._http.request(
                request.method,
                request.path,
                params=request.parameters(),
                content=content,
                headers=headers,
                timeout=httpx2.Timeout(timeout, read=timeout + request.patience),
            )
        except httpx2.RequestError as cause:
            never_sent = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
            raise TransportError(
                f"{request.call} got no answer: {cause or type(cause).__name__}", sent=not never_sent
            ) from cause
        if not answer.is_success:
            raise error_from_answer(answer.status_code, answer.headers, answer.content, request.call)
        return answer

    def _headers(self, request: Request[T], accepted: str) -> dict[str, str]:
        authorization = f"Bearer {request.token or self._configuration.api_key}"
        return {"Authorization": authorization, "Accept": accepted, **request.headers}
