"""How many attempts a run has, how long each may take, and how long to wait before the next.

The formulae are those of Strait's executor and documentation; all four strategies are real here.
"""

from dataclasses import dataclass
from typing import Literal

Strategy = Literal["exponential", "linear", "fixed", "custom"]

Seconds = int | float
"""A duration. Both kinds of number, so that one that was stored and is read again gives the same bytes."""

JITTER = 0.2
"""A delay is spread uniformly over ±20 %."""

MAX_DELAY_SECS = 3600.0


@dataclass(frozen=True)
class RetryPolicy:
    """What a run may spend: attempts, seconds an attempt, and the shape of the delays between attempts.

    `delays_secs` belongs to the strategy `custom`: one delay after each failed attempt, the last one repeats.
    """

    max_attempts: int = 3
    timeout_secs: Seconds = 300
    strategy: Strategy = "exponential"
    initial_delay_secs: Seconds = 1
    max_delay_secs: Seconds = MAX_DELAY_SECS
    delays_secs: tuple[Seconds, ...] = ()


def delay_secs(policy: RetryPolicy, attempt: int, jitter: float) -> float:
    """Return how many seconds to wait after failed attempt number `attempt` (1, 2, 3 …).

    `jitter` is a uniform random number in [0, 1): the caller throws the dice, so that this stays a function.

    - exponential: initial · 2^(attempt - 1)
    - linear: initial · attempt
    - fixed: initial
    - custom: the attempt's own delay, at least one second; without any delays, like `fixed`

    each at most `max_delay_secs`, then spread by ±20 %.
    """
    match policy.strategy:
        case "exponential":
            # 2^60 s is past any cap; the bound keeps the power a number whatever the attempt.
            base = policy.initial_delay_secs * 2.0 ** min(attempt - 1, 60)
        case "linear":
            base = policy.initial_delay_secs * attempt
        case "fixed":
            base = policy.initial_delay_secs
        case "custom":
            delays = policy.delays_secs
            base = max(1.0, delays[min(attempt, len(delays)) - 1]) if delays else policy.initial_delay_secs
    return min(base, policy.max_delay_secs) * (1 - JITTER + 2 * JITTER * jitter)
