"""From a time and a number of seconds to a later time, whatever the number."""

from datetime import datetime, timedelta

MAX_SECS = 100 * 365 * 86400
"""A hundred years: as good as for ever, and far from the end of the calendar."""


def later(start: datetime, secs: float) -> datetime:
    """Return `start` plus `secs`, which counts as 0 when negative and as a hundred years when longer.

    Total, because folding a history must not throw: an absurd number that once got into an event stays there.
    """
    return start + timedelta(seconds=min(max(0, secs), MAX_SECS))
