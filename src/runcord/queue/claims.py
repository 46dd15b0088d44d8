"""Claims: giving due runs to workers, in the queue's order and under exact concurrency limits.

Claims are commands under the ledger's lock. Those of different workers that wait in the same group are answered
from one query, one after the other, and each counts the slots that the ones before it took.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from runcord.handling.consequence import apply
from runcord.handling.trigger import policy_of
from runcord.job.state import Job
from runcord.ledger.mapper import JOBS, RUNS
from runcord.ledger.transaction import Context, Plan, Row, Transaction
from runcord.ledger.view import Statement
from runcord.queue.slots import Slots, slots_of
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.state import Run
from runcord.sql import load

SQL = load("runcord.sql", "queries/queue.sql")


MAX_CLAIM = 1000


@dataclass(frozen=True)
class Selection:
    """Which runs a worker takes: of these jobs (ids), of these queues; None means any."""

    job_ids: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ClaimedRun:
    """A run that now belongs to the worker, with its payload as JSON bytes."""

    run: Run
    payload: bytes | None


@dataclass
class _Candidates:
    """The question of all claims in a group that select alike: as many runs as they want together."""

    selection: Selection
    limit: int = 0
    closed_job_ids: set[str] = field(default_factory=set[str])
    closed_keys: set[str] = field(default_factory=set[str])

    def statement(self, project_id: str) -> Statement:
        return SQL["claim_candidates"], {
            "project_id": project_id,
            "limit": self.limit,
            "job_ids": None if self.selection.job_ids is None else list(self.selection.job_ids),
            "queues": None if self.selection.queues is None else list(self.selection.queues),
            "closed_job_ids": sorted(self.closed_job_ids),
            "closed_keys": sorted(self.closed_keys),
        }


@dataclass(frozen=True)
class _One:
    run_id: str

    def statement(self, project_id: str) -> Statement:
        return SQL["claim_one"], {"project_id": project_id, "run_id": self.run_id}


@dataclass(frozen=True)
class ClaimRuns:
    """Take up to `limit` due runs for a worker; answers those that it got, in the queue's order."""

    context: Context
    worker_id: str
    selection: Selection
    limit: int
    lease_secs: float
    start: bool = False
    run_id: str | None = None
    """Claim just this run, if it may be claimed."""

    @property
    def weight(self) -> int:
        """At most two events for each run."""
        return 2 * self.limit

    def prepare(self, plan: Plan) -> None:
        """Look for candidates."""
        if self.run_id is not None:
            run_id = self.run_id
            plan.ask(self._key, lambda: _One(run_id))
        else:
            plan.ask(self._key, lambda: _Candidates(self.selection)).limit += self.limit

    @property
    def _key(self) -> object:
        return ("claim", self.run_id or self.selection)

    def handle(self, tx: Transaction) -> list[ClaimedRun]:
        """Take what is there and permitted."""
        slots = slots_of(tx)
        claimed: list[ClaimedRun] = []
        supply = tx.memory(self._key, lambda: _Supply(tx.answer(self._key)))
        while len(claimed) < self.limit:
            row = supply.next()
            if row is None:
                if self.run_id is not None or not supply.skipped:
                    break
                # What was left out belongs to jobs or keys that became full meanwhile: look behind them.
                if not supply.refill(tx, self.selection, self.limit - len(claimed), slots):
                    break
                continue
            taken = self._take(tx, row, slots)
            if taken is None:
                supply.skipped = True
            else:
                claimed.append(taken)
        return claimed

    def _take(self, tx: Transaction, row: Row, slots: Slots) -> ClaimedRun | None:
        run_id, version, stored, payload, *limits, job_state = row
        if not slots.take(tx, *limits):
            return None
        tx.accept_state(run_id, version, RUNS.decode(stored))
        run: Run = tx.state(run_id)
        if run.status != "queued" or run.due_at > tx.at:
            slots.give_back(limits[0], limits[1])
            return None
        if job_state is not None:
            _follow_job(tx, run, JOBS.decode(job_state))
        run = apply(tx, run_id, c.Dequeue(self.worker_id, self.lease_secs, self.start))
        return ClaimedRun(run, payload)


class _Supply:
    """The candidates of one question, handed out once each."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = list(reversed(rows))
        self._seen = (-1, -1, -1)
        self.skipped = False

    def next(self) -> Row | None:
        return self._rows.pop() if self._rows else None

    def refill(self, tx: Transaction, selection: Selection, limit: int, slots: Slots) -> bool:
        """Look again; return False when nothing has changed since the last look."""
        # Runs that this transaction has claimed are queued still as far as the table knows: ask for as many more.
        claimed = sum(1 for run in tx.states(Run) if run.holds_slot)
        seen = (claimed, len(slots.closed_jobs), len(slots.closed_keys))
        if seen == self._seen:
            return False
        self._seen = seen
        question = _Candidates(selection, limit + claimed, slots.closed_jobs, slots.closed_keys)
        self._rows = list(reversed(tx.query(*question.statement(tx.project_id))))
        self.skipped = False
        return bool(self._rows)


def _follow_job(tx: Transaction, run: Run, job: Job) -> None:
    """Let a run that is not pinned follow its job's later version."""
    settings: Any = job.settings
    stays = settings.version_policy == "minor" and job.last_breaking_version > run.job_version
    if job.version > run.job_version and not stays:
        tx.record(run.run_id, e.JobVersionResolved(job.version, policy_of(job, run.overrides)))
