"""Calls about bulk triggers that were made."""

from runcord.client._async.connection import AsyncConnection
from runcord.client._async.pager import AsyncPager
from runcord.client.models import BatchOperation
from runcord.client.request import Request, path


class AsyncBatches:
    """See what was triggered at once. `client.runs.list(batch_id=…)` lists the runs of a batch."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    def list(self, *, page_size: int | None = None, cursor: str | None = None) -> AsyncPager[BatchOperation]:
        """Iterate over the batches, newest first."""
        query = {"limit": page_size, "cursor": cursor}
        request = Request("GET", path("v1", "batch-operations"), BatchOperation, query=query, repeatable=True)
        return AsyncPager(self._connection, request)

    async def get(self, batch_id: str) -> BatchOperation:
        """Return a batch. Raises NotFoundError."""
        return await self._connection.send(
            Request("GET", path("v1", "batch-operations", batch_id), BatchOperation, repeatable=True)
        )
