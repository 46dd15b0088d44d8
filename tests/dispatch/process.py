"""What one server process has of the dispatcher, on a project of its own."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from runcord.clock import monotonic
from runcord.dispatch.addresses import LOOPBACK, AddressGuard, networks
from runcord.dispatch.breaker import Breakers
from runcord.dispatch.delivery import Carrier
from runcord.dispatch.dispatcher import Dispatcher
from runcord.dispatch.exchange import Line
from runcord.http.run_tokens import RunTokens
from runcord.ledger.committer import News
from runcord.ledger.database import service_pool
from runcord.ledger.hub import Hub
from runcord.queue.desk import ClaimDesk
from runcord.queue.scheduler import Scheduler
from runcord.run.state import Run
from runcord.testing.project import Project, open_committer, open_project
from runcord_projections.run_view.projection import CODEC

TOKENS = RunTokens(b"s" * 32)
PATIENCE_SECS = 20.0


@dataclass(frozen=True)
class Process:
    """A project in a process that dispatches, and the parts of it that tests look at."""

    project: Project
    dispatcher: Dispatcher
    breakers: Breakers

    def run(self, run: Run) -> Run:
        """Return the run as it is now."""
        ((state,),) = self.project.rows("select state from runs where run_id = %s", run.run_id)
        return CODEC.decode(state)

    def result(self, run: Run) -> bytes | None:
        """Return the run's result."""
        ((result,),) = self.project.rows("select result from runs where run_id = %s", run.run_id)
        return result

    async def becomes(self, run: Run, test: Callable[[Run], object]) -> Run:
        """Wait until the run is so, and return it."""
        deadline = monotonic() + PATIENCE_SECS
        while not test(now := await asyncio.to_thread(self.run, run)):
            assert monotonic() < deadline, f"the run is still {now}"
            await asyncio.sleep(0.01)
        return now

    async def ends(self, run: Run, status: str = "completed") -> Run:
        """Wait until the run has ended, and return it; its status must be this one."""
        ended = await self.becomes(run, lambda now: now.is_finished)
        assert ended.status == status, ended
        return ended


@contextlib.asynccontextmanager
async def open_process(
    dsn: str,
    *,
    concurrency: int = 16,
    lease_secs: float = 30,
    breakers: Breakers | None = None,
    secrets: Mapping[str, str] | None = None,
    allow: str = LOOPBACK,
) -> AsyncGenerator[Process]:
    """Open what a server process has of the queue and of the dispatcher."""

    async def fetch(statement: bytes, params: Mapping[str, Any]) -> list[Any]:
        async with pool.connection() as conn:
            cursor = await conn.execute(statement, params)
            return await cursor.fetchall() if cursor.description else []

    async def secret(project_id: str, job_id: str) -> str | None:
        return (secrets or {}).get(job_id) or (secrets or {}).get("*")

    def committed(project_id: str, position: int, changes: Any) -> list[News]:
        return [scheduler.committed(changes), dispatcher.committed(project_id, changes)]

    async with open_project(dsn) as made, service_pool(dsn, 4) as pool:
        committer = open_committer(dsn, on_commit=committed, started=False)
        scheduler = Scheduler(pool, committer)
        used = breakers or Breakers()
        dispatcher = Dispatcher(
            committer,
            ClaimDesk(committer, Hub(), pool),
            fetch,
            fetch,
            Carrier(Line(AddressGuard(networks(allow))), used, secret),
            partial(TOKENS.sign, claimed=True),
            concurrency=concurrency,
            lease_secs=lease_secs,
        )
        committer.start()
        tasks = [asyncio.create_task(job()) for job in (scheduler.run, dispatcher.run)]
        try:
            yield Process(Project(dsn, made.project_id, committer), dispatcher, used)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await dispatcher.close()
            await asyncio.to_thread(committer.close)


def in_process(dsn: str, test: Callable[[Process], Any], **options: Any) -> None:
    """Run an asynchronous test in a process of its own."""

    async def inside() -> None:
        async with open_process(dsn, **options) as process:
            await test(process)

    asyncio.run(inside())
