"""Long histories are folded from snapshots on, and that makes no difference to what is read."""

from typing import TYPE_CHECKING

import psycopg
import pytest

from runcord.projecting.projector import Projector
from runcord.projecting.registry import projections
from runcord.projecting.time_travel import run_at_version
from runcord.run import events as e
from runcord.run.retry import RetryPolicy
from runcord.testing.ledger import PROJECT
from runcord_projections.run_snapshots.projection import SPACING

if TYPE_CHECKING:
    from conftest import Ledger

RUN = "run_long"
LENGTH = 3 * SPACING + 7


@pytest.fixture
def long(ledger: "Ledger") -> "Ledger":
    """A run with a long history, in which every event leaves a trace."""
    ledger.record(RUN, e.Triggered("job_a", "parse", 1, "manual", RetryPolicy()))
    ledger.record(RUN, *(e.Tagged({f"n{n % 7}": str(n)}) for n in range(2, LENGTH + 1)))
    return ledger


def project(dsn: str, *, limit: int = 1000) -> None:
    """Move all projections on to the end."""
    projector = Projector(dsn, projections())
    while projector.advance(PROJECT, limit=limit).position:
        pass
    projector.close()


def test_every_version_is_the_same_with_snapshots_as_without(dsn: str, long: "Ledger") -> None:
    without = [long.ask(run_at_version, RUN, version) for version in range(1, LENGTH + 2)]
    project(dsn)
    assert [long.ask(run_at_version, RUN, version) for version in range(1, LENGTH + 2)] == without
    assert without[-1] is None
    assert [run.version for run in without[:-1] if run is not None] == list(range(1, LENGTH + 1))


def test_a_version_is_folded_from_the_last_snapshot_before_it(dsn: str, long: "Ledger") -> None:
    project(dsn)
    with psycopg.connect(dsn, autocommit=True) as conn:
        found = conn.execute("select version from run_snapshots order by version").fetchall()
        assert [version for (version,) in found] == [SPACING, 2 * SPACING, 3 * SPACING]
        # What lies before a snapshot is not read: one that tells tales is believed.
        conn.execute(
            "update run_snapshots "
            "set state = convert_to(replace(convert_from(state, 'UTF8'), 'parse', 'tales'), 'UTF8') "
            "where version = %s",
            (2 * SPACING,),
        )
    told = {version: long.ask(run_at_version, RUN, version) for version in (99, 100, 149, 150)}
    slugs = {version: run and run.job_slug for version, run in told.items()}
    assert slugs == {99: "parse", 100: "tales", 149: "tales", 150: "parse"}


def test_a_history_longer_than_a_page_is_read_before_there_are_snapshots(ledger: "Ledger") -> None:
    ledger.record(RUN, e.Triggered("job_a", "parse", 1, "manual", RetryPolicy()))
    ledger.record(RUN, *(e.Logged(str(n)) for n in range(2500)))
    run = ledger.ask(run_at_version, RUN, 2400)
    assert run is not None
    assert run.version == 2400


def test_a_projector_that_remembers_nothing_goes_on_from_snapshots(dsn: str, long: "Ledger") -> None:
    project(dsn)
    long.record(RUN, e.Canceled("no need"))
    project(dsn)
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute("select statuses, finished_position from run_history").fetchone()
        tags = conn.execute("select count(*) from tag_index where tag_key = 'n3'").fetchone()
    assert row == (["queued", "canceled"], LENGTH + 1)
    assert tags is not None
    assert tags[0] > 0
