"""Delivery of one attempt: to its job's endpoint, to the fallback if need be, and what that means for the run."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from runcord.clock import monotonic, unix_now, utc_now
from runcord.dispatch.breaker import Breakers
from runcord.dispatch.exchange import Exchange, Line, NoReply
from runcord.dispatch.message import Message
from runcord.dispatch.record import Ending
from runcord.dispatch.signature import sign
from runcord.dispatch.verdict import Accepted, Refused, Succeeded, Verdict, judge
from runcord.queue.claims import ClaimedRun
from runcord.run import commands as c
from runcord.run.events import Endpoint
from runcord.run.trace import ExecutionTrace, whole_ms

SigningSecret = Callable[[str, str], Awaitable[str | None]]
"""From a project and a job to the secret that its requests are signed with."""

HELD_BACK_SECS = 1.0
"""How long a run is put off that was claimed just before its endpoint's circuit opened."""


RECORDING_SECS = 0.25
RECORDING_SHARE = 0.1
"""What is left of an attempt's time, at most, for recording that the endpoint did not answer in it."""


@dataclass(frozen=True)
class Address:
    """An endpoint of a project: what circuit breakers are for."""

    project_id: str
    url: str

    def __str__(self) -> str:
        return f"{self.project_id} {self.url.partition('?')[0]}"  # what follows the path may be a secret


@dataclass(frozen=True)
class Target:
    """Where the runs of a job go."""

    project_id: str
    job_id: str
    endpoint_url: str
    fallback_endpoint_url: str | None = None
    is_signed: bool = False

    @property
    def addresses(self) -> list[tuple[Endpoint, Address]]:
        """The endpoints in the order in which they are tried."""
        found: list[tuple[Endpoint, Address]] = [("primary", Address(self.project_id, self.endpoint_url))]
        if self.fallback_endpoint_url is not None:
            found.append(("fallback", Address(self.project_id, self.fallback_endpoint_url)))
        return found

    def room(self, breakers: Breakers) -> int | None:
        """Return how many requests may be begun: None for any number, 0 when the circuits are open."""
        room: int | None = 0
        for _, address in self.addresses:
            room = breakers.permits(address)
            if room != 0:
                break
        return room


@dataclass(frozen=True)
class Delivered:
    """What is to be recorded of an attempt. Without an ending, its endpoint has accepted it, or its time is over."""

    dispatches: Sequence[c.RecordDispatch]
    ending: Ending | None
    accepted: bool = False


class Carrier:
    """Sends attempts to endpoints."""

    def __init__(self, line: Line, breakers: Breakers, secret: SigningSecret) -> None:
        self.breakers = breakers
        self._line = line
        self._secret = secret

    async def deliver(self, target: Target, claimed: ClaimedRun, message: Message, claimed_at: float) -> Delivered:
        """Send an attempt and return what is to be recorded of it. `claimed_at` is when it was claimed (monotonic).

        The attempt's timeout ends the exchange, a moment before the ledger's own timer ends the attempt, so that
        what is known of the exchange can still be recorded.
        """
        run = claimed.run
        claim = c.Claim(run.attempt, run.fence)
        secret = await self._secret(target.project_id, target.job_id) if target.is_signed else None
        secs = run.policy.timeout_secs
        deadline = claimed_at + secs - min(RECORDING_SECS, secs * RECORDING_SHARE)
        began = monotonic()
        dispatches: list[c.RecordDispatch] = []
        verdicts: list[Verdict] = []
        for endpoint, address in target.addresses:
            if self.breakers.permits(address) == 0:
                continue
            exchange, verdict = await self._try(address, message, secret, deadline)
            dispatches.append(_record(endpoint, exchange, verdict, claim, began - claimed_at, monotonic() - began))
            verdicts.append(verdict)
            if not (isinstance(verdict, Refused) and verdict.tries_fallback):
                break
        if not verdicts:
            return Delivered((), c.Release("the endpoint's circuit is open", HELD_BACK_SECS, claim))
        # A fallback that does no better changes nothing: the endpoint itself says whether to try again.
        decisive = verdicts[0] if isinstance(verdicts[-1], Refused) else verdicts[-1]
        return Delivered(dispatches, _ending(decisive, claim), isinstance(decisive, Accepted))

    async def _try(
        self, address: Address, message: Message, secret: str | None, deadline: float
    ) -> tuple[Exchange, Verdict]:
        headers = {**message.headers, **sign(secret, message.message_id, unix_now(), message.body)}
        self.breakers.begin(address)
        try:
            exchange = await self._line.post(address.url, headers, message.body, max(0.0, deadline - monotonic()))
        except BaseException:
            self.breakers.abandoned(address)
            raise
        verdict = judge(exchange.outcome, utc_now())
        if isinstance(verdict, Refused) and verdict.blames_endpoint:
            self.breakers.failed(address)
        elif isinstance(exchange.outcome, NoReply):
            self.breakers.abandoned(address)
        else:
            self.breakers.succeeded(address)
        return exchange, verdict


def _record(
    endpoint: Endpoint, exchange: Exchange, verdict: Verdict, claim: c.Claim, before_secs: float, dispatch_secs: float
) -> c.RecordDispatch:
    timings = exchange.timings
    trace = ExecutionTrace(
        dequeue_ms=whole_ms(before_secs),
        connect_ms=whole_ms(timings.connect_secs),
        ttfb_ms=whole_ms(timings.ttfb_secs),
        transfer_ms=whole_ms(timings.transfer_secs),
        dispatch_ms=whole_ms(dispatch_secs),
    )
    error_class = verdict.error_class if isinstance(verdict, Refused) else None
    return c.RecordDispatch(endpoint, trace, exchange.status, error_class, claim)


def _ending(verdict: Verdict, claim: c.Claim) -> Ending | None:
    match verdict:
        case Succeeded():
            return c.Complete(verdict.result, claim=claim)
        case Accepted():
            return None
        case Refused(timed_out=True):
            return None  # the ledger's timer says what that means
        case Refused():
            return c.Fail(verdict.failure, verdict.retryable, verdict.retry_after_secs, random.random(), claim)
