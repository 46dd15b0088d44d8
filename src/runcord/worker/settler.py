"""Reports the ends of attempts: many in one call, and until they are known to have arrived."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from runcord.client import (
    AsyncClient,
    RateLimitedError,
    RuncordClientError,
    ServerError,
    Settlement,
    TransportError,
    ValidationError,
)
from runcord.client.models import Claim
from runcord.client.request import encode
from runcord.worker.backoff import Backoff
from runcord.worker.lease import Lease
from runcord.worker.outcome import Completed, Failed, Outcome, Released

T = TypeVar("T")

logger = logging.getLogger("runcord.worker")

LINGER = 0.003
"""Seconds that the first report of a batch waits for others."""
MOST_REPORTS = 100
MOST_BYTES = 512 * 1024
"""Bytes of a batch, as long as it has more than one report."""

PASSING = (TransportError, ServerError, RateLimitedError)

RESULT_REFUSED = frozenset({"result_invalid", "body_too_large"})
"""Codes of refusals that blame the result itself: it does not match the job's schema, or is too large."""


@dataclass(frozen=True, slots=True)
class Report:
    """Say how one attempt ended; `lease` tells how long it is worth repeating that."""

    claim: Claim
    outcome: Outcome
    lease: Lease


@dataclass(frozen=True, slots=True)
class _Pending:
    report: Report
    settlement: Settlement
    size: int
    done: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Settler:
    """Send reports. What finishes while a call is under way goes together with the next one."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._pending: list[_Pending] = []
        self._arrived = asyncio.Event()

    @property
    def backlog(self) -> int:
        """Return how many reports wait to be sent."""
        return len(self._pending)

    async def settle(self, report: Report) -> None:
        """Return when the report has arrived, was refused (and logged), or has outlived its lease."""
        settlement = _settlement(report)
        if settlement is None:
            await self._report_alone(report)
            return
        pending = _Pending(report, settlement, len(encode(settlement)))
        self._pending.append(pending)
        self._arrived.set()
        await pending.done

    async def run(self) -> None:
        """Send batches until cancelled."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(LINGER)
            batch = self._take()
            try:
                await self._send(batch)
            except Exception:  # one broken batch must not end the settling of the others
                logger.exception("settling %d attempts failed", len(batch))
            finally:
                for pending in batch:
                    if not pending.done.done():
                        pending.done.set_result(None)

    def _take(self) -> list[_Pending]:
        count, size = 0, 0
        for pending in self._pending[:MOST_REPORTS]:
            size += pending.size
            if count and size > MOST_BYTES:
                break
            count += 1
        batch, self._pending = self._pending[:count], self._pending[count:]
        if not self._pending:
            self._arrived.clear()
        return batch

    async def _send(self, batch: Sequence[_Pending]) -> None:
        settlements = [pending.settlement for pending in batch]
        leases = [pending.report.lease for pending in batch]
        try:
            results = await _until_arrived(lambda: self._client.worker.settle(settlements), leases)
        except ValidationError as error:
            await self._after_refusal(batch, error)
        except RuncordClientError as error:
            logger.error("the ends of %d attempts could not be reported: %s", len(batch), error)
        else:
            for pending, result in zip(batch, results, strict=True):
                if result.error is None:
                    continue
                if result.error["code"] in RESULT_REFUSED:
                    await self._after_refused_result(pending, result.error["message"])
                else:
                    _log_refusal(pending.settlement["run_id"], pending.settlement["attempt"], result.error)

    async def _after_refusal(self, batch: Sequence[_Pending], error: ValidationError) -> None:
        """Find the report that spoilt its batch."""
        if len(batch) > 1:
            for pending in batch:
                await self._send([pending])
        else:
            await self._after_refused_result(batch[0], error.message)

    async def _after_refused_result(self, pending: _Pending, reason: str) -> None:
        """Report a failure that says why the result was refused: the next attempt would have the same one."""
        if pending.settlement["status"] == "failed":
            _log_refusal(pending.settlement["run_id"], pending.settlement["attempt"], reason)
            return
        message = f"The server refused the result: {reason}"
        settlement: Settlement = {
            **_ending(pending.report.claim, "failed"),
            "error": {"type": "ResultRefused", "message": message},
            "retryable": False,
        }
        await self._send([replace(pending, settlement=settlement)])

    async def _report_alone(self, report: Report) -> None:
        run, outcome = report.claim.run, report.outcome
        attempt = self._client.worker.attempt(run.id, report.claim.run_token, number=run.attempt)

        def call() -> Awaitable[object]:
            match outcome:
                case Released(reason, delay):
                    return attempt.release(reason, delay_secs=delay)
                case Failed(error, retryable, retry_after):
                    return attempt.fail(error, retryable=retryable, retry_after_secs=retry_after)
                case Completed(result):
                    return attempt.complete(result)

        try:
            await _until_arrived(call, [report.lease])
        except RuncordClientError as error:
            _log_refusal(run.id, run.attempt, error)


def _log_refusal(run_id: str, attempt: int, reason: object) -> None:
    logger.warning("the end of attempt %d at %s was not taken: %s", attempt, run_id, reason)


def _settlement(report: Report) -> Settlement | None:
    """Return the report as a batch takes it, or None when it must be sent alone."""
    match report.outcome:
        case Completed(result):
            settlement = _ending(report.claim, "completed")
            return settlement if result is None else {**settlement, "result": result}
        case Failed(error, retryable, None):
            return {**_ending(report.claim, "failed"), "error": error, "retryable": retryable}
        case _:
            return None


def _ending(claim: Claim, status: Literal["completed", "failed"]) -> Settlement:
    """Return what every settlement says. The token fences by claim: an attempt number can be claimed again."""
    run = claim.run
    return Settlement(run_id=run.id, attempt=run.attempt, status=status, run_token=claim.run_token)


async def _until_arrived(call: Callable[[], Awaitable[T]], leases: Sequence[Lease]) -> T:
    """Return what `call` answers, repeating it with the same content while it may help and any lease lasts."""
    backoff = Backoff(first=0.05)
    while True:
        try:
            return await call()
        except PASSING as error:
            if all(lease.over for lease in leases):
                raise
            await asyncio.sleep(backoff.delay(error.retry_after))
