"""The scheduler: turns what time has made of runs into commands.

Delays, times to live, waits, leases and attempt timeouts are columns; whoever looks finds what is due in all
projects, the longest overdue first. Any number of processes may look: a command that comes late, or twice, is
decided on the latest state and causes nothing.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from runcord.errors import RuncordError
from runcord.handling.consequence import apply
from runcord.ledger.committer import Committer
from runcord.ledger.transaction import Context, Plan, Row, Transaction
from runcord.run import commands as c
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/queue.sql")

SCHEDULER = Context(actor="system:scheduler")

MAX_SLEEP_SECS = 1.0
"""A timer that another process set is found within this time."""

PAGE = 1000
_IDLE_SECS = 0.2
_GROUP = 100


@dataclass(frozen=True)
class Timer:
    """Something of a run that is due: its own time (`run`), or the lease of one of its claims (`lease`)."""

    run_id: str
    kind: str
    fence: int


@dataclass(frozen=True)
class WakeRuns:
    """Let time take its effect on runs of one project; answers how many it had one on."""

    timers: Sequence[Timer]
    dice: Sequence[float]
    """A number in [0, 1) for each timer: the jitter of a retry that may come of it."""
    context: Context = SCHEDULER

    @property
    def weight(self) -> int:
        """About one event for each."""
        return len(self.timers)

    def prepare(self, plan: Plan) -> None:
        """Read the runs."""
        plan.need(*(timer.run_id for timer in self.timers))

    def handle(self, tx: Transaction) -> int:
        """Find out what each timer means now, and decide it."""
        effects = 0
        for timer, jitter in zip(self.timers, self.dice, strict=True):
            run = tx.state(timer.run_id)
            if not isinstance(run, Run):
                continue
            command = self._lease(tx, run, timer, jitter) if timer.kind == "lease" else _own(run)
            if command is not None:
                effects += apply(tx, run.run_id, command).version > run.version
        return effects

    def _lease(self, tx: Transaction, run: Run, timer: Timer, jitter: float) -> c.TimerCommand | None:
        """A heartbeat may have moved the lease since: the row itself says, locked until this is committed."""
        if run.timeout_at is not None and run.timeout_at <= tx.at:
            return c.TimeOut(jitter)
        for fence, is_over in tx.query(SQL["lease"], {"run_id": run.run_id}):
            if is_over and fence == timer.fence:
                return c.Crash(fence, jitter)
        return None


def _own(run: Run) -> c.TimerCommand | None:
    match run.status:
        case Status.DELAYED:
            return c.Enqueue()
        case Status.QUEUED:
            return c.Expire()
        case Status.WAITING:
            return c.EndWait()
        case _:
            return None


class Scheduler:
    """Watches the timers of all projects for as long as it runs."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Row]], committer: Committer) -> None:
        self._pool = pool
        self._committer = committer
        self._changed = asyncio.Event()

    def nudge(self) -> None:
        """Say that a timer may have been set that is due earlier than the scheduler thinks. For the event loop."""
        self._changed.set()

    async def run(self) -> None:
        """Fire timers until cancelled. A database that is away is waited for."""
        while True:
            try:
                pause = 0.0 if await self.fire() else await self._until_next()
            except (psycopg.Error, PoolTimeout, RuncordError) as error:
                log.warning("scheduler_waits", error=str(error))
                pause = MAX_SLEEP_SECS
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), pause)
            except TimeoutError:
                pass

    async def fire(self) -> bool:
        """Fire what is due now, at most a page; return whether anything came of it."""
        async with self._pool.connection() as conn:
            rows = await (await conn.execute(SQL["due_timers"], {"limit": PAGE})).fetchall()
        by_project: dict[str, list[Timer]] = {}
        for project_id, run_id, kind, fence, _ in rows:
            by_project.setdefault(project_id, []).append(Timer(run_id, kind, fence))
        groups = [
            (project_id, timers[i : i + _GROUP])
            for project_id, timers in by_project.items()
            for i in range(0, len(timers), _GROUP)
        ]
        outcomes = await asyncio.gather(
            *(self._wake(project_id, timers) for project_id, timers in groups), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                log.warning("timers_failed", error=str(outcome))
        return any(isinstance(outcome, int) and outcome > 0 for outcome in outcomes)

    async def _wake(self, project_id: str, timers: Sequence[Timer]) -> int:
        dice = [random.random() for _ in timers]
        return (await self._committer.execute(project_id, WakeRuns(timers, dice))).value

    async def _until_next(self) -> float:
        async with self._pool.connection() as conn:
            row = await (await conn.execute(SQL["next_timer"])).fetchone()
        if row is None or row[0] is None:
            return MAX_SLEEP_SECS
        # A timer that is due but has no effect yet must not make this spin.
        return min(float(row[0]), MAX_SLEEP_SECS) if row[0] > 0 else _IDLE_SECS
