"""A project to test with: its ledger, and a committer with everything that a server gives it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from runcord import inline
from runcord.clock import utc_now
from runcord.handling.jobs import CommandJob
from runcord.handling.runs import CommandRun
from runcord.handling.trigger import Triggering, TriggerRequest, TriggerRuns
from runcord.http.credentials import create_project
from runcord.ids import new_id
from runcord.job.commands import CreateJob, UpdateJob
from runcord.job.state import Job
from runcord.ledger.committer import CommitListener, Committer
from runcord.ledger.transaction import Context
from runcord.queue.claims import ClaimedRun, ClaimRuns, Selection
from runcord.run import commands as c
from runcord.run.state import Run
from runcord.testing.postgres import as_superuser

CONTEXT = Context(actor="test")


def open_committer(
    dsn: str, *, writers: int = 2, on_commit: CommitListener | None = None, started: bool = True
) -> Committer:
    """Return a committer with the views and projections that a server gives it; close it.

    One that is not started yet takes commands, and executes those that wait as one group when it is.
    """
    committer = Committer(
        dsn,
        views=inline.views(),
        projections=inline.projections(),
        writers=writers,
        on_commit=on_commit,
    )
    if started:
        committer.start()
    return committer


@dataclass(frozen=True)
class Project:
    """Commands to one project, with little to write."""

    dsn: str
    project_id: str
    committer: Committer

    def set_time(self, seconds: float) -> None:
        """Let the ledger's clock stand at `seconds` from now, for all sessions that begin after this."""
        then = (utc_now() + timedelta(seconds=seconds)).isoformat()
        self.committer.close()
        with psycopg.connect(as_superuser(self.dsn), autocommit=True) as conn:
            conn.execute(f"alter database \"{conn.info.dbname}\" set runcord.now = '{then}'".encode())
        self.committer.start()

    async def execute(self, handler: Any) -> Any:
        """Execute a command and return its answer."""
        return (await self.committer.execute(self.project_id, handler)).value

    async def create_job(self, slug: str = "job", **settings: Any) -> Job:
        """Create a job."""
        command = CreateJob(new_id("ver"), {"name": slug, "slug": slug, **settings})
        return await self.execute(CommandJob(CONTEXT, new_id("job"), command))

    async def update_job(self, job: Job, **changes: Any) -> Job:
        """Give a job a new version."""
        return await self.execute(CommandJob(CONTEXT, job.job_id, UpdateJob(new_id("ver"), changes)))

    async def trigger(self, job: Job, **request: Any) -> Run:
        """Trigger one run."""
        return (await self.trigger_many(job, [request]))[0].run

    async def trigger_many(self, job: Job, requests: Sequence[Mapping[str, Any]]) -> list[Triggering]:
        """Trigger several runs in one append."""
        made = [TriggerRequest(new_id("run"), **request) for request in requests]
        return await self.execute(TriggerRuns(CONTEXT, job.job_id, made))

    async def claim(
        self,
        limit: int = 1,
        *,
        worker_id: str = "worker",
        lease_secs: float = 60,
        start: bool = True,
        selection: Selection | None = None,
        run_id: str | None = None,
    ) -> list[ClaimedRun]:
        """Claim runs."""
        handler = ClaimRuns(CONTEXT, worker_id, selection or Selection(), limit, lease_secs, start, run_id)
        return await self.execute(handler)

    async def command(self, run: Run, command: c.WorkerCommand | c.OperatorCommand) -> Run:
        """Send one command to a run and return the run after it."""
        return await self.execute(CommandRun(CONTEXT, run.run_id, command))

    def rows(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        """Return what the database says to a query; `%s` in it are the params."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            return conn.execute(statement.encode(), params).fetchall()

    async def touch(self, statement: bytes, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement that writes rows that are no events, as a server's service connections do."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            cursor = conn.execute(statement, params)
            return cursor.fetchall() if cursor.description else []

    def history(self, run: Run) -> list[str]:
        """Return the types of a run's events, in order."""
        found = self.rows(
            "select type from events where project_id = %s and stream_id = %s order by version",
            self.project_id,
            run.run_id,
        )
        return [row[0] for row in found]


@contextlib.asynccontextmanager
async def open_project(dsn: str, project_id: str = "proj_test") -> AsyncGenerator[Project]:
    """Open a project in a database that has the schema, made if it is missing."""
    with psycopg.connect(dsn) as conn:
        create_project(conn, project_id, project_id)
    committer = open_committer(dsn)
    try:
        yield Project(dsn, project_id, committer)
    finally:
        committer.close()


def in_project(test: Callable[[Project], Coroutine[Any, Any, None]]) -> Callable[[str], None]:
    """Turn an asynchronous test that takes a project into one that takes the fixture `dsn`: it gets one of its own."""

    def run(dsn: str) -> None:
        async def inside() -> None:
            async with open_project(dsn) as project:
                await test(project)

        asyncio.run(inside())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
