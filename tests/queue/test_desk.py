"""The claim desk: a worker that waits is woken by whatever makes a run claimable, and by nothing missed."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import psycopg
import pytest

from runcord.clock import monotonic
from runcord.http.credentials import create_project
from runcord.ledger.committer import Committer
from runcord.ledger.database import service_pool
from runcord.ledger.hub import Hub
from runcord.ledger.tail import Tail
from runcord.queue.claims import ClaimRuns, Selection
from runcord.queue.desk import RECHECK_SECS, ClaimDesk
from runcord.run import commands as c
from runcord.run.events import Failure
from runcord.testing.project import CONTEXT, Project, open_committer, open_project

CLAIM = ClaimRuns(CONTEXT, "worker", Selection(), 1, 60, start=True)


@contextlib.asynccontextmanager
async def server(dsn: str, *, started: bool = True) -> AsyncGenerator[tuple[Project, ClaimDesk, Committer]]:
    """What one server process has of the queue."""
    with psycopg.connect(dsn) as conn:
        create_project(conn, "proj_test", "test")
    hub = Hub()
    tail = Tail(dsn, hub)
    committer = open_committer(dsn, on_commit=lambda *commit: [tail.committed(*commit)], started=started)
    following = asyncio.create_task(tail.run())
    try:
        async with service_pool(dsn, 2) as pool:
            yield Project(dsn, "proj_test", committer), ClaimDesk(committer, hub, pool), committer
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        committer.close()


async def take(desk: ClaimDesk) -> tuple[list[Any], float]:
    """Wait for a run; return what came, and after how many seconds."""
    began = monotonic()
    committed = await desk.take("proj_test", CLAIM, 30)
    return committed.value, monotonic() - began


@pytest.mark.parametrize("seed", range(5))
def test_a_claim_that_shares_a_group_with_a_trigger_misses_nothing(dsn: str, seed: int) -> None:
    async def test() -> None:
        async with open_project(dsn) as before:
            job = await before.create_job()
        async with server(dsn, started=False) as (project, desk, committer):
            waiting = asyncio.create_task(take(desk))
            await asyncio.sleep(0)
            triggering = asyncio.create_task(project.trigger(job))
            await asyncio.sleep(0)
            committer.start()
            run = await triggering
            claimed, seconds = await waiting
            assert [one.run.run_id for one in claimed] == [run.run_id]
            assert seconds < RECHECK_SECS / 2

    asyncio.run(test())


def test_waiting_workers_are_woken_by_another_process_and_by_a_retry_that_is_due(dsn: str) -> None:
    async def test() -> None:
        async with server(dsn) as (_, desk, _), server(dsn) as (other, _, _):
            job = await other.create_job(retry_strategy="fixed", retry_initial_delay_secs=0.3)
            waiting = asyncio.create_task(take(desk))
            await other.trigger(job)
            claimed, seconds = await waiting
            assert seconds < RECHECK_SECS / 2
            waiting = asyncio.create_task(take(desk))
            await other.command(claimed[0].run, c.Fail(Failure("once"), jitter=0.5))
            again, seconds = await waiting
            assert again[0].run.attempt == 2
            assert seconds < RECHECK_SECS / 2

    asyncio.run(test())


def test_a_freed_slot_wakes_a_worker_that_waits_for_one(dsn: str) -> None:
    async def test() -> None:
        async with server(dsn) as (project, desk, _):
            job = await project.create_job(max_concurrency=1)
            first, second = await project.trigger(job), await project.trigger(job)
            await take(desk)
            waiting = asyncio.create_task(take(desk))
            await project.trigger(job)  # wakes the worker in vain
            await project.command(first, c.Complete())
            claimed, seconds = await waiting
            assert claimed[0].run.run_id == second.run_id
            assert seconds < RECHECK_SECS / 2

    asyncio.run(test())
