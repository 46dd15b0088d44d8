"""Rows made from outlines are those made from whole runs, whatever is left unread and whoever goes on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from runcord.projecting import outlines, projector
from runcord.projecting.registry import projections
from runcord.run import events as e
from runcord.run.retry import RetryPolicy
from runcord.run.trigger_events import Admission
from runcord.testing.ledger import PROJECT, Entry, append
from runcord.testing.projections import Rows, move_on, rows_of
from runcord.testing.scenario import FAILURE, moment

if TYPE_CHECKING:
    from conftest import Ledger

LARGE = "x" * (outlines.LARGE_BYTES + 1)
POLICY = RetryPolicy()


def triggered(**members: Any) -> e.Triggered:
    """Return a trigger with a payload that no page holds."""
    return e.Triggered("job_a", "parse", 1, "manual", POLICY, payload=LARGE, **members)


@pytest.fixture
def eventful(ledger: "Ledger") -> "Ledger":
    """Runs that each projection has rows of, with much that none of them reads."""
    ledger.record("run_a", triggered(tags={"env": "prod"}), e.Dequeued("w", 1, 1, 60), e.Attempted(1))
    ledger.record("run_b", triggered(tags={"env": "test"}, parent_run_id="run_a"))
    ledger.record("run_a", *(e.Logged(LARGE) for _ in range(120)), e.UsageRecorded("p", "m", 1, 2, 3, 4))
    ledger.record("run_b", e.Debounced(moment(0), 1, POLICY, Admission("debounce"), payload=LARGE, tags={"env": "x"}))
    ledger.record("run_a", e.Retried(1, 2, moment(0), FAILURE), e.Dequeued("w", 2, 2, 60), e.Attempted(2))
    ledger.record("run_a", e.DeadLettered(2, FAILURE), e.DeadLetterReplayed(2), e.Tagged({"more": LARGE}))
    ledger.record("run_b", e.Dequeued("w", 1, 1, 60), e.Attempted(1), e.Completed(1, result=LARGE))
    return ledger


def forget(dsn: str) -> None:
    """Have all projections begin anew."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("delete from projections")
        for projection in projections().values():
            conn.execute(f"delete from {projection.table.name}".encode())


def made(dsn: str, limit: int) -> Rows:
    """Return the rows that all projections make of the ledger in batches of so many events."""
    forget(dsn)
    move_on(dsn, PROJECT, limit=limit)
    return rows_of(dsn, PROJECT, "live")


@pytest.fixture
def whole(dsn: str, eventful: "Ledger") -> Iterator[Rows]:
    """What projections make of whole runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projector, "can_outline", lambda _: False)
        rows = made(dsn, 1000)
    assert all(rows.values())
    assert len(rows["run_snapshots"]) == 2
    yield rows


@pytest.mark.parametrize("limit", [1000, 17, 1])
def test_rows_are_the_same_as_of_whole_runs(dsn: str, whole: Rows, limit: int) -> None:
    assert made(dsn, limit) == whole


def test_rows_are_the_same_when_nothing_is_remembered(dsn: str, whole: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(dsn)
    for _ in range(20):
        known = projector.Projector(dsn, projections())
        known.advance(PROJECT, limit=9)
        known.close()
    assert rows_of(dsn, PROJECT, "live") == whole
    monkeypatch.setattr(outlines, "OUTLINES_KEPT", 0)
    assert made(dsn, 9) == whole


def test_large_events_are_read_a_few_at_a_time(dsn: str, whole: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "AT_ONCE_BYTES", outlines.LARGE_BYTES)
    assert made(dsn, 1000) == whole


def test_events_of_which_only_the_type_counts_are_not_looked_into(dsn: str, ledger: "Ledger") -> None:
    ledger.record("run_a", triggered(), e.Dequeued("w", 1, 1, 60))
    with psycopg.connect(dsn, autocommit=True) as conn:
        append(conn, Entry("run_a", 3, b"no JSON", e.Attempted.TYPE), Entry("run_a", 4, b"{", e.Completed.TYPE))
    move_on(dsn, PROJECT)
    with psycopg.connect(dsn, autocommit=True) as conn:
        [(statuses,)] = conn.execute("select statuses from run_history").fetchall()
        assert conn.execute("select count(*) from projections where parked_at is not null").fetchall() == [(0,)]
    assert statuses == ["queued", "dequeued", "executing", "completed"]
