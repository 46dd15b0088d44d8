"""A server that is killed while it sends a run: another one sends it again, and the attempt's number tells."""

import asyncio

import httpx2
import pytest
from tests.dispatch.endpoint import answering, hanging, open_endpoint

from runcord.clock import monotonic
from runcord.testing.invariants import check_ledger
from runcord.testing.server import PROJECT, ServerProcess

from .clients import http

pytestmark = pytest.mark.faults

ENVIRONMENT = {"RUNCORD_DISPATCH_ALLOW": "127.0.0.0/8", "RUNCORD_DISPATCH_LEASE_SECS": "2"}


async def ended(client: httpx2.AsyncClient, run_id: str) -> dict[str, object]:
    deadline = monotonic() + 30
    while "finished_at" not in (run := (await client.get(f"/v1/runs/{run_id}")).json()):
        assert monotonic() < deadline, run
        await asyncio.sleep(0.05)
    return run


def test_a_run_whose_server_is_killed_is_sent_again_by_another(dsn: str) -> None:
    async def test() -> None:
        async with open_endpoint(hanging) as endpoint:
            one, two = ServerProcess(dsn, ENVIRONMENT), ServerProcess(dsn, ENVIRONMENT)
            with one:
                async with http(one) as client:
                    job = {"name": "push", "slug": "push", "endpoint_url": endpoint.url}
                    assert (await client.post("/v1/jobs", json=job)).status_code == 201
                    run_id = (await client.post("/v1/jobs/push/trigger", json={"payload": 1})).json()["id"]
                    await asyncio.wait_for(endpoint.begun.wait(), 20)
                with two:
                    endpoint.script = answering(200, "again")
                    one.kill()
                    killed = monotonic()
                    async with http(two) as client:
                        run = await ended(client, run_id)
                    assert monotonic() - killed < 2 + 1 + 5, "lease, delay, and five seconds"
                    assert (run["status"], run["attempt"], run["result"]) == ("completed", 2, "again")
            assert [request.attempt for request in endpoint.requests] == [1, 2]
            assert endpoint.requests[1].headers["x-previous-error"].startswith("the worker was lost")
        counted = check_ledger(dsn, PROJECT)
        assert (counted["run.dequeued.v1"], counted["run.dispatched.v1"], counted["run.completed.v1"]) == (2, 1, 1)

    asyncio.run(test())


def test_two_servers_send_every_run_once(dsn: str) -> None:
    async def test() -> None:
        async with open_endpoint(answering(200)) as endpoint:
            with ServerProcess(dsn, ENVIRONMENT) as one, ServerProcess(dsn, ENVIRONMENT) as two:
                async with http(one) as client, http(two) as other:
                    job = {"name": "push", "slug": "push", "endpoint_url": endpoint.url, "max_concurrency": 7}
                    assert (await client.post("/v1/jobs", json=job)).status_code == 201
                    items = {"items": [{"payload": n} for n in range(100)]}
                    bulks = await asyncio.gather(
                        client.post("/v1/jobs/push/trigger/bulk", json=items),
                        other.post("/v1/jobs/push/trigger/bulk", json=items),
                    )
                    run_ids = [made["id"] for bulk in bulks for made in bulk.json()["results"]]
                    for run_id in run_ids:
                        assert (await ended(client, run_id))["status"] == "completed"
            assert sorted(request.headers["x-run-id"] for request in endpoint.requests) == sorted(run_ids)
        assert check_ledger(dsn, PROJECT, {"push": 7})["run.dispatched.v1"] == 200

    asyncio.run(test())
