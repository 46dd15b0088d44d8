# Made from _async/dead_letters.py by tools/generate_client.py: edit that file.
"""Calls about dead letters: why they lie in the queue, what became of them, and which are alike."""

from datetime import datetime
from typing import Literal

from runcord.client._sync.connection import Connection
from runcord.client._sync.pager import Pager
from runcord.client.models import DeadLetter, DeadLetterGroup
from runcord.client.request import Request, path

DeadLetterState = Literal["waiting", "left", "all"]


class DeadLetters:
    """Look at dead letters, one by one or by what went wrong.

    `state` says which: those that lie in the queue (`waiting`), those that have left it to be tried again, or all. With
    a position of the ledger, or a time: as it was then.
    """

    def __init__(self, connection: Connection) -> None:
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
    ) -> Pager[DeadLetter]:
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
        return Pager(self._connection, request)

    def groups(
        self,
        *,
        state: DeadLetterState | None = None,
        job_id: str | None = None,
        position: int | None = None,
        at: datetime | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Pager[DeadLetterGroup]:
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
        return Pager(self._connection, Request("GET", target, DeadLetterGroup, query=query, repeatable=True))
