"""The product as users run it: `runcord serve` on a database, and its client."""

import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import psycopg

from runcord.client import Client
from runcord.clock import monotonic
from runcord.sql import load
from runcord_bench import product
from runcord_bench.process import Process, ProcessFailed, pause, running

LEDGER = load("runcord.sql", "queries/ledger.sql")
SQL = load("runcord_bench", "server.sql")

PROJECT = "proj_bench"
JOB = "bench"

_START_SECS = 30.0


@dataclass(frozen=True)
class Server:
    """A running server that knows the job `JOB`: where it is, with which key, and a connection to its database."""

    base_url: str
    api_key: str
    conn: psycopg.Connection[tuple[Any, ...]]
    pid: int
    """Of its process."""
    project_id: str = PROJECT
    """Whose key it is."""

    @property
    def port(self) -> int:
        """Where it listens, on this machine."""
        return urlsplit(self.base_url).port or 80


@contextmanager
def running_server(dsn: str, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Serve from a fresh database, with the settings that `runcord serve` has by itself but for those given."""
    product.prepare(dsn)
    api_key = f"strait_{secrets.token_hex(32)}"
    environment = {
        "DATABASE_URL": dsn,
        "RUNCORD_BOOTSTRAP_PROJECT": PROJECT,
        "RUNCORD_BOOTSTRAP_API_KEY": api_key,
        **(settings or {}),
    }
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="runcord-bench-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        log = stack.enter_context((directory / "log").open("w+b"))
        command = [sys.executable, "-P", "-m", "runcord", "serve", "--host", "127.0.0.1", "--port", "0"]
        process = stack.enter_context(running(command, environment, log))
        base_url = _wait_until_ready(process, directory / "log")
        with Client(base_url, api_key) as client:
            client.jobs.create(JOB)
        conn = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        yield Server(base_url, api_key, conn, process.pid)


def position(server: Server) -> int:
    """Return the position of the server's ledger, as the database has it."""
    [(found, *_)] = server.conn.execute(LEDGER["head"], {"project_id": server.project_id}).fetchall()
    return found


def count_runs(server: Server, status: str | None = None) -> int:
    """Return how many runs there are, as the database has them; with `status`, only of that one."""
    [(found,)] = server.conn.execute(SQL["count_runs"], {"project_id": server.project_id, "status": status}).fetchall()
    return found


def _wait_until_ready(process: Process, log: Path) -> str:
    """Return the base URL of a server once it is ready."""
    deadline = monotonic() + _START_SECS
    while monotonic() < deadline and process.is_running:
        base_url = _base_url(log)
        if base_url is not None and _is_ready(base_url):
            return base_url
        pause(0.05)
    raise ProcessFailed(f"the server did not become ready: {log.read_text()[-2000:]}")


def _base_url(log: Path) -> str | None:
    for line in log.read_text().splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            if entry.get("event") == "listening":
                return entry["base_url"]
    return None


def _is_ready(base_url: str) -> bool:
    try:
        with urlopen(f"{base_url}/readyz", timeout=5) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False
