"""The execution trace: how long the steps of an attempt took."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class ExecutionTrace:
    """Durations in whole milliseconds; 0 means that there was no such step, and one that took any time took 1.

    The names are those of Strait's run API.

    - `queue_wait_ms`: from the time at which the run was due until it was claimed
    - `dequeue_ms`: from the claim until the work began; for a push, until the request was begun
    - `connect_ms`: resolving the endpoint's name, connecting, and the TLS handshake
    - `ttfb_ms`: from the connection to the first byte of the answer, the endpoint's work included
    - `transfer_ms`: from the first byte of the answer to its last
    - `dispatch_ms`: the whole exchange; with the exchange before it, where a fallback endpoint was tried
    - `total_ms`: from the time at which the run was due until the end of the attempt was recorded
    """

    queue_wait_ms: int = 0
    dequeue_ms: int = 0
    connect_ms: int = 0
    ttfb_ms: int = 0
    transfer_ms: int = 0
    total_ms: int = 0
    dispatch_ms: int = 0


def whole_ms(duration: timedelta | float) -> int:
    """Return a duration (a number is in seconds) in whole milliseconds: at least 1 if it took any time, never < 0."""
    secs = duration.total_seconds() if isinstance(duration, timedelta) else duration
    return max(1, round(secs * 1000)) if secs > 0 else 0
