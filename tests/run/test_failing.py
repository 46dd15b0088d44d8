"""Attempts that end badly: by an error, by the clock, by the loss of their worker."""

import pytest

from runcord.errors import IllegalTransition, StaleAttempt
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.commands import Claim
from runcord.run.retry import RetryPolicy
from runcord.run.status import Status
from runcord.testing.scenario import FAILURE, given, history_to, moment

CLAIM = Claim(attempt=1, fence=1)
TWICE = RetryPolicy(max_attempts=2, timeout_secs=300, initial_delay_secs=10)
ONCE = RetryPolicy(max_attempts=1, timeout_secs=300)
EXECUTING = given(*history_to(Status.EXECUTING, policy=TWICE))
LAST = given(*history_to(Status.EXECUTING, policy=ONCE))
DEQUEUED = given(*history_to(Status.DEQUEUED, policy=TWICE))
LAST_DEQUEUED = given(*history_to(Status.DEQUEUED, policy=ONCE))
TIMEOUT = e.Failure("execution timed out", "Timeout")
LOST = e.Failure("the worker was lost: its lease ran out", "LeaseLost")


def test_a_failed_attempt_is_queued_again_after_its_delay():
    run = EXECUTING.when(c.Fail(FAILURE, claim=CLAIM), at=100).then(e.Retried(1, 2, moment(110), FAILURE)).run
    assert (run.status, run.attempt, run.error) == (Status.QUEUED, 2, FAILURE)
    assert (run.due_at, run.next_retry_at, run.finished_at) == (moment(110), moment(110), None)
    assert (run.worker_id, run.lease_secs, run.dequeued_at, run.started_at, run.timeout_at) == (None,) * 5


def test_the_error_of_the_failed_attempt_is_there_for_the_next():
    retried = EXECUTING.when(c.Fail(FAILURE), at=100).then_follows()
    again = retried.when(c.Dequeue("w", 60, start=True), at=110).then(e.Dequeued("w", 2, 2, 60), e.Attempted(2))
    assert (again.run.error, again.run.next_retry_at) == (FAILURE, None)


def test_the_last_attempt_that_fails_becomes_a_dead_letter():
    run = LAST.when(c.Fail(FAILURE, claim=CLAIM), at=100).then(e.DeadLettered(1, FAILURE)).run
    assert (run.status, run.attempt, run.finished_at, run.error) == (Status.DEAD_LETTER, 1, moment(100), FAILURE)
    assert (run.timeout_at, run.next_retry_at, run.lease_secs) == (None, None, None)


def test_what_is_not_worth_another_try_fails_for_good_whatever_attempts_remain():
    run = EXECUTING.when(c.Fail(FAILURE, retryable=False, claim=CLAIM)).then(e.Failed(1, FAILURE)).run
    assert (run.status, run.error) == (Status.FAILED, FAILURE)


def test_the_worker_may_say_when_to_try_again_and_no_jitter_is_added():
    EXECUTING.when(c.Fail(FAILURE, retry_after_secs=7.5, jitter=0.9), at=100).then(
        e.Retried(1, 2, moment(107.5), FAILURE)
    )
    EXECUTING.when(c.Fail(FAILURE, retry_after_secs=0), at=100).then(e.Retried(1, 2, moment(100), FAILURE))


def test_an_absurd_wish_is_cut_to_a_possible_one():
    EXECUTING.when(c.Fail(FAILURE, retry_after_secs=-1), at=100).then(e.Retried(1, 2, moment(100), FAILURE))
    EXECUTING.when(c.Fail(FAILURE, retry_after_secs=1e300), at=0).then(
        e.Retried(1, 2, moment(100 * 365 * 86400), FAILURE)
    )


def test_a_run_that_has_not_started_cannot_fail():
    DEQUEUED.when(c.Fail(FAILURE, claim=CLAIM)).then_refused(IllegalTransition, contains="cannot fail")


# --- the same report again ----------------------------------------------------------------------------


@pytest.mark.parametrize("claim", [CLAIM, Claim(attempt=1)])
def test_a_failure_that_is_repeated_changes_nothing(claim: Claim):
    for before in (EXECUTING, LAST):
        before.when(c.Fail(FAILURE, claim=claim)).then_follows().when(c.Fail(FAILURE, claim=claim)).then_nothing()
    final = EXECUTING.when(c.Fail(FAILURE, retryable=False, claim=claim)).then_follows()
    final.when(c.Fail(FAILURE, retryable=False, claim=claim)).then_nothing()


def test_a_failure_is_no_repetition_when_the_run_was_taken_since():
    again = EXECUTING.when(c.Fail(FAILURE, claim=CLAIM), at=100).then_follows()
    again = again.when(c.Dequeue("w", 60), at=200).then_follows()
    again.when(c.Fail(FAILURE, claim=CLAIM)).then_refused(StaleAttempt)


def test_a_failure_of_an_attempt_that_timed_out_or_crashed_is_late_and_not_a_repetition():
    for lost in (c.TimeOut(), c.Crash(fence=1)):
        retried = EXECUTING.when(lost, at=1000).then_follows()
        assert retried.run.attempt == 2
        retried.when(c.Fail(FAILURE, claim=CLAIM)).then_refused(StaleAttempt)


