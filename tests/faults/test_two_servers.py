"""Two server processes on one ledger: nothing lost, doubled or reordered, and no limit exceeded."""

import asyncio

import pytest

from runcord.testing.server import PROJECT, ServerProcess

from .clients import Journal, create_job, http, trigger_keys, work_off
from .invariants import check_ledger

pytestmark = pytest.mark.faults


def test_two_servers_share_a_ledger(dsn: str) -> None:
    async def test() -> None:
        with ServerProcess(dsn) as one, ServerProcess(dsn) as two:
            await create_job(one, "limited", max_concurrency=3)
            await create_job(two, "free")
            journal = Journal()
            await asyncio.gather(
                trigger_keys(one, journal, "limited", clients=8, each=15),
                trigger_keys(two, journal, "limited", clients=8, each=15),  # the same keys, at the same time
                trigger_keys(one, journal, "free", clients=8, each=15, prefix="one"),
                trigger_keys(two, journal, "free", clients=8, each=15, prefix="two"),
                refused(one),
                refused(two),
                work_off(one, journal, workers=6, expected=360),
                work_off(two, journal, workers=6, expected=360),
            )
        assert journal.failures == 0
        assert len(journal.runs) == 360
        assert all(len(runs) == 1 for runs in journal.runs.values()), "a key was answered with two runs"
        assert set(journal.settled) == {run for runs in journal.runs.values() for run in runs}
        counted = check_ledger(dsn, PROJECT, {"limited": 3})
        assert counted == {
            "key.created.v1": 1,
            "job.created.v1": 2,
            "run.triggered.v1": 360,
            "run.dequeued.v1": 360,
            "run.attempted.v1": 360,
            "run.completed.v1": 360,
        }

    asyncio.run(test())


async def refused(server: ServerProcess) -> None:
    """Send commands that are refused between the others; they must neither succeed nor disturb."""
    async with http(server) as client:
        for _ in range(40):
            missing = await client.delete("/v1/runs/run_unknown")
            unknown = await client.post("/v1/jobs/free/trigger", json={"payload": {}, "colour": "red"})
            assert (missing.status_code, unknown.status_code) == (404, 400)
