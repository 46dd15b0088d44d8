"""When to send a request again, and how long to wait before."""

from dataclasses import dataclass
from typing import Any

from runcord.client.errors import RateLimitedError, RuncordClientError, ServerError, TransportError
from runcord.client.request import Request

LONGEST_RETRY_AFTER = 60.0
"""Seconds; a server that asks for more than this is not waited for."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Repeat a failed request up to `retries` times, with exponential delays (seconds) and full jitter.

    A request that cannot have been carried out (never sent, or refused with 429) is always repeated. One whose
    fate is unknown (connection lost, 5xx) is repeated only when it is `repeatable`.
    """

    retries: int = 2
    first_delay: float = 0.2
    longest_delay: float = 5.0

    def delay(self, request: Request[Any], error: RuncordClientError, tries: int, jitter: float) -> float | None:
        """Return the seconds to wait after the `tries`-th try, or None to give up. `jitter` is within [0, 1)."""
        if tries > self.retries or not (_not_carried_out(error) or (request.repeatable and _passing(error))):
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= LONGEST_RETRY_AFTER else None
        return min(self.first_delay * 2 ** (tries - 1), self.longest_delay) * jitter


def _not_carried_out(error: RuncordClientError) -> bool:
    return isinstance(error, RateLimitedError) or (isinstance(error, TransportError) and not error.sent)


def _passing(error: RuncordClientError) -> bool:
    return isinstance(error, TransportError | ServerError)
