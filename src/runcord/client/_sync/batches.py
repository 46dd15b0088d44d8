# Made from _async/batches.py by tools/generate_client.py: edit that file.
"""Calls about bulk triggers that were made."""

from runcord.client._sync.connection import Connection
from runcord.client._sync.pager import Pager
from runcord.client.models import BatchOperation
from runcord.client.request import Request, path


class Batches:
    """See what was triggered at once. `client.runs.list(batch_id=…)` lists the runs of a batch."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, page_size: int | None = None, cursor: str | None = None) -> Pager[BatchOperation]:
        """Iterate over the batches, newest first."""
        query = {"limit": page_size, "cursor": cursor}
        request = Request("GET", path("v1", "batch-operations"), BatchOperation, query=query, repeatable=True)
        return Pager(self._connection, request)

    def get(self, batch_id: str) -> BatchOperation:
        """Return a batch. Raises NotFoundError."""
        return self._connection.send(
            Request("GET", path("v1", "batch-operations", batch_id), BatchOperation, repeatable=True)
        )
