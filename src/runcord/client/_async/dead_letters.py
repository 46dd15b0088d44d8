"""Calls about dead letters: why they lie in the queue, what became of them, and which are alike."""

from datetime import datetime
from typing import Literal

from runcord.client._async.connection import AsyncConnection
from runcord.client._async.pager import AsyncPager
from runcord.client.models import DeadLetter, DeadLetterGroup
from runcord.client.request import Request, path

DeadLetterState = Literal["waiting", "left", "all"]


class AsyncDeadLetters:
    """Look at dead letters, one by one or by what went wrong.

    `state` says which: those that lie in the queue (`waiting`), those that have left it to be tried again, or all. With
    a position of the ledger, or a time: as it was then.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    def list(
        self,
        *,
        state: DeadLetterState | None = None,
        job_id: str | None = None,
        fingerprint: str | None = None,
        position: int | None = None,
        at: datetime | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPager[DeadLetter]:
        """Iterate over dead letters, newest first: each round of a run that ended in the queue, with its errors."""
        query = {
            "state": state,
            "job_id": job_id,
            "fingerprint": fingerprint,
            "position": position,
            "at": at,
            "limit": page_size,
            "cursor": cursor,
        }
        request = Request("GET", path("v1", "dead-letters"), DeadLetter, query=query, repeatable=True)
        return AsyncPager(self._connection, request)

    def groups(
        self,
        *,
        state: DeadLetterState | None = None,
        job_id: str | None = None,
        position: int | None = None,
        at: datetime | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPager[DeadLetterGroup]:
        """Iterate over groups of dead letters with like errors, the largest first."""
        query = {
            "state": state,
            "job_id": job_id,
            "position": position,
            "at": at,
            "limit": page_size,
            "cursor": cursor,
        }
        target = path("v1", "dead-letters", "groups")
        return AsyncPager(self._connection, Request("GET", target, DeadLetterGroup, query=query, repeatable=True))
