"""kill -9 of a server while a run ends that others are held back for: each of them is let go, and once."""

import asyncio
from typing import Any

import httpx2
import psycopg
import pytest

from runcord.handling.dependencies import RELEASED_AT_ONCE
from runcord.testing.invariants import check_ledger
from runcord.testing.server import PROJECT, ServerProcess

from .clients import Journal, create_job, http, insist, struck, until

pytestmark = pytest.mark.faults

MOMENTS = ("committer.before_commit", "committer.after_commit")


async def held_back(server: ServerProcess, client: httpx2.AsyncClient, count: int) -> tuple[dict[str, Any], list[str]]:
    """Return the settlement of a run at work, and the runs that are held back until it is completed."""
    await create_job(server, "upstream")
    await create_job(server, "report")
    await client.post("/v1/jobs/report/dependencies", json={"depends_on_job_id": "upstream"})
    made = await client.post("/v1/jobs/report/trigger/bulk", json={"items": [{}] * count})
    upstream = (await client.post("/v1/jobs/upstream/trigger", json={})).json()["id"]
    # The lease outlasts the test: no commit but those that the test is about passes the fault.
    claim = {"worker_id": "w", "run_id": upstream, "start": True, "lease_secs": 3600}
    (claimed,) = (await client.post("/v1/runs/dequeue", json=claim)).json()["data"]
    assert claimed["run"]["status"] == "executing"
    settlement = {"run_id": upstream, "attempt": 1, "status": "completed"}
    return {"settlements": [settlement]}, [result["id"] for result in made.json()["results"]]


def let_go(dsn: str) -> int:
    """Return how many runs the ledger says were let go, and check that the queue knows of the same."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute(
            "select (select count(*) from events where type = 'run.resumed.v1'),"
            " (select count(*) from runs where status = 'queued')"
        ).fetchone()
    assert row is not None and row[0] == row[1]
    return row[0]


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_end_of_a_run_and_what_it_lets_go_are_one_transaction(durable_dsn: str, moment: str) -> None:
    async def test() -> None:
        with ServerProcess(durable_dsn) as server:
            async with http(server) as client:
                settlements, waiting = await held_back(server, client, 3)
                server.kill()
                await asyncio.to_thread(server.start, fault=f"{moment}:1")
                with pytest.raises(httpx2.HTTPError):
                    await client.post("/v1/runs/settle", json=settlements)
                await struck(server)
                assert let_go(durable_dsn) == (0 if moment == "committer.before_commit" else 3)
                await asyncio.to_thread(server.start)
                answer = await insist(client, Journal(), "POST", "/v1/runs/settle", settlements)
                assert answer.json()["results"][0]["status"] == "completed"
                for run_id in waiting:
                    assert (await client.get(f"/v1/runs/{run_id}")).json()["status"] == "queued"
        counted = check_ledger(durable_dsn, PROJECT)
        assert (counted["run.completed.v1"], counted["run.resumed.v1"]) == (1, 3)

    asyncio.run(test())


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_an_ending_leaves_to_the_scheduler_any_server_finishes(durable_dsn: str, moment: str) -> None:
    count = 2 * RELEASED_AT_ONCE + 50

    async def test() -> None:
        with ServerProcess(durable_dsn) as server:
            async with http(server) as client:
                settlements, waiting = await held_back(server, client, count)
                server.kill()
                # The first commit is the settlement's, the second one the scheduler's.
                await asyncio.to_thread(server.start, fault=f"{moment}:2")
                # The server may be dead before the settlement is answered; then it is sent again to the next one.
                settling = asyncio.create_task(insist(client, Journal(), "POST", "/v1/runs/settle", settlements))
                await struck(server)
                if moment == "committer.before_commit":
                    assert let_go(durable_dsn) == RELEASED_AT_ONCE
                else:
                    assert let_go(durable_dsn) > RELEASED_AT_ONCE
                await asyncio.to_thread(server.start)
                assert (await settling).json()["results"][0]["status"] == "completed"
                for run_id in waiting:
                    await until(client, run_id, lambda run: run["status"] == "queued")
        counted = check_ledger(durable_dsn, PROJECT)
        assert (counted["run.completed.v1"], counted["run.resumed.v1"]) == (1, count)

    asyncio.run(test())
