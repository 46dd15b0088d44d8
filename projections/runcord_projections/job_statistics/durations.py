"""Durations, counted in buckets from which percentiles follow.

Whole milliseconds up to 31 have buckets of their own; from there on, each doubling is divided into sixteen, so that a
percentile is off by at most 1/32 of itself, or by less than a millisecond. Buckets are whole numbers made by whole
numbers alone: the same on every machine. (The scheme is that of HdrHistogram: http://hdrhistogram.org.)
"""

from collections.abc import Sequence
from datetime import timedelta
from itertools import zip_longest

_EXACT = 32
_PARTS = 16
_MILLISECOND = timedelta(milliseconds=1)


def bucket_of(duration: timedelta) -> int:
    """Return the bucket of a duration; negative ones are counted as none."""
    ms = max(0, duration // _MILLISECOND)
    if ms < _EXACT:
        return ms
    shift = ms.bit_length() - 5
    return _EXACT + (shift - 1) * _PARTS + (ms >> shift) - _PARTS


def middle_of(bucket: int) -> float:
    """Return the middle of a bucket, in milliseconds."""
    if bucket < _EXACT:
        return float(bucket)
    shift, part = divmod(bucket - _EXACT, _PARTS)
    return float((part + _PARTS << shift + 1) + (1 << shift))


def count(counts: list[int], duration: timedelta) -> None:
    """Add one duration to the counts."""
    bucket = bucket_of(duration)
    if bucket >= len(counts):
        counts.extend([0] * (bucket + 1 - len(counts)))
    counts[bucket] += 1


def add(counts: Sequence[int], more: Sequence[int]) -> tuple[int, ...]:
    """Return the sums of two counts."""
    return tuple([one + other for one, other in zip_longest(counts, more, fillvalue=0)])


def percentile(counts: Sequence[int], percent: int) -> float | None:
    """Return the duration, in milliseconds, that `percent` of those counted do not exceed; None without any.

    It is the nearest rank: of 20 durations, the 95th percentile is the 19th.
    """
    total = sum(counts)
    if not total:
        return None
    left = max(1, -(-percent * total // 100))
    for bucket, count in enumerate(counts):
        left -= count
        if left <= 0:
            return middle_of(bucket)
    raise AssertionError("there are no more than 100 percent")
