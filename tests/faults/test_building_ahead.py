"""kill -9 of the process that builds ahead, at any moment: what follows goes on, and ends with the same rows."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from runcord.ledger.mapper import encode
from runcord.projecting import generations as g
from runcord.projecting.registry import projections
from runcord.run import events as e
from runcord.run.retry import RetryPolicy
from runcord.testing.ledger import PROJECT, Entry, append, open_project
from runcord.testing.projections import move_on, rows_of
from runcord.testing.scenario import FAILURE

pytestmark = pytest.mark.faults

PAGE = 500
RUNS = 1_500
EVENTS = 6_000
PATIENCE_SECS = 60

BUILDER = f"""
from runcord.projecting import ahead, builder
from runcord.projecting.projector import Projector
ahead.PAGE_EVENTS, ahead.WORTHWHILE, ahead.CLOSE = {PAGE}, {2 * PAGE}, 100
Projector.advance.__kwdefaults__["limit"] = {PAGE}
builder.main()
"""
"""The builder, but for pages so short that a ledger of a second is many of them."""


@pytest.fixture
def ledger(dsn: str) -> None:
    """Runs of all kinds, whose events lie between each other's; rows of them; and builds that have just begun."""
    open_project(dsn)
    policy, worker = RetryPolicy(), ("w", 1, 1, 60)
    lives = (
        (e.Dequeued(*worker), e.Attempted(1), e.Completed(1)),
        (e.Dequeued(*worker), e.Attempted(1), e.DeadLettered(1, FAILURE)),
        (e.Canceled("no need"), e.Restarted(), e.Tagged({"n": "other"})),
    )
    first = [e.Triggered("job", "j", 1, "manual", policy, tags={"n": str(n % 7)}) for n in range(RUNS)]
    with psycopg.connect(dsn, autocommit=True) as conn:
        for version in range(1, 5):
            events = first if version == 1 else [lives[n % 3][version - 2] for n in range(RUNS)]
            entries = [Entry(f"run_{n}", version, encode(event), event.TYPE) for n, event in enumerate(events)]
            append(conn, *entries)
    move_on(dsn, PROJECT)
    with psycopg.connect(dsn, autocommit=True) as conn:
        for projection in projections().values():
            g.build(conn, PROJECT, projection, switches=False)


@contextmanager
def building(dsn: str, fault: str = "", events_per_sec: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """Start a builder; it is killed when this is left."""
    command, environment = [sys.executable, "-c", BUILDER], {**os.environ, "RUNCORD_FAULT": fault}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        task = {"dsn": dsn, "project_id": PROJECT, "events_per_sec": events_per_sec}
        process.stdin.write(json.dumps(task).encode() + b"\n")
        process.stdin.flush()
        try:
            yield process
        finally:
            process.kill()


def position(dsn: str) -> int:
    """Return where the builds stand, all of them."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        [found] = {one.position for one in g.load_generations(conn, PROJECT) if one.status == "building"}
    return found


def test_who_is_killed_while_building_ahead_is_followed_by_who_goes_on(dsn: str, ledger: None) -> None:
    # The first batch is the projector's; what comes after is built ahead.
    for fault in ("projector.before_commit:3", "projector.after_commit:2"):
        before = position(dsn)
        with building(dsn, fault) as process:
            assert process.wait(PATIENCE_SECS) == -signal.SIGKILL
        assert before < position(dsn) < EVENTS
    with building(dsn) as process:
        assert process.wait(PATIENCE_SECS) == 0
    move_on(dsn, PROJECT)
    assert rows_of(dsn, PROJECT, "ready") == rows_of(dsn, PROJECT, "live")


@pytest.mark.slow
def test_who_is_killed_at_any_moment_leaves_whole_pages(dsn: str, ledger: None) -> None:
    with building(dsn, events_per_sec=3 * PAGE) as process:
        while position(dsn) < EVENTS // 2:
            assert process.poll() is None
    assert process.returncode == -signal.SIGKILL
    reached = position(dsn)
    with psycopg.connect(dsn, autocommit=True) as conn:
        statement = "select max(positions[cardinality(positions)]) from run_history where generation = 2"
        [(last,)] = conn.execute(statement).fetchall()
    assert last == reached < EVENTS
    with building(dsn) as process:
        assert process.wait(PATIENCE_SECS) == 0
    move_on(dsn, PROJECT)
    assert rows_of(dsn, PROJECT, "ready") == rows_of(dsn, PROJECT, "live")
