"""Clients that keep a journal of what was acknowledged, and try again what was not."""

import asyncio
import itertools
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from runcord.clock import monotonic
from runcord.testing.server import ServerProcess

PATIENCE_SECS = 60.0


@dataclass
class Journal:
    """Which run each idempotency key was acknowledged with, and what else was heard."""

    runs: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    settled: dict[str, str] = field(default_factory=dict[str, str])
    failures: int = 0
    """How many requests were not answered, or with a 5xx."""


async def insist(
    client: httpx2.AsyncClient, journal: Journal, method: str, path: str, body: Any = None
) -> httpx2.Response:
    """Send a request until it is answered without a 5xx."""
    began = monotonic()
    while True:
        try:
            response = await client.request(method, path, json=body)
            if response.status_code < 500:
                return response
            assert response.status_code == 503, response.text
        except httpx2.HTTPError:
            pass
        journal.failures += 1
        assert monotonic() - began < PATIENCE_SECS, f"no answer to {method} {path}"
        await asyncio.sleep(0.05)


async def trigger_keys(
    server: ServerProcess, journal: Journal, job: str, *, clients: int, each: int, prefix: str = "key"
) -> None:
    """Trigger `clients` × `each` runs with keys of their own, each until it is acknowledged."""
    async with http(server) as client:

        async def one(number: int) -> None:
            for n in range(each):
                key = f"{prefix}-{number}-{n}"
                body = {"payload": {"key": key}, "idempotency_key": key}
                response = await insist(client, journal, "POST", f"/v1/jobs/{job}/trigger", body)
                assert response.status_code in {200, 201}, response.text
                journal.runs.setdefault(key, set()).add(response.json()["id"])

        await asyncio.gather(*(one(number) for number in range(clients)))


async def work_off(server: ServerProcess, journal: Journal, *, workers: int, expected: int, limit: int = 4) -> None:
    """Claim and complete runs until `expected` are acknowledged as settled."""
    async with http(server) as client:
        names = itertools.count()

        async def one() -> None:
            name = f"worker-{next(names)}"
            while len(journal.settled) < expected:
                body = {"worker_id": name, "limit": limit, "start": True, "wait_secs": 0.2, "lease_secs": 5}
                response = await insist(client, journal, "POST", "/v1/runs/dequeue", body)
                assert response.status_code == 200, response.text
                claims = response.json()["data"]
                if not claims:
                    continue
                settlements = [
                    {"run_id": c["run"]["id"], "attempt": c["run"]["attempt"], "status": "completed", "result": name}
                    for c in claims
                ]
                response = await insist(client, journal, "POST", "/v1/runs/settle", {"settlements": settlements})
                for result in response.json()["results"]:
                    if "error" not in result:
                        journal.settled[result["run_id"]] = name

        await asyncio.gather(*(one() for _ in range(workers)))


def http(server: ServerProcess) -> httpx2.AsyncClient:
    """Return a client of the server."""
    limits = httpx2.Limits(max_connections=200)
    return httpx2.AsyncClient(base_url=server.base_url, headers=server.headers, timeout=30, limits=limits)


async def create_job(server: ServerProcess, slug: str, **settings: Any) -> None:
    """Create a job."""
    async with http(server) as client:
        response = await client.post("/v1/jobs", json={"name": slug, "slug": slug, **settings})
        assert response.status_code == 201, response.text


async def until(client: httpx2.AsyncClient, run_id: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the run as soon as the condition holds."""
    deadline = monotonic() + 30
    while True:
        run = (await client.get(f"/v1/runs/{run_id}")).json()
        if condition(run):
            return run
        assert monotonic() < deadline, run
        await asyncio.sleep(0.02)


async def struck(server: ServerProcess) -> None:
    """Return when the fault that the server was started with has killed it."""
    deadline = monotonic() + PATIENCE_SECS
    while server.exit_code is None:
        assert monotonic() < deadline, "the fault did not strike"
        await asyncio.sleep(0.01)
    assert server.exit_code == -signal.SIGKILL, server.log
