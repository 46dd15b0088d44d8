"""One attempt in this process: its handler, its lease, and the ways to make it stop."""

import asyncio

from runcord.client import AsyncClient, Client
from runcord.client.models import Claim
from runcord.worker._async.context import AsyncRunContext
from runcord.worker._sync.context import RunContext
from runcord.worker.handler import Handler
from runcord.worker.lease import Interruption, Lease, StopReason
from runcord.worker.outcome import Outcome, Released, Suspended, outcome_of_exception, outcome_of_result
from runcord.worker.thread import in_thread


class LiveAttempt:
    """Run a handler once for a claimed run."""

    def __init__(self, claim: Claim, lease: Lease) -> None:
        self.claim = claim
        self.lease = lease
        self.interruption = Interruption()
        self._execution: asyncio.Task[Outcome | None] | None = None
        self._cancellable = False

    async def perform(self, handler: Handler, client: AsyncClient, sync_client: Client) -> Outcome | None:
        """Return what the handler's end means, or None when there is nothing to report. Never raises an Exception.

        Nothing is reported for an attempt that was cancelled, paused, abandoned or suspended: the server knows, or
        has given the run to somebody else. One that a shutdown stopped is released.
        """
        if self.interruption.reason is not None:
            return self._reported(None)
        claim, number = self.claim, self.claim.run.attempt
        if handler.asynchronous:
            calls = client.worker.attempt(claim.run.id, claim.run_token, number=number)
            work = _call_async(handler, AsyncRunContext(claim, calls, self.interruption))
        else:
            sync_calls = sync_client.worker.attempt(claim.run.id, claim.run_token, number=number)
            context = RunContext(claim, sync_calls, self.interruption)
            work = in_thread(lambda: _call_sync(handler, context), f"{handler.slug} {claim.run.id}")
        self._cancellable = handler.asynchronous
        self._execution = asyncio.ensure_future(work)
        try:
            await asyncio.wait([self._execution])
        finally:
            self._execution.cancel()  # does nothing to what is done; what is not must not outlive its worker
        return self._reported(None if self._execution.cancelled() else self._execution.result())

    def interrupt(self, reason: StopReason) -> None:
        """Ask the handler to stop: an asynchronous one is cancelled, another one sees `context.cancelled`."""
        self.interruption.set(reason)
        if self._execution is not None and self._cancellable:
            self._execution.cancel()

    def leave_behind(self) -> None:
        """Wait no longer for a synchronous handler that does not stop; its thread goes on without effect."""
        self.interruption.set("shutdown")
        if self._execution is not None:
            self._execution.cancel()

    def _reported(self, outcome: Outcome | None) -> Outcome | None:
        match self.interruption.reason:
            case None:
                return outcome
            case "shutdown":
                return Released("The worker is shutting down.")
            case _:
                return None


async def _call_async(handler: Handler, context: AsyncRunContext) -> Outcome | None:
    try:
        return outcome_of_result(await handler.call(context.payload, context))
    except asyncio.CancelledError as error:
        if context.cancelled:
            raise
        return outcome_of_exception(error)  # raised within the handler: nobody has cancelled it
    except Suspended:
        return None
    except BaseException as error:  # SystemExit too: a handler must not end the worker
        return outcome_of_exception(error)


def _call_sync(handler: Handler, context: RunContext) -> Outcome | None:
    try:
        return outcome_of_result(handler.call(context.payload, context))
    except Suspended:
        return None
    except BaseException as error:  # SystemExit too: a handler must not end the worker
        return outcome_of_exception(error)