def test_another_failure_than_the_one_heard_is_not_a_repetition():
    dead = LAST.when(c.Fail(FAILURE, claim=CLAIM)).then_follows()
    dead.when(c.Fail(e.Failure("other"), claim=CLAIM)).then_refused(IllegalTransition)
    retried = EXECUTING.when(c.Fail(FAILURE, claim=CLAIM)).then_follows()
    retried.when(c.Fail(e.Failure("other"), claim=CLAIM)).then_refused(StaleAttempt)


def test_a_failure_of_a_dead_letter_that_was_replayed_is_late():
    again = LAST.when(c.Fail(FAILURE, claim=CLAIM)).then_follows().when(c.ReplayDeadLetter()).then_follows()
    again.when(c.Fail(FAILURE, claim=CLAIM)).then_refused(IllegalTransition)


# --- the clock ----------------------------------------------------------------------------------------


def test_an_attempt_that_takes_too_long_is_tried_again():
    deadline = EXECUTING.run.timeout_at
    assert deadline == moment(302)
    EXECUTING.when(c.TimeOut(), at=301.999).then_nothing()
    run = EXECUTING.when(c.TimeOut(), at=302).then(e.Retried(1, 2, moment(312), TIMEOUT, "timeout")).run
    assert (run.status, run.attempt, run.error) == (Status.QUEUED, 2, TIMEOUT)


def test_the_last_attempt_that_takes_too_long_times_the_run_out():
    run = LAST.when(c.TimeOut(), at=302).then(e.TimedOut(1, TIMEOUT)).run
    assert (run.status, run.finished_at, run.timeout_at) == (Status.TIMED_OUT, moment(302), None)


def test_a_run_that_was_taken_but_not_started_does_not_time_out():
    DEQUEUED.when(c.TimeOut(), at=1e6).then_nothing()


def test_a_timeout_that_comes_twice_counts_once():
    EXECUTING.when(c.TimeOut(), at=302).then_follows().when(c.TimeOut(), at=302).then_nothing()


def test_the_clock_of_the_next_attempt_starts_with_it():
    again = EXECUTING.when(c.TimeOut(), at=302).then_follows().when(c.Dequeue("w", 60, start=True), at=400)
    assert again.then_follows().run.timeout_at == moment(700)


# --- the loss of the worker ---------------------------------------------------------------------------


@pytest.mark.parametrize("before", [DEQUEUED, EXECUTING], ids=["dequeued", "executing"])
def test_a_lost_attempt_counts_and_is_tried_again(before):
    run = before.when(c.Crash(fence=1), at=100).then(e.Retried(1, 2, moment(110), LOST, "crash")).run
    assert (run.status, run.attempt, run.worker_id, run.error) == (Status.QUEUED, 2, None, LOST)


def test_the_loss_of_the_last_attempt_crashes_a_run_that_had_started():
    run = LAST.when(c.Crash(fence=1), at=100).then(e.Crashed(1, LOST)).run
    assert (run.status, run.finished_at) == (Status.CRASHED, moment(100))


def test_the_loss_of_the_last_attempt_is_the_systems_when_nobody_had_started():
    run = LAST_DEQUEUED.when(c.Crash(fence=1), at=100).then(e.SystemFailed(LOST)).run
    assert (run.status, run.finished_at) == (Status.SYSTEM_FAILED, moment(100))


def test_a_loss_that_is_noticed_twice_counts_once():
    EXECUTING.when(c.Crash(fence=1)).then_follows().when(c.Crash(fence=1)).then_nothing()


@pytest.mark.parametrize("status", [Status.DEQUEUED, Status.EXECUTING])
def test_the_system_may_give_up_a_run_that_somebody_holds(status: Status):
    error = e.Failure("the job is gone")
    run = given(*history_to(status)).when(c.FailSystem(error), at=9).then(e.SystemFailed(error)).run
    assert (run.status, run.error, run.finished_at) == (Status.SYSTEM_FAILED, error, moment(9))


# --- how many attempts --------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_a_run_has_exactly_as_many_attempts_as_its_policy_gives_it(most: int):
    run = given(*history_to(Status.EXECUTING, policy=RetryPolicy(max_attempts=most)))
    attempts = []
    while True:
        attempts.append(run.run.attempt)
        run = run.when(c.Fail(FAILURE, retry_after_secs=0)).then_follows()
        if run.run.status is Status.DEAD_LETTER:
            break
        run = run.when(c.Dequeue("w", 60, start=True)).then_follows()
    assert attempts == list(range(1, most + 1))


def test_a_release_does_not_use_an_attempt_up():
    run = LAST.when(c.Release()).then_follows().when(c.Dequeue("w", 60, start=True)).then_follows()
    run.when(c.Fail(FAILURE)).then(e.DeadLettered(1, FAILURE))


def test_a_job_version_that_allows_fewer_attempts_than_were_made_leaves_no_more():
    retried = EXECUTING.when(c.Fail(FAILURE, retry_after_secs=0)).then_follows()
    resolved = retried.followed_by((e.JobVersionResolved(2, ONCE),), moment(500))
    again = resolved.when(c.Dequeue("w", 60, start=True)).then_follows()
    again.when(c.Fail(FAILURE)).then(e.DeadLettered(2, FAILURE))
