"""The dispatcher: claims due runs of jobs with an endpoint, and sends them there.

Each server process has one. Claims go the way of all claims, so any number of dispatchers, and workers that ask for
such jobs by name, share the runs without giving any attempt to two. Commits of this process are acted on at once; what
another process has queued and cannot send itself is found within `LOOK_SECS`. A process that dies leaves its leases to
run out, and the attempts count as crashed: delivery is at least once, and the attempt's number tells.
"""

import asyncio
import os
import random
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from runcord.clock import monotonic
from runcord.dispatch.delivery import Carrier, Delivered, Target
from runcord.dispatch.live import Live, LiveAttempts
from runcord.dispatch.message import message
from runcord.dispatch.prospects import JobKey, Prospects
from runcord.dispatch.record import RecordAttempt
from runcord.dispatch.shares import shares
from runcord.errors import Conflict, NotFound, RuncordError, Unavailable
from runcord.ledger.committer import Committer
from runcord.ledger.statements import Read, Touch
from runcord.ledger.transaction import Context
from runcord.ledger.view import Change
from runcord.projecting.handover import NOTHING, Handover, handovers
from runcord.queue.claims import MAX_CLAIM, ClaimedRun, ClaimRuns, Selection
from runcord.queue.desk import ClaimDesk
from runcord.run import commands as c
from runcord.run.events import Failure
from runcord.run.state import Run
from runcord.sql import load
from runcord_projections.job_view.projection import CODEC as JOBS

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/queue.sql")

DISPATCHER = Context(actor="system:dispatcher")

LOOK_SECS = 1.0
"""How often all projects are looked at: what no commit of this process told of is found within this time."""

GRACE_SECS = 5.0
"""How long requests that are under way may go on when the server stops; the runs of the others are given back."""

_RECORD_PAUSE_SECS = 1.0
_RECORD_TRIES = 60

SignToken = Callable[[str, Run], str]
"""From a project and a claimed run to the token that speaks for the claim."""


