"""Samples taken in turn, and what they come to."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Rounds, seconds of a sample, runs of a drain, single requests, runs to list among, runs to grow to, seconds for a
    benchmark, and events of the longest ledger that is folded afterwards; and whether the peers are measured that
    have to be installed.
    """

    rounds: int
    seconds: float
    runs: int
    triggers: int
    listed: int
    grown: int
    limit_secs: int
    folded: int
    peers: bool = False


@dataclass(frozen=True)
class Sample:
    """What one side did in one round: a rate per second, and how long each operation took (seconds)."""

    rate: float | None
    latencies: Sequence[float] = ()


@dataclass(frozen=True)
class Figure:
    """The samples of one side: median rate with the lowest and highest; how many latencies, and their percentiles."""

    rate: float | None
    low: float | None
    high: float | None
    samples: int
    latencies: int = 0
    percentiles_ms: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def spread(self) -> float | None:
        """The distance between the lowest and the highest rate, as a part of the median."""
        if not self.rate or self.low is None or self.high is None:
            return None
        return (self.high - self.low) / self.rate


def in_turn(rounds: int, sides: Mapping[str, Callable[[], Sample]]) -> dict[str, Figure]:
    """Sample each side once a round, so that what disturbs the machine disturbs all, and return their figures."""
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, take in sides.items():
            samples[name].append(take())
    return {name: figure(taken) for name, taken in samples.items()}


def figure(samples: Sequence[Sample]) -> Figure:
    """Return the medians over samples, of the rates and of each percentile, and the longest time of all."""
    rates = [sample.rate for sample in samples if sample.rate is not None]
    timed = [sorted(sample.latencies) for sample in samples if sample.latencies]
    percentiles = {
        f"p{percent}": 1000 * statistics.median(percentile(ordered, percent) for ordered in timed)
        for percent in (50, 99)
        if timed
    }
    return Figure(
        rate=statistics.median(rates) if rates else None,
        low=min(rates, default=None),
        high=max(rates, default=None),
        samples=len(samples),
        latencies=sum(len(sample.latencies) for sample in samples),
        percentiles_ms=percentiles | ({"max": 1000 * max(ordered[-1] for ordered in timed)} if timed else {}),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of `ordered` that at least `percent` of 100 do not exceed (the nearest rank)."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]
