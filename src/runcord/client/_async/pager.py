"""Walks through a list page by page, so that nobody needs to handle a cursor."""

from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from runcord.client._async.connection import AsyncConnection
from runcord.client.page import Page
from runcord.client.request import Request

T = TypeVar("T")


class AsyncPager(Generic[T]):
    """Iterate over all items of a list.

    Pages are fetched when they are reached; each iteration begins anew. The request names the type of one item.
    """

    def __init__(self, connection: AsyncConnection, request: Request[T]) -> None:
        self._connection = connection
        self._request = request

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Iterate over the pages."""
        request = self._request
        while True:
            page = await self._connection.page(request)
            yield page
            if page.next_cursor is None:
                return
            request = request.at(page.next_cursor)

    async def first(self) -> Page[T]:
        """Return the first page alone; give its cursor to a later call to go on from there."""
        return await self._connection.page(self._request)

    async def collect(self) -> list[T]:
        """Return all items of all pages."""
        return [item async for item in self]
