"""Taking a run, beginning to work on it, and giving it back."""

import pytest

from runcord.errors import IllegalTransition
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.commands import Claim
from runcord.run.retry import RetryPolicy
from runcord.run.status import Status
from runcord.testing.scenario import given, history_to, moment, triggered

CLAIM = Claim(attempt=1, fence=1)
QUEUED = given(triggered())
DEQUEUED = given(*history_to(Status.DEQUEUED))
EXECUTING = given(*history_to(Status.EXECUTING))


def test_taking_a_run_names_the_worker_the_attempt_and_a_new_fence():
    run = QUEUED.when(c.Dequeue("w", 60), at=5).then(e.Dequeued("w", 1, 1, 60)).run
    assert (run.status, run.worker_id, run.lease_secs, run.fence) == (Status.DEQUEUED, "w", 60, 1)
    assert (run.dequeued_at, run.started_at, run.timeout_at) == (moment(5), None, None)


def test_taking_and_starting_in_one_go():
    run = QUEUED.when(c.Dequeue("w", 60, start=True), at=5).then(e.Dequeued("w", 1, 1, 60), e.Attempted(1)).run
    assert (run.status, run.started_at) == (Status.EXECUTING, moment(5))


def test_a_dequeued_run_cannot_be_dequeued_again():
    DEQUEUED.when(c.Dequeue("w", 60)).then_refused(IllegalTransition, contains="dequeued cannot be dequeued")


def test_a_queued_run_that_is_not_due_yet_cannot_be_taken():
    retrying = EXECUTING.when(c.Fail(e.Failure("x"), retry_after_secs=60), at=10).then_follows()
    retrying.when(c.Dequeue("w", 60), at=69).then_refused(IllegalTransition, contains="due")
    assert retrying.when(c.Dequeue("w", 60), at=70).then(e.Dequeued("w", 2, 2, 60)).run.next_retry_at is None


def test_starting_sets_the_clock_of_the_attempt():
    dequeued = given(*history_to(Status.DEQUEUED, policy=RetryPolicy(timeout_secs=30)))
    run = dequeued.when(c.Start(CLAIM), at=100).then(e.Attempted(1)).run
    assert (run.status, run.started_at, run.timeout_at) == (Status.EXECUTING, moment(100), moment(130))


@pytest.mark.parametrize("claim", [CLAIM, Claim(attempt=1), Claim(fence=1)])
def test_a_start_that_is_repeated_changes_nothing(claim: Claim):
    EXECUTING.when(c.Start(claim)).then_nothing()


@pytest.mark.parametrize("claim", [c.ANY_CLAIM, Claim()])
def test_a_second_start_that_does_not_say_whose_it_is_is_refused(claim: Claim):
    EXECUTING.when(c.Start(claim)).then_refused(IllegalTransition, contains="executing cannot start")


@pytest.mark.parametrize("taken", [DEQUEUED, EXECUTING], ids=["dequeued", "executing"])
def test_a_released_attempt_is_queued_again_and_does_not_count(taken):
    run = taken.when(c.Release("shutting down", claim=CLAIM), at=9).then(e.Released(1, moment(9), "shutting down")).run
    assert (run.status, run.attempt, run.due_at, run.next_retry_at, run.error) == ("queued", 1, moment(9), None, None)
    assert (run.worker_id, run.lease_secs, run.dequeued_at, run.started_at, run.timeout_at) == (None,) * 5


def test_a_release_may_ask_for_a_pause_before_the_next_claim():
    released = EXECUTING.when(c.Release(delay_secs=30), at=10).then(e.Released(1, moment(40)))
    released.when(c.Dequeue("w", 60), at=39).then_refused(IllegalTransition)
    released.when(c.Dequeue("w", 60), at=40).then(e.Dequeued("w", 1, 2, 60))


def test_a_release_that_is_repeated_changes_nothing():
    released = EXECUTING.when(c.Release(claim=CLAIM)).then_follows()
    released.when(c.Release(claim=CLAIM)).then_nothing()
    released.when(c.Release()).then_refused(IllegalTransition)


def test_a_release_for_ever_is_a_release_for_a_hundred_years():
    run = EXECUTING.when(c.Release(delay_secs=1e300), at=0).then_follows().run
    assert (run.due_at - moment(0)).days == 36500
    assert EXECUTING.when(c.Release(delay_secs=-5), at=7).then_follows().run.due_at == moment(7)


def test_the_job_version_can_be_resolved_before_a_claim():
    policy = RetryPolicy(max_attempts=9, timeout_secs=7)
    resolved = given(triggered(), e.JobVersionResolved(4, policy))
    run = resolved.when(c.Dequeue("w", 60, start=True), at=5).then_follows().run
    assert (run.job_version, run.policy, run.timeout_at) == (4, policy, moment(12))
