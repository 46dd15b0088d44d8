"""The scheduler: turns what time has made of runs into commands.

Delays, times to live, waits, leases and attempt timeouts are columns; whoever looks finds what is due in all
projects, the longest overdue first. Any number of processes may look: a command that comes late, or twice, is
decided on the latest state and causes nothing.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from runcord.clock import monotonic
from runcord.errors import InternalError, RuncordError
from runcord.handling.consequence import apply
from runcord.ledger.committer import Committer
from runcord.ledger.transaction import Context, Plan, Row, Transaction
from runcord.ledger.view import Change
from runcord.run import commands as c
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/queue.sql")
CHUNKS_SQL = load("runcord.sql", "queries/chunks.sql")
ADMISSION = load("runcord.sql", "queries/admission.sql")
ACCESS = load("runcord.sql", "queries/access.sql")

EXPIRED = (
    SQL["forget_expired_idempotency_keys"],
    ADMISSION["forget_expired_payloads"],
    ADMISSION["forget_expired_counts"],
    ACCESS["forget_expired_tokens"],
)

SCHEDULER = Context(actor="system:scheduler")

MAX_SLEEP_SECS = 1.0
"""A timer that another process set is found within this time."""

PARKED_SECS = 60.0
"""How long a run is left alone whose timer fails through a fault of ours: it is logged, and others go on."""

SWEEP_SECS = 600.0
"""How often rows are removed that mean nothing any more."""

SWEEP_PAGE = 5000
"""How many chunks one statement removes: none takes long, or much room in the log of the database."""

PAGE = 1000
_IDLE_SECS = 0.2
_GROUP = 100


@dataclass(frozen=True)
class Timer:
    """Something of a run that is due: its own time (`run`), the lease of one of its claims (`lease`), or its queueing
    after dependencies were met (`dependency`)."""

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
            command = self._command(tx, run, timer, jitter)
            if command is not None:
                effects += apply(tx, run.run_id, command).version > run.version
        return effects

    def _command(self, tx: Transaction, run: Run, timer: Timer, jitter: float) -> c.TimerCommand | None:
        match timer.kind:
            case "lease":
                return self._lease(tx, run, timer, jitter)
            case "dependency":
                return c.MeetDependencies()
            case _:
                return _own(run)

    def _lease(self, tx: Transaction, run: Run, timer: Timer, jitter: float) -> c.TimerCommand | None:
        """A heartbeat may have moved the lease since: the row itself says, locked until this is committed."""
        if run.timeout_at is not None and run.timeout_at <= tx.at:
            return c.TimeOut(jitter)
        for fence, is_over in tx.query(SQL["lease"], {"run_id": run.run_id}):
            if is_over and fence == timer.fence:
                return c.Crash(fence, jitter)
        return None


def soonest(changes: Sequence[Change]) -> float:
    """Return in how many seconds the first timer is due that was set by `changes`, by the ledger's clock."""
    first = math.inf
    for change in changes:
        run = change.after
        if isinstance(run, Run) and (due_at := _timer(run)) is not None:
            first = min(first, (due_at - change.recorded[-1].at).total_seconds())
    return max(0.0, first)


def _timer(run: Run) -> datetime | None:
    match run.status:
        case Status.DELAYED:
            return run.due_at
        case Status.QUEUED:
            return run.expires_at
        case Status.WAITING:
            return None if run.wait is None else run.wait.until
        case Status.EXECUTING:
            return run.timeout_at
        case _:
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

    def __init__(
        self,
        pool: AsyncConnectionPool[psycopg.AsyncConnection[Row]],
        committer: Committer,
        *,
        keep_chunks_secs: float = 30 * 24 * 3600,
    ) -> None:
        self._pool = pool
        self._committer = committer
        self._keep_chunks_secs = keep_chunks_secs
        self._wakes_at = math.inf
        self._sweeps_at = monotonic()
        self._parked: dict[tuple[str, str], float] = {}
        self._earlier = asyncio.Event()

    def committed(self, changes: Sequence[Change]) -> Callable[[], None] | None:
        """Return what takes note of timers that this process has set, if they are close."""
        secs = soonest(changes)
        return partial(self._expect, secs) if secs < MAX_SLEEP_SECS else None

    def _expect(self, secs: float) -> None:
        wakes_at = monotonic() + secs
        if wakes_at < self._wakes_at:
            self._wakes_at = wakes_at
            self._earlier.set()

    async def run(self) -> None:
        """Fire timers until cancelled. A database that is away is waited for."""
        while True:
            # Timers that are set from here on may have been missed by the queries that follow.
            self._wakes_at = math.inf
            try:
                if monotonic() >= self._sweeps_at:
                    self._sweeps_at = monotonic() + SWEEP_SECS
                    self._parked.clear()
                    await self.sweep()
                pause = 0.0 if await self.fire() else await self._until_next()
            except (psycopg.Error, PoolTimeout, RuncordError) as error:
                log.warning("scheduler_waits", error=str(error))
                pause = MAX_SLEEP_SECS
            await self._sleep(pause)

    async def _sleep(self, secs: float) -> None:
        """Sleep until a timer is expected, if that is before `secs` have passed."""
        self._wakes_at = min(self._wakes_at, monotonic() + secs)
        while (left := self._wakes_at - monotonic()) > 0:
            self._earlier.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._earlier.wait(), left)

    async def fire(self) -> bool:
        """Fire what is due now, at most a page; return whether anything came of it."""
        async with self._pool.connection() as conn:
            rows = await (await conn.execute(SQL["due_timers"], {"limit": PAGE})).fetchall()
        by_project: dict[str, list[Timer]] = {}
        for project_id, run_id, kind, fence, _ in rows:
            if self._parked.get((project_id, run_id), 0) <= monotonic():
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

    async def sweep(self) -> None:
        """Remove what has no effect any more: keys, payloads, counts and tokens whose time is over, old chunks."""
        async with self._pool.connection() as conn:
            for statement in EXPIRED:
                await conn.execute(statement)
            removed = SWEEP_PAGE
            while removed == SWEEP_PAGE:
                params = {"keep_secs": self._keep_chunks_secs, "limit": SWEEP_PAGE}
                removed = (await conn.execute(CHUNKS_SQL["forget_expired_chunks"], params)).rowcount

    async def _wake(self, project_id: str, timers: Sequence[Timer]) -> int:
        dice = [random.random() for _ in timers]
        try:
            return (await self._committer.execute(project_id, WakeRuns(timers, dice))).value
        except InternalError:
            if len(timers) == 1:
                log.error("timer_parked", project_id=project_id, run_id=timers[0].run_id, secs=PARKED_SECS)
                self._parked[project_id, timers[0].run_id] = monotonic() + PARKED_SECS
                return 0
        # A run that cannot be woken must not keep its neighbours asleep.
        half = len(timers) // 2
        return await self._wake(project_id, timers[:half]) + await self._wake(project_id, timers[half:])

    async def _until_next(self) -> float:
        async with self._pool.connection() as conn:
            row = await (await conn.execute(SQL["next_timer"])).fetchone()
        if row is None or row[0] is None:
            return MAX_SLEEP_SECS
        # A timer that is due but has no effect yet must not make this spin.
        return min(float(row[0]), MAX_SLEEP_SECS) if row[0] > 0 else _IDLE_SECS
