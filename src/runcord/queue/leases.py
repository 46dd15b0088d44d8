"""Leases: a worker's right to work on one attempt until a deadline.

A lease is a row, not an event: it begins with the claim, heartbeats move it without touching the ledger, it ends
with the attempt, and one that runs out becomes an event (`queue.scheduler`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from runcord.ledger.arrays import Integers, Texts, Times
from runcord.ledger.view import Change, Statement
from runcord.run.state import Run
from runcord.sql import load

SQL = load("runcord.sql", "queries/queue.sql")


class Leases:
    """The inline projection `leases`: which attempts are live, and until when at the least."""

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return one statement for the leases that begin or change, one for those that end."""
        granted = [change for change in changes if isinstance(change.after, Run) and _begins(change)]
        ended = [change for change in changes if isinstance(change.after, Run) and _ends(change)]
        if ended:
            yield SQL["end_leases"], {"project_id": project_id, "run_ids": Texts(c.stream_id for c in ended)}
        if granted:
            runs: list[Run] = [change.after for change in granted]
            yield (
                SQL["grant_leases"],
                {
                    "project_id": project_id,
                    "run_ids": Texts(run.run_id for run in runs),
                    "fences": Integers(run.fence for run in runs),
                    "attempts": Integers(run.attempt for run in runs),
                    "worker_ids": Texts(run.worker_id for run in runs),
                    "job_ids": Texts(run.job_id for run in runs),
                    "concurrency_keys": Texts(run.concurrency_key for run in runs),
                    "expires_ats": Times(_expiry(change) for change in granted),
                    "timeout_ats": Times(run.timeout_at for run in runs),
                },
            )


def first_deadline(run: Run) -> datetime:
    """Return until when the lease of a run just claimed lasts unless it is renewed."""
    assert run.dequeued_at is not None
    return run.dequeued_at + timedelta(seconds=run.lease_secs or 0)


def _begins(change: Change) -> bool:
    before, after = change.before, change.after
    if not after.holds_slot:
        return False
    return before is None or not before.holds_slot or (before.fence, before.status) != (after.fence, after.status)


def _ends(change: Change) -> bool:
    return change.before is not None and change.before.holds_slot and not change.after.holds_slot


def _expiry(change: Change) -> datetime:
    run: Run = change.after
    return change.recorded[-1].at + timedelta(seconds=run.lease_secs or 0)
