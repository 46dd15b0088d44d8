"""The calls of a worker: take runs, settle attempts, speak for one attempt. Most users want `runcord.worker`."""

from collections.abc import Sequence

from runcord.client._async.attempt import AsyncAttempt
from runcord.client._async.connection import AsyncConnection
from runcord.client.models import Claim, Claims, Settled, SettledMany
from runcord.client.options import Settlement
from runcord.client.request import Request, given, path


class AsyncWorkerCalls:
    """Take runs and report on them, with the API key's scope `runs:work`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def dequeue(
        self,
        worker_id: str,
        *,
        jobs: Sequence[str] | None = None,
        queues: Sequence[str] | None = None,
        run_id: str | None = None,
        limit: int = 1,
        wait_secs: float = 0,
        lease_secs: int = 60,
        start: bool = False,
    ) -> list[Claim]:
        """Claim up to `limit` runs; with nothing due, wait up to `wait_secs` for some.

        Never repeated by itself after a lost answer: what it may have claimed comes back when its lease ends.
        """
        body = given(
            worker_id=worker_id,
            jobs=jobs,
            queues=queues,
            run_id=run_id,
            limit=limit,
            wait_secs=wait_secs,
            lease_secs=lease_secs,
            start=start,
        )
        request = Request("POST", path("v1", "runs", "dequeue"), Claims, body=body, patience=wait_secs)
        return (await self._connection.send(request)).data

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Report the ends of up to 1,000 attempts; the answers are in their order, each on its own.

        Repeating a completion does no harm; a repeated failure is refused as stale and changes nothing.
        """
        request = Request(
            "POST",
            path("v1", "runs", "settle"),
            SettledMany,
            body={"settlements": list(settlements)},
            repeatable=True,
        )
        return (await self._connection.send(request)).results

    def attempt(self, run_id: str, token: str | None = None, *, number: int | None = None) -> AsyncAttempt:
        """Return the calls about one attempt. Without its run token they use the API key; `number` fences them."""
        return AsyncAttempt(self._connection, run_id, token, number)