class Dispatcher:
    """Sends runs to endpoints for as long as it runs, at most `concurrency` requests at a time."""

    def __init__(
        self,
        committer: Committer,
        desk: ClaimDesk,
        read: Read,
        touch: Touch,
        carrier: Carrier,
        sign_token: SignToken,
        *,
        concurrency: int,
        lease_secs: float,
    ) -> None:
        self._committer = committer
        self._desk = desk
        self._read = read
        self._touch = touch
        self._carrier = carrier
        self._sign_token = sign_token
        self._concurrency = concurrency
        self._lease_secs = lease_secs
        self._worker_id = f"push:{socket.gethostname()[:64]}:{os.getpid()}"
        self._is_running = False
        self._prospects = Prospects(LOOK_SECS)
        self._live = LiveAttempts(touch, lease_secs)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def committed(self, project_id: str, changes: Sequence[Change]) -> Callable[[], None] | None:
        """Return what takes note of a commit of this process, if there is something in it."""
        if not self._is_running:
            return None
        hints = self._prospects.hints(project_id, changes)
        runs = [change.after for change in changes if change.stream_id in self._live]
        return partial(self._hear, hints, runs) if hints or runs else None

    def _hear(self, hints: list[tuple[JobKey, float]], runs: list[Run]) -> None:
        self._prospects.hear(hints)
        for run in runs:
            self._live.changed(run)

    async def run(self) -> None:
        """Send runs until cancelled. A database that is away is waited for."""
        self._is_running = True
        beats = asyncio.create_task(self._live.keep())
        try:
            looks_at = monotonic()
            while True:
                self._prospects.news.clear()
                try:
                    if monotonic() >= looks_at:
                        looks_at = monotonic() + LOOK_SECS
                        await self._look()
                    await self._serve()
                except (psycopg.Error, PoolTimeout, RuncordError) as error:
                    log.warning("dispatcher_waits", error=str(error).strip())
                try:
                    async with asyncio.timeout(max(0.0, looks_at - monotonic())):
                        await self._prospects.news.wait()
                except TimeoutError:
                    pass
        finally:
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)

    async def close(self) -> None:
        """Let requests end for `GRACE_SECS`, give back the runs of those that do not, and wait for all records."""
        self._closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_SECS)
        unfinished = list(self._live)
        for live in unfinished:
            self._live.remove(live)
            live.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)
        by_project: dict[str, list[ClaimedRun]] = {}
        for live in unfinished:
            by_project.setdefault(live.project_id, []).append(live.claimed)
        for project_id, claimed in by_project.items():
            await self._desk.give_back(project_id, DISPATCHER, claimed)

    # --- finding work ---------------------------------------------------------------------------------

    async def _look(self) -> None:
        if len(self._tasks) < self._concurrency:
            rows = await self._touch(SQL["ready_pushes"], {})
            found = [(project_id, job_id) for project_id, job_id in rows]
            random.shuffle(found)  # whoever looks first, nobody is always served first
            self._prospects.add(found)

    async def _serve(self) -> None:
        """Claim and begin what there is room for; jobs that may have more are looked at when there is room again."""
        while (free := self._concurrency - len(self._tasks)) > 0 and (jobs := self._prospects.take()):
            try:
                targets = await self._targets(jobs)
            except BaseException:
                self._prospects.put_back(jobs)
                raise
            limits = self._limits(targets, free)
            self._prospects.put_back(job for job in limits if not limits[job])
            begun = [job for job in limits if limits[job]]
            claims = await asyncio.gather(
                *(self._claim(targets[job], limits[job]) for job in begun), return_exceptions=True
            )
            for job, count in zip(begun, claims, strict=True):
                if isinstance(count, BaseException):
                    log.warning("dispatch_claim_failed", project_id=job[0], job_id=job[1], error=str(count))
                elif count == limits[job]:
                    self._prospects.put_back([job])
            if not any(count == limits[job] for job, count in zip(begun, claims, strict=True)):
                break

    def _limits(self, targets: Mapping[JobKey, Target], free: int) -> dict[JobKey, int]:
        """Return how many runs to claim of each job; those whose endpoints' circuits are open are left out."""
        rooms = {job: target.room(self._carrier.breakers) for job, target in targets.items()}
        under_way = self._live.count()
        given = shares({job: under_way[job] for job, room in rooms.items() if room != 0}, free)
        limits: dict[JobKey, int] = {}
        for job, room in rooms.items():
            if room != 0:
                share = min(given.get(job, 0), MAX_CLAIM)
                limits[job] = share if room is None else min(share, room)
        return limits

    async def _targets(self, jobs: Iterable[JobKey]) -> Mapping[JobKey, Target]:
        """Return where the runs of those jobs go that have an endpoint, in the order of `jobs`."""
        by_project: dict[str, list[str]] = {}
        for project_id, job_id in jobs:
            by_project.setdefault(project_id, []).append(job_id)
        found: dict[JobKey, Target] = {}
        for project_id, job_ids in by_project.items():
            rows = await self._read(SQL["pushed_jobs"], {"project_id": project_id, "job_ids": job_ids})
            for job_id, state in rows:
                settings = JOBS.decode(state).settings
                assert settings.endpoint_url is not None
                found[project_id, job_id] = Target(
                    project_id,
                    job_id,
                    settings.endpoint_url,
                    settings.fallback_endpoint_url,
                    settings.has_endpoint_signing_secret,
                )
        self._prospects.learn(found, (job for job in jobs if job not in found))
        return {job: found[job] for job in jobs if job in found}

    async def _claim(self, target: Target, limit: int) -> int:
        """Claim runs and begin to send them; return how many."""
        selection = Selection(job_ids=(target.job_id,))
        claim = ClaimRuns(DISPATCHER, self._worker_id, selection, limit, self._lease_secs, start=True)
        claimed: list[ClaimedRun] = (await self._desk.take(target.project_id, claim, 0)).value
        claimed_at = monotonic()
        taken = [Live(target.project_id, one) for one in claimed]
        for live in taken:
            self._live.add(live)
        try:
            left = await handovers(self._read, target.project_id, [one.run for one in claimed])
        except BaseException:
            for live in taken:
                self._live.remove(live)
            # Better no claim than one whose endpoint does not know where to go on from.
            await self._desk.give_back(target.project_id, DISPATCHER, claimed)
            raise
        for live in taken:
            if live.is_over:
                self._live.remove(live)
                continue
            run_id = live.claimed.run.run_id
            live.task = asyncio.create_task(self._attempt(target, live, left.get(run_id, NOTHING), claimed_at))
            self._tasks.add(live.task)
            live.task.add_done_callback(self._ended)
        return len(claimed)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._prospects.news.set()

    # --- one attempt ----------------------------------------------------------------------------------

    async def _attempt(self, target: Target, live: Live, left: Handover, claimed_at: float) -> None:
        run = live.claimed.run
        try:
            sent = message(live.claimed, left, self._sign_token(target.project_id, run))
            delivered = await self._carrier.deliver(target, live.claimed, sent, claimed_at)
        except asyncio.CancelledError:
            if not live.is_over:
                raise
            return
        except Exception:
            log.exception("dispatch_failed", project_id=target.project_id, run_id=run.run_id)
            failure = Failure("the server could not send this attempt: its log says why", "unknown")
            delivered = Delivered((), c.Fail(failure, jitter=random.random(), claim=c.Claim(run.attempt, run.fence)))
        finally:
            # From here on nothing aborts it: what was answered is recorded.
            here = self._live.remove(live)
        if here:
            await self._record(target.project_id, run, delivered)

    async def _record(self, project_id: str, run: Run, delivered: Delivered) -> None:
        """Record what came of an attempt; while the database is away, again and again."""
        handler = RecordAttempt(DISPATCHER, run.run_id, delivered.dispatches, delivered.ending)
        for _ in range(_RECORD_TRIES):
            try:
                if delivered.accepted:
                    # The endpoint works on: it has the attempt's time, or less if it sends heartbeats of its own.
                    await self._live.renew(project_id, [run], run.policy.timeout_secs)
                await self._committer.execute(project_id, handler)
                return
            except (Conflict, NotFound) as refusal:
                log.info("dispatch_not_recorded", project_id=project_id, run_id=run.run_id, reason=refusal.message)
                return
            except Unavailable as error:
                log.warning("dispatch_record_waits", project_id=project_id, run_id=run.run_id, error=error.message)
                if self._closing:
                    return
                await asyncio.sleep(_RECORD_PAUSE_SECS)
            except RuncordError as error:
                log.error("dispatch_not_recorded", project_id=project_id, run_id=run.run_id, reason=error.message)
                return
