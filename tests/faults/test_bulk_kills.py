"""kill -9 in the middle of a bulk operation: another server goes on with it, and each run is acted on once."""

import asyncio
import signal
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx2
import orjson
import psycopg
import pytest

from runcord.clock import monotonic
from runcord.ledger import mapper
from runcord.testing.invariants import check_ledger
from runcord.testing.server import PROJECT, ServerProcess
from runcord_projections.bulk_view import BulkView
from runcord_projections.bulk_view.projection import CODEC

from .clients import create_job, http

pytestmark = pytest.mark.faults

RUNS = 3000
DEADLINE_SECS = 90.0


async def trigger(client: httpx2.AsyncClient, job: str, count: int) -> list[str]:
    """Return the ids of that many new runs."""
    run_ids: list[str] = []
    while len(run_ids) < count:
        answer = await client.post(f"/v1/jobs/{job}/trigger/bulk", json={"items": [{"payload": 1}] * 500})
        assert answer.status_code == 201, answer.text
        run_ids += [result["id"] for result in answer.json()["results"]]
    return run_ids


async def fail_all(client: httpx2.AsyncClient, count: int) -> None:
    """Take that many runs, and fail each for good."""
    failed = 0
    while failed < count:
        claims = (await client.post("/v1/runs/dequeue", json={"worker_id": "w", "limit": 500, "start": True})).json()[
            "data"
        ]
        settlements = [
            {
                "run_id": claim["run"]["id"],
                "attempt": claim["run"]["attempt"],
                "status": "failed",
                "error": {"message": "no"},
                "retryable": False,
            }
            for claim in claims
        ]
        answer = await client.post("/v1/runs/settle", json={"settlements": settlements})
        assert all(result["status"] == "failed" for result in answer.json()["results"]), answer.text
        failed += len(claims)


async def ask(client: httpx2.AsyncClient, path: str, **query: Any) -> httpx2.Response | None:
    """Return the answer, or None if there is none."""
    try:
        return await client.get(path, params=query)
    except httpx2.HTTPError:
        return None


async def until(client: httpx2.AsyncClient, operation_id: str, enough: int) -> dict[str, Any]:
    """Return the operation as soon as `enough` of its runs are done."""
    deadline = monotonic() + DEADLINE_SECS
    while True:
        answer = await ask(client, f"/v1/bulk-operations/{operation_id}")
        if answer is not None and answer.status_code == 200 and answer.json()["done"] >= enough:
            return answer.json()
        assert monotonic() < deadline, "the operation does not go on" if answer is None else answer.text
        await asyncio.sleep(0.01)


async def outcomes(client: httpx2.AsyncClient, operation_id: str) -> Counter[tuple[str, str]]:
    """Return how often each run has which outcome."""
    found: Counter[tuple[str, str]] = Counter()
    cursor: str | None = ""
    while cursor is not None:
        path = f"/v1/bulk-operations/{operation_id}/results"
        answer = await client.get(path, params={"limit": 100, "cursor": cursor})
        found.update((outcome["run_id"], outcome["result"]) for outcome in answer.json())
        cursor = answer.headers.get("x-next-cursor")
    return found


