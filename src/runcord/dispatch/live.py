"""The attempts whose requests are under way in this process: their leases are kept, and those that are over aborted."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog

from runcord.errors import RuncordError
from runcord.ledger.statements import Touch
from runcord.queue.claims import ClaimedRun
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.sql import load
from runcord_projections.run_view.projection import CODEC
from runcord_projections.run_view.projection import SQL as RUN_VIEW

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/queue.sql")

BEATS = 6
"""So many heartbeats to a lease: five may be lost."""

_GOES_ON = frozenset(
    {Status.DEQUEUED, Status.EXECUTING, Status.WAITING, Status.COMPLETED, Status.FAILED, Status.DEAD_LETTER}
)
"""While a run is one of these, in the same claim, its request may go on: it works, or has just reported by itself."""


@dataclass(eq=False)
class Live:
    """An attempt whose request is under way. `is_over` says that it was aborted because the attempt had ended."""

    project_id: str
    claimed: ClaimedRun
    task: "asyncio.Task[Any] | None" = None
    is_over: bool = False

    @property
    def job(self) -> tuple[str, str]:
        """The job, by project and id."""
        return self.project_id, self.claimed.run.job_id

    def abort(self) -> None:
        """End the request: nobody waits for its answer any more."""
        self.is_over = True
        if self.task is not None:
            self.task.cancel()


class LiveAttempts:
    """Keeps the leases of live attempts. Belongs to one event loop."""

    def __init__(self, touch: Touch, lease_secs: float) -> None:
        self._touch = touch
        self._lease_secs = lease_secs
        self._live: dict[str, Live] = {}
        self._any = asyncio.Event()

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._live

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self._live.values()))

    def count(self) -> Counter[tuple[str, str]]:
        """Return how many there are of each job."""
        return Counter(live.job for live in self._live.values())

    def add(self, live: Live) -> None:
        """Keep its lease from now on."""
        self._live[live.claimed.run.run_id] = live
        self._any.set()

    def remove(self, live: Live) -> bool:
        """Leave it alone from now on; return whether it was there still."""
        run_id = live.claimed.run.run_id
        if self._live.get(run_id) is not live:
            return False
        del self._live[run_id]
        if not self._live:
            self._any.clear()
        return True

    def changed(self, run: Run) -> None:
        """Abort the request of a run whose attempt is over: canceled, paused, timed out, or in other hands."""
        live = self._live.get(run.run_id)
        if live is not None and not (run.fence == live.claimed.run.fence and run.status in _GOES_ON):
            live.abort()

    async def keep(self) -> None:
        """Renew the leases until cancelled. A database that is away is waited for."""
        while True:
            await self._any.wait()
            await asyncio.sleep(self._lease_secs / BEATS)
            try:
                for project_id in {live.project_id for live in self._live.values()}:
                    await self._beat(project_id)
            except RuncordError as error:
                log.warning("dispatch_heartbeat_lost", error=error.message)

    async def _beat(self, project_id: str) -> None:
        """Renew the leases of one project, and see about those that are gone: another process may have ended them."""
        runs = [live.claimed.run for live in self._live.values() if live.project_id == project_id]
        renewed = await self.renew(project_id, runs, self._lease_secs)
        missing = [run.run_id for run in runs if run.run_id not in renewed and run.run_id in self._live]
        if missing:
            for _, _, state in await self._touch(RUN_VIEW["load"], {"project_id": project_id, "run_ids": missing}):
                self.changed(CODEC.decode(state))

    async def renew(self, project_id: str, runs: Iterable[Run], lease_secs: float) -> set[str]:
        """Let the leases of claims last from now on for `lease_secs`; return the runs that have theirs still."""
        listed = list(runs)
        params = {
            "project_id": project_id,
            "run_ids": [run.run_id for run in listed],
            "fences": [run.fence for run in listed],
            "lease_secs": lease_secs,
        }
        return {row[0] for row in await self._touch(SQL["renew_leases"], params)}
