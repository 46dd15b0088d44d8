# Made from _async/tags.py by tools/generate_client.py: edit that file.
"""Calls about tags: which there are, and how many runs have each."""

from datetime import datetime

from runcord.client._sync.connection import Connection
from runcord.client._sync.pager import Pager
from runcord.client.models import TagCount
from runcord.client.request import Request, path


class Tags:
    """Look at the tags of the project's runs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(
        self,
        *,
        key: str | None = None,
        value: str | None = None,
        prefix: str | None = None,
        position: int | None = None,
        at: datetime | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Pager[TagCount]:
        """Iterate over tags by key and value, with how many runs have each, by status.

        With a key: those of one value, or whose value begins with a prefix. With a position of the ledger, or a time:
        the tags that runs had then.
        """
        query = {
            "key": key,
            "value": value,
            "prefix": prefix,
            "position": position,
            "at": at,
            "limit": page_size,
            "cursor": cursor,
        }
        return Pager(self._connection, Request("GET", path("v1", "tags"), TagCount, query=query, repeatable=True))
