# Made from _async/client.py by tools/generate_client.py: edit that file.
"""The client: one connection and the calls over it, by subject."""

from typing import Self

import httpx2

from runcord.client._sync.batches import Batches
from runcord.client._sync.bulk import Bulk
from runcord.client._sync.connection import Connection
from runcord.client._sync.dead_letters import DeadLetters
from runcord.client._sync.events import Events
from runcord.client._sync.jobs import Jobs
from runcord.client._sync.keys import Keys
from runcord.client._sync.ledger import Ledger
from runcord.client._sync.projections import Projections
from runcord.client._sync.runs import Runs
from runcord.client._sync.tags import Tags
from runcord.client._sync.tokens import Tokens
from runcord.client._sync.worker import WorkerCalls
from runcord.client.configuration import configure


class Client:
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
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._connection = Connection(configure(base_url, api_key, timeout, retries, connections), transport)
        self.jobs = Jobs(self._connection)
        self.runs = Runs(self._connection)
        self.bulk = Bulk(self._connection)
        self.worker = WorkerCalls(self._connection)
        self.events = Events(self._connection)
        self.keys = Keys(self._connection)
        self.tokens = Tokens(self._connection)
        self.batches = Batches(self._connection)
        self.tags = Tags(self._connection)
        self.dead_letters = DeadLetters(self._connection)
        self.ledger = Ledger(self._connection)
        self.projections = Projections(self._connection)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
