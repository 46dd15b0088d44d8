"""What must hold of every ledger that a benchmark has written, checked when its servers have ended.

Positions and versions without a hole, times that do not go back, the chain of digests; no claim given out twice, no
step that a run may not take; the rows of runs, and of every projection, as a build from the first event on makes them.
That everything acknowledged is there, and that readers miss nothing, each benchmark checks by itself.
"""

from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from runcord.ledger.chain import verify
from runcord.sql import load
from runcord.testing.invariants import check_ledger
from runcord.testing.projections import check_rebuilt
from runcord_bench.report import Check, Ledgers
from runcord_bench.sampling import Effort

SQL = load("runcord_bench", "invariants.sql")

WHAT = "every ledger is whole, and what is derived from it is what a rebuild makes of it"


class Ledger(NamedTuple):
    """One project's: how many events and rows of runs it has."""

    project_id: str
    events: int
    runs: int


def check(dsns: Sequence[str], ledgers: Ledgers, effort: Effort) -> Check:
    """Check the ledgers of these databases, as far as what they are lets them be checked."""
    if ledgers == "copies":
        return Check(WHAT, "not looked at: rows were copied in it, so that it is none", True)
    folded = logs = events = 0
    try:
        for dsn in dsns:
            for ledger in _ledgers(dsn):
                events += ledger.events
                if ledgers == "whole" and ledger.runs and ledger.events <= effort.folded:
                    check_ledger(dsn, ledger.project_id)
                    check_rebuilt(dsn, ledger.project_id)
                    folded += 1
                else:
                    _check_log(dsn, ledger)
                    logs += 1
    except AssertionError as error:
        return Check(WHAT, str(error), False)
    return Check(WHAT, f"{folded} ledgers, and of {logs} the log alone; {events:,} events", folded + logs > 0)


def _ledgers(dsn: str) -> Sequence[Ledger]:
    """Return the ledgers of a database that have events: none, where it is not one of the product's."""
    with psycopg.connect(dsn) as conn:
        [(is_product,)] = conn.execute(SQL["is_product"]).fetchall()
        return [Ledger(*row) for row in conn.execute(SQL["ledgers"])] if is_product else []


def _check_log(dsn: str, ledger: Ledger) -> None:
    """Raise AssertionError unless positions, versions, times and digests are as they must be."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        [found] = conn.execute(SQL["faults"], {"project_id": ledger.project_id}).fetchall()
        assert not any(found), f"{ledger.project_id}: (positions, versions, times) that do not follow: {found}"
        verification = verify(conn, ledger.project_id)
        assert verification.ok, f"{ledger.project_id}: {verification}"
