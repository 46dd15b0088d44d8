# Made from _async/stream.py by tools/generate_client.py: edit that file.
"""Follows a stream of the server's, through lost connections and restarts of the server."""

import random
import time
from collections.abc import Iterator
from typing import Generic, TypeVar

from runcord import clock
from runcord.client._sync.connection import Connection
from runcord.client.errors import RateLimitedError, ServerError, TransportError
from runcord.client.request import Request
from runcord.client.sse import FrameReader

T = TypeVar("T")

FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0


class EventStream(Generic[T]):
    """Iterate over a stream: what there is already, then what comes, each item once and in order.

    A lost connection is made again and the stream goes on after the last item: nothing is lost, nothing repeated.
    `last_id` is that item's id, None before the first of a stream that begins with the present: give it as `after` to
    go on from there another time. The iteration ends when the
    server says that nothing more will come; it raises the last error once no server could be reached for
    `patience` seconds, and at once what coming back would not mend (NotFoundError, say).
    """

    def __init__(self, connection: Connection, request: Request[T], after: int | None, patience: float) -> None:
        self._connection = connection
        self._request = request
        self._patience = patience
        self.last_id = after

    def __iter__(self) -> Iterator[T]:
        lost_at, tries = clock.monotonic(), 0
        while True:
            reader = FrameReader()
            try:
                request = self._request.after(self.last_id)
                with self._connection.stream(request) as pieces:
                    for piece in pieces:
                        lost_at, tries = clock.monotonic(), 0
                        for frame in reader.feed(piece):
                            item = request.parse(200, frame.data)
                            self.last_id = int(frame.id)
                            yield item
            except (TransportError, ServerError, RateLimitedError) as error:
                if clock.monotonic() - lost_at > self._patience:
                    raise
                wait = error.retry_after
            else:
                wait = None
            if reader.ended:
                return
            tries += 1
            delay = min(FIRST_DELAY * 2 ** min(tries - 1, 10), LONGEST_DELAY) * (0.5 + random.random() / 2)
            time.sleep(min(max(delay, wait or 0.0), self._patience))
