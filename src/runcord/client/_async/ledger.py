"""Calls about the project's ledger: every event of every run, in one order."""

from collections.abc import Mapping, Sequence

from runcord.client._async.connection import AsyncConnection
from runcord.client._async.pager import AsyncPager
from runcord.client._async.stream import AsyncEventStream
from runcord.client.models import LedgerEvent
from runcord.client.request import QueryValue, Request, path


class AsyncLedger:
    """Read the ledger, or follow it."""

    def __init__(self, connection: AsyncConnection) -> None:
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
    ) -> AsyncPager[LedgerEvent]:
        """Iterate over the events after a position, in order, up to the ledger's present end.

        `types` are names such as `run.retried`; `job` (id or slug) means the job and its runs; `tags` are those that
        a run has now, and all must be there.
        """
        query = _query(types, run_id, job, tags) | {"after": after, "limit": page_size}
        request = Request("GET", path("v1", "events"), LedgerEvent, query=query, repeatable=True)
        return AsyncPager(self._connection, request)

    def follow(
        self,
        *,
        after: int = 0,
        types: Sequence[str] = (),
        run_id: str | None = None,
        job: str | None = None,
        tags: Mapping[str, str] | None = None,
        patience: float = 60.0,
    ) -> AsyncEventStream[LedgerEvent]:
        """Follow the ledger: iterate over the events after a position, then over what is recorded, without end.

        The choice is as for `events`. A lost connection is made again without loss or repetition; an error is raised
        when that did not succeed for `patience` seconds.
        """
        request = Request("GET", path("v1", "events"), LedgerEvent, query=_query(types, run_id, job, tags))
        return AsyncEventStream(self._connection, request, after, patience)


def _query(
    types: Sequence[str], run_id: str | None, job: str | None, tags: Mapping[str, str] | None
) -> dict[str, QueryValue]:
    labels = [f"{key}:{value}" for key, value in (tags or {}).items()]
    return {"types": list(types) or None, "run_id": run_id, "job": job, "tag": labels or None}
