"""The only place that reads a clock.

Decisions about runs never use these: the ledger gives every command its time (`ledger.transaction`), so
that servers whose clocks disagree still agree on order. What is here serves deadlines, tokens and logs.
"""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the wall-clock time, aware, in UTC."""
    return datetime.now(UTC)


def unix_now() -> int:
    """Return the wall-clock time in whole seconds since 1970."""
    return int(time.time())


def monotonic() -> float:
    """Return seconds of a clock that never goes backwards; only differences mean anything."""
    return time.monotonic()