def check_operation(dsn: str, operation_id: str) -> None:
    """The view is what the operation's history says, and every event of a run says why and by whom."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        rows = conn.execute(
            "select stream_id, version, position, recorded_at, event_id, type, data, metadata from events "
            "where project_id = %s and stream_id = %s order by version",
            (PROJECT, operation_id),
        ).fetchall()
        ((stored,),) = conn.execute("select state from bulk_operations where operation_id = %s", (operation_id,))
        asked = orjson.loads(rows[0][7])
        causes = conn.execute(
            "select distinct convert_from(metadata, 'UTF8')::jsonb from events "
            "where type in ('run.canceled.v1', 'run.replayed.v1')"
        ).fetchall()
    operation = None
    for row in rows:
        operation = BulkView().evolve(operation, mapper.recorded(row))
    assert operation is not None
    assert CODEC.encode(operation) == stored
    assert [(said["actor"], said["causation"]) for (said,) in causes] == [(asked["actor"], operation_id)]


REQUESTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "cancel": ("bulk-cancel-all", {"triggered_by": "manual"}),
    "replay": ("bulk-replay", {"filter": {"status": "failed"}}),
}


@pytest.mark.parametrize(
    ("moment", "action"),
    [
        ("committer.before_commit", "cancel"),
        ("committer.after_commit", "replay"),
        pytest.param("committer.before_commit", "replay", marks=pytest.mark.slow),
        pytest.param("committer.after_commit", "cancel", marks=pytest.mark.slow),
    ],
)
def test_a_server_killed_in_the_middle_is_followed_by_another_and_each_run_is_acted_on_once(
    durable_dsn: str, action: str, moment: str
) -> None:
    async def test() -> None:
        with ServerProcess(durable_dsn) as first, ServerProcess(durable_dsn) as second:
            async with http(first) as one, http(second) as two:
                await create_job(first, "job")
                run_ids = await trigger(one, "job", RUNS)
                if action == "replay":
                    await fail_all(one, RUNS)
                first.kill()
                first.start(fault=f"{moment}:9")
                verb, body = REQUESTS[action]
                accepted = await one.post(f"/v1/runs/{verb}?async=true", json=body)
                assert accepted.status_code == 202, accepted.text
                operation_id = accepted.json()["request_id"]
                later = await trigger(two, "job", 500)
                deadline = monotonic() + DEADLINE_SECS
                while first.exit_code is None:
                    assert monotonic() < deadline, "the fault did not strike"
                    await asyncio.sleep(0.01)
                assert first.exit_code == -signal.SIGKILL
                struck = await until(two, operation_id, 1)
                assert struck["done"] < RUNS, "the operation was over before the fault struck"
                done = await until(two, operation_id, RUNS)
                assert (done["status"], done["total"], done["succeeded"]) == ("completed", RUNS, RUNS)
                assert await outcomes(two, operation_id) == Counter((run_id, "succeeded") for run_id in run_ids)
                by_status = (await two.get("/v1/runs/stats")).json()["by_status"]
                expected = {"canceled": RUNS, "queued": len(later)}
                if action == "replay":
                    expected = {"failed": RUNS, "queued": RUNS + len(later)}
                assert by_status == expected
        counted = check_ledger(durable_dsn, PROJECT)
        assert counted["run.canceled.v1" if action == "cancel" else "run.replayed.v1"] == RUNS
        check_operation(durable_dsn, operation_id)

    asyncio.run(test())


def test_servers_killed_one_after_the_other_carry_an_operation_to_its_end(durable_dsn: str) -> None:
    async def test() -> None:
        with ServerProcess(durable_dsn) as first, ServerProcess(durable_dsn) as second:
            async with http(first) as one, http(second) as two:
                await create_job(first, "job")
                run_ids = await trigger(one, "job", RUNS)
                accepted = await one.post("/v1/runs/bulk-cancel-all?async=true", json={"triggered_by": "manual"})
                operation_id = accepted.json()["request_id"]
                kills = 0
                for server, client in ((first, two), (second, one), (first, two)):
                    seen = await until(client, operation_id, 0)
                    if seen["status"] == "completed":
                        break
                    server.kill()
                    kills += 1
                    # The other one takes it up; then this one comes back, and may work on it too.
                    await until(client, operation_id, min(RUNS, seen["done"] + 300))
                    await asyncio.to_thread(server.start)
                assert kills > 0
                done = await until(one, operation_id, RUNS)
                assert (done["status"], done["succeeded"], done["failed"]) == ("completed", RUNS, 0)
                assert await outcomes(one, operation_id) == Counter((run_id, "succeeded") for run_id in run_ids)
        counted = check_ledger(durable_dsn, PROJECT)
        assert (counted["run.canceled.v1"], counted["bulk.completed.v1"]) == (RUNS, 1)
        check_operation(durable_dsn, operation_id)

    asyncio.run(test())
