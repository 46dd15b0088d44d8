"""The worker's loop: take what is due, work on it, report, and stop gracefully."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from runcord import clock
from runcord.client import AsyncClient, Client, RuncordClientError
from runcord.client.models import Claim
from runcord.worker.attempt import LiveAttempt
from runcord.worker.backoff import Backoff
from runcord.worker.configuration import WorkerConfiguration
from runcord.worker.handler import Handler
from runcord.worker.heartbeat import keep_lease
from runcord.worker.lease import Lease
from runcord.worker.outcome import Outcome, Released
from runcord.worker.settler import MOST_REPORTS, Report, Settler

logger = logging.getLogger("runcord.worker")

LAST_POLL_SECS = 1.0
"""How old a poll must be, when the worker stops, to be given up without an answer. A busy server answers sooner;
a poll given up while its answer is on the way would leave its runs alone until their leases end."""

YIELD_SECS = 1.0
"""How long a handler that was told to stop may take to do so."""

LAST_REPORT_SECS = 5.0
"""How long a stopping worker tries to hand back what it could not finish."""


class WorkerLoop:
    """Keep up to `concurrency` attempts going until told to stop; no error of server or handler ends it."""

    def __init__(
        self,
        configuration: WorkerConfiguration,
        handlers: Mapping[str, Handler],
        client: AsyncClient,
        sync_client: Client,
    ) -> None:
        self._configuration = configuration
        self._handlers = handlers
        self._client = client
        self._sync_client = sync_client
        self._settler = Settler(client)
        self._backoff = Backoff()
        self._working: set[LiveAttempt] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._slugs: dict[str, str] = {}

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is being worked on, or hand it back: at once on `hurry`."""
        settling = asyncio.create_task(self._settler.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await self._take(stopping)
            await self._wind_down(hurry)
        finally:
            await _end([settling, stopping, *self._tasks])

    async def _take(self, stopping: "asyncio.Task[Any]") -> None:
        """Wait for a free slot, then for runs, and begin to work on them."""
        free = self._free()
        if free == 0:
            self._changed.clear()
            await _first(stopping, self._changed.wait())
            return
        asked = clock.monotonic()
        polling = asyncio.create_task(self._poll(free))
        await asyncio.wait([polling, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not polling.done():
            await asyncio.wait([polling], timeout=max(0.0, asked + LAST_POLL_SECS - clock.monotonic()))
        if not polling.done():
            await _end([polling])
            return
        claims, delay = polling.result()
        for claim in claims:
            self._begin(claim)
        if delay:
            await _first(stopping, asyncio.sleep(delay))

    def _free(self) -> int:
        """Return how many runs to ask for: none while more reports wait to be sent than go into one call."""
        if self._settler.backlog > MOST_REPORTS:
            return 0
        return self._configuration.concurrency - len(self._working)

    async def _poll(self, limit: int) -> tuple[list[Claim], float]:
        """Return the claims, and how long to keep away from the server (seconds)."""
        configuration = self._configuration
        try:
            claims = await self._client.worker.dequeue(
                configuration.worker_id,
                jobs=sorted(self._handlers),
                queues=configuration.queues,
                limit=limit,
                wait_secs=configuration.poll_secs,
                lease_secs=configuration.lease_secs,
                start=True,
            )
        except RuncordClientError as error:
            delay = self._backoff.delay(error.retry_after)
            logger.warning("no runs could be taken, trying again in %.1f s: %s", delay, error)
            return [], delay
        self._backoff.reset()
        return claims, 0.0

    def _begin(self, claim: Claim) -> None:
        live = LiveAttempt(claim, Lease(self._configuration.lease_secs))
        self._working.add(live)
        task = asyncio.create_task(self._work(live))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, live: LiveAttempt) -> None:
        claim = live.claim
        calls = self._client.worker.attempt(claim.run.id, claim.run_token, number=claim.run.attempt)
        beating = asyncio.create_task(keep_lease(live, calls))
        try:
            try:
                outcome = await self._perform(live)
            finally:
                self._working.discard(live)
                self._changed.set()
            if outcome is not None:
                await self._settler.settle(Report(claim, outcome, live.lease))
                self._changed.set()
        except Exception:  # a mistake of ours costs one attempt, not the worker; its lease will run out
            logger.exception("the attempt at %s was dropped", claim.run.id)
        finally:
            await _end([beating])

    async def _perform(self, live: LiveAttempt) -> Outcome | None:
        try:
            handler = await self._handler_for(live.claim)
        except RuncordClientError as error:
            return Released(f"The worker could not tell the run's job: {error.message}", delay=1.0)
        if handler is None:
            return Released("The worker has no handler for this job.", delay=1.0)
        return await live.perform(handler, self._client, self._sync_client)

    async def _handler_for(self, claim: Claim) -> Handler | None:
        """Return the handler under the job's slug or id; ask the server for the slug if the run lacks it."""
        run = claim.run
        if run.job_id in self._handlers:
            return self._handlers[run.job_id]
        if len(self._handlers) == 1:
            return next(iter(self._handlers.values()))
        slug = run.job_slug or self._slugs.get(run.job_id)
        if slug is None:
            slug = self._slugs[run.job_id] = (await self._client.jobs.get(run.job_id)).slug
        return self._handlers.get(slug)

    async def _wind_down(self, hurry: asyncio.Event) -> None:
        """Let handlers finish within the grace time, stop those that do not, and report on all."""
        if not self._tasks:
            return
        grace = self._configuration.grace_secs
        logger.info("stopping: %d attempts have %g s to finish", len(self._tasks), grace)
        finishing = asyncio.create_task(self._finished(grace))
        await _first(finishing, hurry.wait())
        await _end([finishing])
        for live in list(self._working):
            live.interrupt("shutdown")
        await self._finished(YIELD_SECS)
        for live in list(self._working):
            live.leave_behind()
        await self._finished(LAST_REPORT_SECS)

    async def _finished(self, timeout: float) -> None:
        """Wait until nothing is worked on and everything is reported, or for `timeout` seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)


async def _first(other: "asyncio.Task[Any]", work: Coroutine[Any, Any, Any]) -> None:
    """Wait for `work`, but no longer than for `other`."""
    task = asyncio.create_task(work)
    await asyncio.wait([other, task], return_when=asyncio.FIRST_COMPLETED)
    await _end([task])


async def _end(tasks: "list[asyncio.Task[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
