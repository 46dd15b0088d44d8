"""Two server processes on one ledger: nothing lost, doubled or reordered, and no limit exceeded."""

import asyncio

import httpx2
import pytest

from runcord.testing.invariants import check_ledger
from runcord.testing.server import PROJECT, ServerProcess

from .clients import Journal, create_job, http, trigger_keys, work_off

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


TOKENS = 20
CALLERS = 12


def test_two_servers_take_a_token_for_one_use_from_one_caller(dsn: str) -> None:
    """Many callers offer each token to both servers at once, each twice; it triggers for one of them, once."""

    async def test() -> None:
        with ServerProcess(dsn) as one, ServerProcess(dsn) as two:
            async with http(one) as first, http(two) as second:
                tokens = [await token_for_one_use(first, f"task-{n}") for n in range(TOKENS)]
                offers = [
                    offer(first, second, n, token, who) for n, token in enumerate(tokens) for who in range(CALLERS)
                ]
                answers = await asyncio.gather(*offers)
        for n in range(TOKENS):
            of_token = answers[n * CALLERS : (n + 1) * CALLERS]
            triggered = [pair for pair in of_token if pair != REFUSED]
            assert len(triggered) == 1, f"{len(triggered)} callers have triggered with token {n}"
            ((status, run), (again, same)) = triggered[0]
            assert (status, again) == (200, 200) and run == same, "who sends its call again is told of its run"
        counted = check_ledger(dsn, PROJECT)
        assert (counted["run.triggered.v1"], counted["job.created.v1"]) == (TOKENS, TOKENS)

    asyncio.run(test())


REFUSED = ((422, "token_spent"), (422, "token_spent"))


async def token_for_one_use(client: httpx2.AsyncClient, task: str) -> str:
    body = {"scopes": [f"trigger:tasks:{task}"], "one_time": True}
    answer = await client.post("/v1/public-tokens", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["token"]


async def offer(
    first: httpx2.AsyncClient, second: httpx2.AsyncClient, n: int, token: str, who: int
) -> tuple[tuple[int, str], ...]:
    """Trigger with a token at both servers at the same time, as a client does whose answer is late."""
    headers = {"Authorization": f"Bearer {token}", "x-trigger-request-idempotency-key": f"{n}-{who}"}
    path, body = f"/api/v1/tasks/task-{n}/trigger", {"payload": str(who), "options": {}}
    answers = await asyncio.gather(*(client.post(path, json=body, headers=headers) for client in (first, second)))
    return tuple((answer.status_code, answer.json().get("id") or answer.json()["code"]) for answer in answers)


async def refused(server: ServerProcess) -> None:
    """Send commands that are refused between the others; they must neither succeed nor disturb."""
    async with http(server) as client:
        for _ in range(40):
            missing = await client.delete("/v1/runs/run_unknown")
            unknown = await client.post("/v1/jobs/free/trigger", json={"payload": {}, "colour": "red"})
            assert (missing.status_code, unknown.status_code) == (404, 400)
