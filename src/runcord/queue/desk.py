"""The claim desk: where workers wait for runs.

A worker that finds nothing stands in line until runs become claimable, by a commit anywhere or because their time
has come. Only as many workers are woken as there are runs, in the order in which they came.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from runcord.clock import monotonic
from runcord.errors import RuncordError
from runcord.handling.runs import CommandRuns
from runcord.ledger.committer import Committed, Committer
from runcord.ledger.hub import Hub
from runcord.ledger.transaction import Context, Row
from runcord.queue.claims import ClaimedRun, ClaimRuns
from runcord.run.commands import Claim, Release
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/queue.sql")

RECHECK_SECS = 5.0
"""How often somebody who waits looks without having been woken: a safety net under the wake-ups."""


class ClaimDesk:
    """Gives runs to workers, and lets them wait."""

    def __init__(self, committer: Committer, hub: Hub, pool: AsyncConnectionPool[psycopg.AsyncConnection[Row]]) -> None:
        self._committer = committer
        self._hub = hub
        self._pool = pool
        self._waiting: Counter[str] = Counter()
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._returns: set[asyncio.Task[None]] = set()

    async def take(self, project_id: str, claim: ClaimRuns, wait_secs: float) -> Committed:
        """Claim runs, waiting up to `wait_secs` for the first; the value is a list of `ClaimedRun`, maybe empty.

        A caller that is cancelled takes nothing: a claim that was under way is given back when it has come.
        """
        deadline = monotonic() + wait_secs
        while True:
            signals = self._hub.signals(project_id)
            committed = await self._claim(project_id, claim)
            left = deadline - monotonic()
            if committed.value or left <= 0:
                return committed
            # What became claimable while the claim was under way (in its own group, even) woke nobody here.
            if self._hub.signals(project_id) == signals:
                await self._stand_in_line(project_id, min(left, RECHECK_SECS))

    async def give_back(self, project_id: str, context: Context, claimed: Sequence[ClaimedRun]) -> None:
        """Queue runs again that nobody came to fetch; what cannot be given back now comes back with its lease."""
        releases = [
            (one.run.run_id, Release("the worker went away", claim=Claim(one.run.attempt, one.run.fence)))
            for one in claimed
        ]
        try:
            await self._committer.execute(project_id, CommandRuns(context, releases))
        except RuncordError as error:
            log.warning("claims_not_given_back", count=len(releases), error=error.message)

    async def close(self) -> None:
        """Return when all that was to be given back has been."""
        await asyncio.gather(*self._returns)

    async def _claim(self, project_id: str, claim: ClaimRuns) -> Committed:
        execution = asyncio.ensure_future(self._committer.execute(project_id, claim))
        try:
            return await asyncio.shield(execution)
        except asyncio.CancelledError:
            task = asyncio.create_task(self._return(project_id, claim.context, execution))
            self._returns.add(task)
            task.add_done_callback(self._returns.discard)
            raise

    async def _return(self, project_id: str, context: Context, execution: "asyncio.Future[Committed]") -> None:
        try:
            claimed = (await execution).value
        except RuncordError:
            return
        if claimed:
            await self.give_back(project_id, context, claimed)

    async def _stand_in_line(self, project_id: str, timeout: float) -> None:
        self._waiting[project_id] += 1
        if project_id not in self._watches:
            self._watches[project_id] = asyncio.create_task(self._watch(project_id))
        try:
            await self._hub.ready(project_id, timeout)
        finally:
            self._waiting[project_id] -= 1
            if not self._waiting[project_id]:
                del self._waiting[project_id]
                self._watches.pop(project_id).cancel()

    async def _watch(self, project_id: str) -> None:
        """Wake those who wait when a queued run's time comes: a retry, say. One watch for each project."""
        while True:
            seen = self._hub.position(project_id)
            try:
                async with self._pool.connection() as conn:
                    row = await (await conn.execute(SQL["next_due"], {"project_id": project_id})).fetchone()
            except (psycopg.Error, PoolTimeout) as error:
                log.warning("claim_desk_waits", error=str(error).strip())
                row = None
            due = None if row is None or row[0] is None else float(row[0])
            if due is not None and due < RECHECK_SECS:
                if not await self._hub.moved(project_id, seen, due + 0.001):
                    self._hub.advance(project_id, seen, self._waiting[project_id])
            else:
                await self._hub.moved(project_id, seen, RECHECK_SECS)
