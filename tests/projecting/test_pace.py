"""A pace holds up whoever is too fast, and nobody else."""

import pytest

from runcord.clock import monotonic
from runcord.projecting.pace import Pace


def test_no_more_events_a_second_than_was_said() -> None:
    pace, begun = Pace(1000), monotonic()
    for _ in range(5):
        pace.keep(60)
    assert monotonic() - begun >= 0.29


@pytest.mark.parametrize("pace", [Pace(), Pace(10_000_000)])
def test_whoever_is_slow_enough_does_not_wait(pace: Pace) -> None:
    begun = monotonic()
    for _ in range(100):
        pace.keep(100)
    assert monotonic() - begun < 1
