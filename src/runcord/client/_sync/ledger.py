# Made from _async/ledger.py by tools/generate_client.py: edit that file.
"""Calls about the project's ledger: every event of every run, in one order."""

from collections.abc import Mapping, Sequence

from runcord.client._sync.connection import Connection
from runcord.client._sync.pager import Pager
from runcord.client._sync.stream import EventStream
from runcord.client.models import LedgerEvent
from runcord.client.request import QueryValue, Request, path


class Ledger:
    """Read the ledger, or follow it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def events(
        self,
        *,
        after: int = 0,
        types: Sequence[str] = (),
        run_id: str | None = None,
        job: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 1000,
    ) -> Pager[LedgerEvent]:
        """Iterate over the events after a position, in order, up to the ledger's present end.

        `types` are names such as `run.retried`; `job` (id or slug) means the job and its runs; `tags` are those that
        a run has now, and all must be there.
        """
        query = _query(types, run_id, job, tags) | {"after": after, "limit": page_size}
        request = Request("GET", path("v1", "events"), LedgerEvent, query=query, repeatable=True)
        return Pager(self._connection, request)

    def follow(
        self,
        *,
        after: int = 0,
        types: Sequence[str] = (),
        run_id: str | None = None,
        job: str | None = None,
        tags: Mapping[str, str] | None = None,
        patience: float = 60.0,
    ) -> EventStream[LedgerEvent]:
        """Follow the ledger: iterate over the events after a position, then over what is recorded, without end.

        The choice is as for `events`. A lost connection is made again without loss or repetition; an error is raised
        when that did not succeed for `patience` seconds.
        """
        request = Request("GET", path("v1", "events"), LedgerEvent, query=_query(types, run_id, job, tags))
        return EventStream(self._connection, request, after, patience)


def _query(
    types: Sequence[str], run_id: str | None, job: str | None, tags: Mapping[str, str] | None
) -> dict[str, QueryValue]:
    labels = [f"{key}:{value}" for key, value in (tags or {}).items()]
    return {"types": list(types) or None, "run_id": run_id, "job": job, "tag": labels or None}
