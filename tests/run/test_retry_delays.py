"""The formulae of the four strategies, in numbers. A jitter of 0.5 is none, 0 is -20 %, nearly 1 nearly +20 %."""

import pytest

from runcord.run import commands as c
from runcord.run.retry import MAX_DELAY_SECS, RetryPolicy, delay_secs
from runcord.run.status import Status
from runcord.testing.scenario import FAILURE, given, history_to, moment

PLAIN = 0.5


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (RetryPolicy(), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]),
        (RetryPolicy(initial_delay_secs=0.5), [0.5, 1, 2, 4]),
        (RetryPolicy(initial_delay_secs=10, max_delay_secs=45), [10, 20, 40, 45, 45]),
        (RetryPolicy(strategy="linear"), [1, 2, 3, 4, 5]),
        (RetryPolicy(strategy="linear", initial_delay_secs=7, max_delay_secs=20), [7, 14, 20, 20]),
        (RetryPolicy(strategy="fixed", initial_delay_secs=5), [5, 5, 5]),
        (RetryPolicy(strategy="fixed", initial_delay_secs=7200), [3600, 3600]),
        (RetryPolicy(strategy="custom", delays_secs=(3, 60, 5)), [3, 60, 5, 5, 5]),
        (RetryPolicy(strategy="custom", delays_secs=(0.1, 9999)), [1, 3600, 3600]),
        (RetryPolicy(strategy="custom", initial_delay_secs=8), [8, 8, 8]),
    ],
)
def test_the_delays_of_a_policy(policy: RetryPolicy, delays: list[float]):
    assert [delay_secs(policy, attempt, PLAIN) for attempt in range(1, len(delays) + 1)] == pytest.approx(delays)


@pytest.mark.parametrize("strategy", ["exponential", "linear", "fixed", "custom"])
def test_jitter_spreads_every_strategy_by_a_fifth_either_way(strategy):
    policy = RetryPolicy(strategy=strategy, initial_delay_secs=100, delays_secs=(100,))
    assert delay_secs(policy, 1, 0) == pytest.approx(80)
    assert delay_secs(policy, 1, 0.25) == pytest.approx(90)
    assert delay_secs(policy, 1, 0.5) == pytest.approx(100)
    assert delay_secs(policy, 1, 0.75) == pytest.approx(110)
    assert delay_secs(policy, 1, 1 - 1e-12) == pytest.approx(120)


def test_the_cap_holds_before_the_spread():
    assert MAX_DELAY_SECS == 3600
    assert delay_secs(RetryPolicy(), 30, 0) == pytest.approx(2880)
    assert delay_secs(RetryPolicy(), 30, 1 - 1e-12) == pytest.approx(4320)


def test_the_thousandth_attempt_still_has_a_delay():
    assert delay_secs(RetryPolicy(max_attempts=2000), 1000, PLAIN) == pytest.approx(3600)
    assert delay_secs(RetryPolicy(max_delay_secs=1e300), 1000, PLAIN) == pytest.approx(2.0**60)


def test_the_attempt_that_just_failed_is_the_one_that_counts():
    run = given(*history_to(Status.EXECUTING, policy=RetryPolicy(max_attempts=9, initial_delay_secs=2)))
    waits = []
    for _ in range(4):
        retried = run.when(c.Fail(FAILURE)).then_follows()
        waits.append((retried.run.due_at - retried.history[-1].at).total_seconds())
        run = retried.when(c.Dequeue("w", 60, start=True), at=retried.run.due_at).then_follows()
    assert waits == [2, 4, 8, 16]


@pytest.mark.parametrize("command", [c.Fail(FAILURE, jitter=0), c.TimeOut(jitter=0), c.Crash(1, jitter=0)])
def test_errors_timeouts_and_crashes_wait_by_the_same_formula(command: c.Command):
    run = given(*history_to(Status.EXECUTING, policy=RetryPolicy(strategy="fixed", initial_delay_secs=100)))
    assert run.when(command, at=1000).then_follows().run.next_retry_at == moment(1080)


def test_a_delay_longer_than_the_calendar_is_cut():
    policy = RetryPolicy(strategy="fixed", initial_delay_secs=1e300, max_delay_secs=1e300)
    run = given(*history_to(Status.EXECUTING, policy=policy)).when(c.Fail(FAILURE), at=0).then_follows().run
    assert run.due_at == moment(100 * 365 * 86400)


def test_the_policy_belongs_to_the_run():
    mine = RetryPolicy(max_attempts=7, timeout_secs=5, strategy="linear", initial_delay_secs=3)
    run = given(*history_to(Status.EXECUTING, policy=mine)).run
    assert run.policy == mine
    assert run.timeout_at == moment(7)
