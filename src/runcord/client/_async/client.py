"""The client: one connection and the calls over it, by subject."""

from typing import Self

import httpx2

from runcord.client._async.batches import AsyncBatches
from runcord.client._async.bulk import AsyncBulk
from runcord.client._async.connection import AsyncConnection
from runcord.client._async.dead_letters import AsyncDeadLetters
from runcord.client._async.events import AsyncEvents
from runcord.client._async.jobs import AsyncJobs
from runcord.client._async.keys import AsyncKeys
from runcord.client._async.ledger import AsyncLedger
from runcord.client._async.projections import AsyncProjections
from runcord.client._async.runs import AsyncRuns
from runcord.client._async.tags import AsyncTags
from runcord.client._async.tokens import AsyncTokens
from runcord.client._async.worker import AsyncWorkerCalls
from runcord.client.configuration import configure


class AsyncClient:
    """Speak to a Runcord server.

    `base_url` and `api_key` default to `RUNCORD_BASE_URL` and `RUNCORD_API_KEY`. `timeout` (seconds) is for one
    try, `retries` for what is safe to repeat, `connections` bounds the pool, `transport` replaces the network.
    Raises ConfigurationError when there is no address or no key. Close it, or use it in a `with` statement.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 2,
        connections: int = 100,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._connection = AsyncConnection(configure(base_url, api_key, timeout, retries, connections), transport)
        self.jobs = AsyncJobs(self._connection)
        self.runs = AsyncRuns(self._connection)
        self.bulk = AsyncBulk(self._connection)
        self.worker = AsyncWorkerCalls(self._connection)
        self.events = AsyncEvents(self._connection)
        self.keys = AsyncKeys(self._connection)
        self.tokens = AsyncTokens(self._connection)
        self.batches = AsyncBatches(self._connection)
        self.tags = AsyncTags(self._connection)
        self.dead_letters = AsyncDeadLetters(self._connection)
        self.ledger = AsyncLedger(self._connection)
        self.projections = AsyncProjections(self._connection)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
