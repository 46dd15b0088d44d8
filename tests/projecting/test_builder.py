"""The builder process ends by itself when there is nothing to build, and with whoever started it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest

from runcord.ledger.mapper import encode
from runcord.projecting.registry import projections
from runcord.run import events as e
from runcord.run.retry import RetryPolicy
from runcord.testing.ledger import PROJECT, Entry, append, open_project
from runcord.testing.projections import rows_of

PATIENCE_SECS = 30

Start = Callable[[str, int], subprocess.Popen[bytes]]


@pytest.fixture
def start(dsn: str) -> Iterator[Start]:
    """Starts a module that builds the project, at a pace; its input stays open, as that of a server does."""
    started: list[subprocess.Popen[bytes]] = []

    def start(module: str, events_per_sec: int) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, "-m", module], stdin=pipe, stdout=pipe, stderr=pipe)
        started.append(process)
        assert process.stdin is not None
        task = {"dsn": dsn, "project_id": PROJECT, "events_per_sec": events_per_sec}
        process.stdin.write(json.dumps(task).encode() + b"\n")
        process.stdin.flush()
        return process

    open_project(dsn)
    yield start
    for process in started:
        with process:
            process.kill()


@pytest.mark.parametrize("module", ["runcord.projecting.builder", "runcord.inline_builder"])
def test_it_ends_cleanly_when_all_is_built(start: Start, module: str) -> None:
    process = start(module, 0)
    assert process.wait(PATIENCE_SECS) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_it_ends_with_whoever_started_it(dsn: str, start: Start) -> None:
    triggered = e.Triggered("job_1", "job", 1, "manual", RetryPolicy())
    lines = [Entry("run_1", n, encode(e.Logged("line")), e.Logged.TYPE) for n in range(2, 1000)]
    with psycopg.connect(dsn, autocommit=True) as conn:
        append(conn, Entry("run_1", 1, encode(triggered), triggered.TYPE), *lines)
        process = start("runcord.projecting.builder", 1)  # which takes it a quarter of an hour
        while not rows_of(dsn, PROJECT, "live")["run_history"]:
            assert process.poll() is None
    assert set(rows_of(dsn, PROJECT, "live")) == set(projections())
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(PATIENCE_SECS) == 0
