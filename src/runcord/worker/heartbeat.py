"""Keeps an attempt's lease while its handler works, and hears when it should stop."""

import asyncio
import logging

from runcord import clock
from runcord.client import (
    AsyncAttempt,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RuncordClientError,
)
from runcord.worker.attempt import LiveAttempt

logger = logging.getLogger("runcord.worker")

LOST = (ConflictError, NotFoundError, AuthenticationError, PermissionDeniedError)
"""Answers after which the run cannot be ours: fenced, ended, gone, or its token no longer valid."""


async def keep_lease(live: LiveAttempt, calls: AsyncAttempt) -> None:
    """Send heartbeats at a third of the lease until cancelled, or until the attempt should stop.

    A request to cancel or pause interrupts the attempt. So does a refusal, and a lease that ran out because the
    server could not be reached: somebody else may be working on the run by then.
    """
    lease = live.lease
    pause = lease.seconds / 3
    while True:
        await asyncio.sleep(min(pause, max(0.0, lease.deadline - clock.monotonic())))
        sent = clock.monotonic()
        try:
            async with asyncio.timeout(lease.seconds / 3):
                answer = await calls.heartbeat(round(lease.seconds))
        except LOST as error:
            logger.warning("attempt %d at %s is lost: %s", live.claim.run.attempt, live.claim.run.id, error)
            live.interrupt("abandoned")
            return
        except (RuncordClientError, TimeoutError) as error:
            if lease.over:
                logger.warning("the lease on %s ran out: %s", live.claim.run.id, error)
                live.interrupt("abandoned")
                return
            pause = lease.seconds / 12  # sooner than usual: several tries fit into what is left
            continue
        lease.renew(sent)
        pause = lease.seconds / 3
        if answer.cancel_requested or answer.pause_requested:
            live.interrupt("cancel" if answer.cancel_requested else "pause")
            return
