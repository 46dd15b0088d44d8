"""A projection from a package of its own, installed and served as the how-to says."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest

from runcord.clock import monotonic
from runcord.testing.server import ServerProcess

PACKAGE = Path(__file__).resolve().parents[2] / "docs/examples/runcord-tool-calls"
DEADLINE_SECS = 30.0


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory into which the example was installed."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # What it needs is here: Runcord itself, and what packages are built with.
    options = ["--no-deps", "--no-build-isolation", "--target", str(target), str(PACKAGE)]
    done = subprocess.run([*pip, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def server(dsn: str, installed: Path) -> Iterator[ServerProcess]:
    """A server that was started after the example was installed."""
    with ServerProcess(dsn, {"PYTHONPATH": str(installed)}) as server:
        yield server


async def call_tools(server: ServerProcess, *calls: tuple[str, str, int]) -> str:
    """Have a run call tools, and return its job's id."""
    async with httpx2.AsyncClient(base_url=server.base_url, headers=server.headers) as client:
        job = (await client.post("/v1/jobs", json={"name": "agent", "slug": "agent"})).json()
        run = (await client.post("/v1/jobs/agent/trigger", json={})).json()
        await client.post("/v1/runs/dequeue", json={"worker_id": "w", "start": True})
        for tool, status, duration in calls:
            body = {"tool_name": tool, "status": status, "duration_ms": duration}
            answer = await client.post(f"/sdk/v1/runs/{run['id']}/tool-call", json=body)
            assert answer.status_code < 300, answer.text
    return job["id"]


@pytest.mark.slow
def test_an_installed_projection_is_made_built_and_kept_up_to_date(dsn: str, server: ServerProcess) -> None:
    calls = [("search", "completed", 30), ("search", "failed", 5), ("browse", "completed", 100)]
    job_id = asyncio.run(call_tools(server, *calls))
    expected = {(job_id, "search", 2, 1, 35), (job_id, "browse", 1, 0, 100)}
    deadline = monotonic() + DEADLINE_SECS
    found: set[tuple[str, str, int, int, int]] = set()
    with psycopg.connect(dsn, autocommit=True) as conn:
        while found != expected:
            assert monotonic() < deadline, (found, server.log)
            if conn.execute("select to_regclass('tool_calls')").fetchone() == (None,):
                continue  # the server has just started
            found = set(conn.execute("select job_id, tool_name, calls, failures, duration_ms from tool_calls"))
