"""`runcord serve`: what it refuses, and how one process and several serve and stop."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runcord.http.key_administration import create_key
from runcord.sql import apply_schema
from runcord.testing.postgres import TestServer

pytestmark = pytest.mark.slow

KEY = "a-key-for-automation"
BOOTSTRAP = {"RUNCORD_BOOTSTRAP_PROJECT": "shop", "RUNCORD_BOOTSTRAP_API_KEY": KEY}

Start = Callable[..., Any]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def durable_dsn(durable_postgres: TestServer) -> Iterator[str]:
    dsn = durable_postgres.create_database()
    apply_schema(dsn)
    yield dsn
    durable_postgres.drop_database(dsn)


@pytest.fixture
def serve(
    start: Start, durable_dsn: str, call: Call, wait_until: Callable[..., None], free_port: int
) -> Callable[..., tuple[Any, str]]:
    """Start `runcord serve`, wait until it is ready, and return it with its base URL."""

    def begin(*arguments: str, **settings: str) -> tuple[Any, str]:
        server = start("serve", "--port", str(free_port), *arguments, DATABASE_URL=durable_dsn, **BOOTSTRAP, **settings)
        base_url = f"http://127.0.0.1:{free_port}"

        def ready() -> bool:
            assert server.process.poll() is None, server.log.read_text()
            return call(f"{base_url}/readyz")[0] == 200

        wait_until(ready)
        return server, base_url

    return begin


def test_it_serves_with_the_bootstrap_key_and_stops_cleanly(serve: Callable[..., Any], call: Call) -> None:
    server, base_url = serve()
    assert call(f"{base_url}/v1/jobs", KEY)[0] == 200
    assert call(f"{base_url}/v1/jobs", "another-key-altogether")[0] == 401
    assert server.stop(signal.SIGTERM) == 0
    assert "Traceback" not in server.log.read_text()


def test_several_processes_share_the_work_and_stop_together(
    serve: Callable[..., Any], call: Call, children: Callable[[int], list[int]], wait_until: Callable[..., None]
) -> None:
    server, base_url = serve("--workers", "2")
    assert call(f"{base_url}/v1/jobs", KEY, {"name": "resize", "slug": "resize"})[0] == 201
    wait_until(lambda: len(_server_processes(server.process.pid, children)) == 2)
    serving = _server_processes(server.process.pid, children)

    os.kill(serving[0], signal.SIGKILL)
    wait_until(lambda: len(set(_server_processes(server.process.pid, children)) - set(serving)) == 1)
    wait_until(lambda: call(f"{base_url}/v1/jobs/resize", KEY)[0] == 200)
    assert server.stop(signal.SIGTERM) == 0


def test_server_processes_end_with_their_parent(
    serve: Callable[..., Any], children: Callable[[int], list[int]], wait_until: Callable[..., None]
) -> None:
    server, _ = serve("--workers", "2")
    wait_until(lambda: len(_server_processes(server.process.pid, children)) == 2)
    serving = _server_processes(server.process.pid, children)
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in serving))


def test_a_fault_is_armed_in_the_server_process(serve: Callable[..., Any], call: Call) -> None:
    server, base_url = serve(RUNCORD_FAULT="committer.after_commit:1")
    threading.Thread(target=call, args=(f"{base_url}/v1/jobs", KEY, {"name": "resize", "slug": "resize"})).start()
    assert server.process.wait(30) == -signal.SIGKILL


def test_a_database_without_the_schema_is_refused(runcord: Run, durable_postgres: TestServer) -> None:
    empty = durable_postgres.create_database()
    outcome = runcord("serve", "--port", "0", DATABASE_URL=empty)
    assert outcome.returncode == 2
    assert "runcord migrate" in outcome.stderr
    with psycopg.connect(empty) as conn:
        assert conn.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone() == (0,)


def test_a_database_that_forgets_is_refused_unless_that_is_wanted(runcord: Run, dsn: str) -> None:
    outcome = runcord("serve", "--port", "0", DATABASE_URL=dsn)
    assert outcome.returncode == 2
    assert "fsync" in outcome.stderr and "RUNCORD_ALLOW_UNSAFE_DATABASE" in outcome.stderr


def test_a_key_of_another_project_is_refused(runcord: Run, dsn: str) -> None:
    runcord("projects", "create", "shop", DATABASE_URL=dsn)
    settings = {"DATABASE_URL": dsn, "RUNCORD_ALLOW_UNSAFE_DATABASE": "true"}
    create_key(dsn, "shop", "ci", secret=KEY)
    outcome = runcord(
        "serve", "--port", "0", **settings, RUNCORD_BOOTSTRAP_PROJECT="other", RUNCORD_BOOTSTRAP_API_KEY=KEY
    )
    assert outcome.returncode == 2
    assert "belongs to project shop" in outcome.stderr
    assert KEY not in outcome.stderr


def _server_processes(parent: int, children: Callable[[int], list[int]]) -> list[int]:
    # multiprocessing keeps a process of its own beside them.
    return [pid for pid in children(parent) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
