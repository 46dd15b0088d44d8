# Made from _async/pager.py by tools/generate_client.py: edit that file.
"""Walks through a list page by page, so that nobody needs to handle a cursor."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from runcord.client._sync.connection import Connection
from runcord.client.page import Page
from runcord.client.request import Request

T = TypeVar("T")


class Pager(Generic[T]):
    """Iterate over all items of a list.

    Pages are fetched when they are reached; each iteration begins anew. The request names the type of one item.
    """

    def __init__(self, connection: Connection, request: Request[T]) -> None:
        self._connection = connection
        self._request = request

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[Page[T]]:
        """Iterate over the pages."""
        request = self._request
        while True:
            page = self._connection.page(request)
            yield page
            if page.next_cursor is None:
                return
            request = request.at(page.next_cursor)

    def first(self) -> Page[T]:
        """Return the first page alone; give its cursor to a later call to go on from there."""
        return self._connection.page(self._request)

    def collect(self) -> list[T]:
        """Return all items of all pages."""
        return list(self)
