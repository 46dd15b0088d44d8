"""The rate limit of a job: at most so many triggers in any span of so many seconds, exactly.

Triggers that were let in are counted by the time of their transaction, under the ledger's lock. One that came just
the span ago counts no more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from runcord.errors import Invalid, RateLimited
from runcord.job.state import Job
from runcord.ledger.transaction import Transaction
from runcord.sql import load

SQL = load("runcord.sql", "queries/admission.sql")


@dataclass
class Turn:
    """What one command wants of the rates of its job: at most `wanted` triggers; `taken` were let in so far."""

    wanted: int
    taken: int = 0


@dataclass
class _Used:
    """The triggers of the present span: those of earlier transactions, the first of those, and this one's own."""

    earlier: int
    oldest: tuple[datetime, int] | None
    here: int = 0

    def add(self, count: int) -> None:
        self.here += count


def limit_of(job: Job) -> tuple[int, int] | None:
    """Return how many triggers the job takes in how many seconds, if that is limited."""
    most, secs = job.settings.rate_limit_max, job.settings.rate_limit_window_secs
    return (most, secs) if most and secs else None


def take(tx: Transaction, job: Job, turn: Turn) -> None:
    """Let one more trigger in.

    Raises:
        RateLimited: not before some time.
        Invalid: never, because the call alone wants more than the job takes.
    """
    limit = limit_of(job)
    if limit is None:
        return
    most, secs = limit
    used = tx.memory(("rate", job.job_id, secs), lambda: _read(tx, job.job_id, secs))
    if used.earlier + used.here < most:
        used.add(1)
        turn.taken += 1
        tx.on_undo(lambda: used.add(-1))
        return
    text = f"the job {job.settings.slug!r} takes {_counted(most, 'trigger')} in {_counted(secs, 'second')}"
    if turn.taken == most:
        raise Invalid(f"{text}: send no more than that in one call")
    before = used.earlier + used.here - turn.taken
    to_leave = before + min(turn.wanted, most) - most
    wait = _leaves_at(tx, job.job_id, secs, used, to_leave) + timedelta(seconds=secs) - tx.at
    raise RateLimited(
        f"{text}, and there is room for {most - before} now; come again in {wait.total_seconds():.3f} seconds",
        limit=most,
        remaining=most - before,
        retry_after_secs=wait.total_seconds(),
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _read(tx: Transaction, job_id: str, secs: int) -> _Used:
    rows = tx.query(SQL["trigger_rate"], {"job_id": job_id, "since": tx.at - timedelta(seconds=secs)})
    for triggered_at, count, used in rows:
        return _Used(used, (triggered_at, count))
    return _Used(0, None)


def _leaves_at(tx: Transaction, job_id: str, secs: int, used: _Used, n: int) -> datetime:
    """Return when the n-th trigger of the span was let in: it is the one that has to leave."""
    if used.oldest is not None and n <= used.oldest[1]:
        return used.oldest[0]
    since = tx.at - timedelta(seconds=secs)
    for (triggered_at,) in tx.query(SQL["nth_trigger"], {"job_id": job_id, "since": since, "n": n}):
        return triggered_at
    return tx.at
