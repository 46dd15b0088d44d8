"""Calls about events that runs wait for."""

from typing import Any, Literal

from runcord.client._async.connection import AsyncConnection
from runcord.client._async.pager import AsyncPager
from runcord.client._async.stream import AsyncEventStream
from runcord.client.models import EventStats, EventTrigger, PurgedWaits, SentToPrefix
from runcord.client.request import Request, given, path

WaitStatus = Literal["waiting", "received", "timed_out", "canceled"]


class AsyncEvents:
    """Send the events that runs wait for, and see who waits."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def send(self, key: str, payload: Any = None) -> EventTrigger:
        """Send an event to the run that waits for `key`. Sending the same payload again does nothing.

        Raises NotFoundError when no run waits for the key, ConflictError when another payload was received for it.
        """
        request = Request(
            "POST", path("v1", "events", key, "send"), EventTrigger, body=given(payload=payload), repeatable=True
        )
        return await self._connection.send(request)

    async def send_to_prefix(self, prefix: str, payload: Any = None) -> SentToPrefix:
        """Send one event to all runs that wait for keys beginning with `prefix`, at most 1,000 of them.

        When the answer was lost the call is repeated: the event then reaches those that have begun to wait since.
        """
        request = Request(
            "POST",
            path("v1", "events", "prefix", prefix, "send"),
            SentToPrefix,
            body=given(payload=payload),
            repeatable=True,
        )
        return await self._connection.send(request)

    async def get(self, key: str) -> EventTrigger:
        """Return the wait for `key`, or the latest one that is over. Raises NotFoundError."""
        return await self._connection.send(Request("GET", path("v1", "events", key), EventTrigger, repeatable=True))

    def stream(self, key: str, *, after: int = 0, patience: float = 60.0) -> AsyncEventStream[EventTrigger]:
        """Follow the wait for `key`: that it began, and how it ended. Raises NotFoundError.

        A lost connection is made again, for `patience` seconds.
        """
        request = Request("GET", path("v1", "events", key, "stream"), EventTrigger)
        return AsyncEventStream(self._connection, request, after, patience)

    def list(
        self, *, status: WaitStatus | None = None, page_size: int | None = None, cursor: str | None = None
    ) -> AsyncPager[EventTrigger]:
        """Iterate over the waits, newest first: of each key the latest."""
        query = {"status": status, "limit": page_size, "cursor": cursor, "envelope": False}
        return AsyncPager(
            self._connection, Request("GET", path("v1", "events"), EventTrigger, query=query, repeatable=True)
        )

    async def cancel(self, key: str) -> EventTrigger:
        """Call off the wait for `key`: its run is cancelled. Raises NotFoundError, ConflictError when it is over."""
        return await self._connection.send(Request("DELETE", path("v1", "events", key), EventTrigger))

    async def stats(self) -> EventStats:
        """Return how many waits there are by status; purged ones are not among them."""
        return await self._connection.send(Request("GET", path("v1", "events", "stats"), EventStats, repeatable=True))

    async def purge(self, older_than_days: int, *, dry_run: bool = False) -> PurgedWaits:
        """List waits no more that have been over for so many days, or only count them."""
        body = given(older_than_days=older_than_days, dry_run=dry_run)
        request = Request("POST", path("v1", "events", "purge"), PurgedWaits, body=body, repeatable=True)
        return await self._connection.send(request)
