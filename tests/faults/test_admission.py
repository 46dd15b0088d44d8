"""kill -9 while triggers are gathered: each acknowledged payload comes out once, in a run that fires once."""

import asyncio
import os
import random
from collections import Counter
from typing import Any

import pytest

from runcord.clock import monotonic
from runcord.testing.invariants import check_ledger
from runcord.testing.server import PROJECT, ServerProcess

from .clients import Journal, create_job, http, insist

pytestmark = pytest.mark.faults

CALLERS, EACH = 6, 25
KEYS = 3
DEADLINE_SECS = 60.0


async def send(server: ServerProcess, journal: Journal, job: str, key_name: str) -> None:
    """Send `CALLERS` × `EACH` payloads under `KEYS` window keys, each until it is acknowledged."""
    async with http(server) as client:

        async def one(caller: int) -> None:
            for n in range(EACH):
                payload = f"{caller}-{n}"
                body = {"payload": payload, "idempotency_key": payload, key_name: str(n % KEYS)}
                response = await insist(client, journal, "POST", f"/v1/jobs/{job}/trigger", body)
                assert response.status_code in {200, 201, 202}, response.text
                journal.runs.setdefault(payload, set()).add(response.json()["id"])

        await asyncio.gather(*(one(caller) for caller in range(CALLERS)))


async def come_out(server: ServerProcess, journal: Journal, expected: int) -> list[Any]:
    """Claim runs until `expected` have come, and a little longer; return their payloads."""
    payloads: dict[str, Any] = {}
    began = monotonic()
    async with http(server) as client:
        while True:
            body = {"worker_id": "w", "limit": 100, "start": True, "wait_secs": 0.5, "lease_secs": 3600}
            claims = (await insist(client, journal, "POST", "/v1/runs/dequeue", body)).json()["data"]
            payloads.update({claim["run"]["id"]: claim["run"]["payload"] for claim in claims})
            if not claims and len(payloads) >= expected:
                return list(payloads.values())
            assert monotonic() - began < DEADLINE_SECS, f"{len(payloads)} of {expected} runs came out"


async def kill_often(server: ServerProcess, dice: random.Random) -> None:
    for _ in range(3):
        await asyncio.sleep(dice.uniform(0.2, 0.6))
        server.kill()
        await asyncio.to_thread(server.start)


def test_batches_lose_and_double_nothing(durable_dsn: str) -> None:
    dice = random.Random(int(os.environ.get("RUNCORD_SEED", "7")))

    async def test() -> None:
        with ServerProcess(durable_dsn) as server:
            await create_job(server, "job", batch_window_secs=2, batch_max_size=7)
            journal = Journal()
            sending = asyncio.create_task(send(server, journal, "job", "batch_key"))
            await kill_often(server, dice)
            await sending
            assert all(len(runs) == 1 for runs in journal.runs.values()), "a payload was answered with two runs"
            expected = {run for runs in journal.runs.values() for run in runs}
            batches = [payload["items"] for payload in await come_out(server, journal, len(expected))]
        counted = check_ledger(durable_dsn, PROJECT)
        assert Counter(item for batch in batches for item in batch) == Counter(journal.runs.keys())
        assert counted["run.triggered.v1"] + counted["run.batched.v1"] == CALLERS * EACH
        assert counted["run.dequeued.v1"] == counted["run.triggered.v1"] == len(expected)

    asyncio.run(test())


def test_debounced_runs_fire_once_each(durable_dsn: str) -> None:
    dice = random.Random(int(os.environ.get("RUNCORD_SEED", "8")))

    async def test() -> None:
        with ServerProcess(durable_dsn) as server:
            await create_job(server, "job", debounce_window_secs=20)
            journal = Journal()
            sending = asyncio.create_task(send(server, journal, "job", "debounce_key"))
            await kill_often(server, dice)
            await sending
            expected = {run for runs in journal.runs.values() for run in runs}
            assert len(expected) == KEYS
            server.kill()
            await asyncio.to_thread(server.start)
            payloads = await come_out(server, journal, KEYS)
        counted = check_ledger(durable_dsn, PROJECT)
        assert sorted(int(payload.split("-")[1]) % KEYS for payload in payloads) == list(range(KEYS))
        assert counted["run.triggered.v1"] + counted["run.debounced.v1"] == CALLERS * EACH
        assert counted["run.enqueued.v1"] == counted["run.dequeued.v1"] == KEYS

    asyncio.run(test())
