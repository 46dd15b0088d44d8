"""The time to live: from when the run became due until somebody takes it."""

import pytest

from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.status import Status
from runcord.testing.scenario import FAILURE, START, given, history_to, moment, triggered

TTL = 60


def test_it_counts_from_the_trigger_when_the_run_is_due_at_once():
    queued = given(triggered(ttl_secs=TTL))
    queued.when(c.Expire(), at=59.999).then_nothing()
    run = queued.when(c.Expire(), at=60).then(e.Expired()).run
    assert (run.status, run.error, run.finished_at) == (Status.EXPIRED, e.Failure("run expired"), moment(60))
    assert run.expires_at is None


def test_it_counts_from_when_a_delayed_run_becomes_due():
    delayed = given(triggered(ttl_secs=TTL, due_at=moment(3600)))
    delayed.when(c.Expire(), at=3599).then_nothing()
    queued = delayed.when(c.Enqueue(), at=3600).then_follows()
    queued.when(c.Expire(), at=3659).then_nothing()
    queued.when(c.Expire(), at=3660).then(e.Expired())


@pytest.mark.parametrize("ttl", [0, 1e-6, 60])
def test_a_run_never_expires_before_it_is_due(ttl: float):
    run = given(triggered(ttl_secs=ttl, due_at=moment(3600))).run
    assert run.expires_at >= run.due_at
    rescheduled = given(triggered(ttl_secs=ttl), e.Rescheduled(moment(7200))).run
    assert rescheduled.expires_at >= rescheduled.due_at


def test_a_run_scheduled_into_the_past_is_not_born_expired():
    assert given(triggered(ttl_secs=TTL, due_at=moment(-3600))).run.expires_at == moment(TTL)


def test_a_delayed_run_that_nobody_enqueued_in_time_expires_too():
    given(triggered(ttl_secs=TTL, due_at=moment(3600))).when(c.Expire(), at=3660).then(e.Expired())


def test_a_run_without_one_never_expires():
    assert given(triggered()).run.expires_at is None
    given(triggered()).when(c.Expire(), at=1e9).then_nothing()


def test_it_is_gone_once_the_run_was_taken():
    taken = given(*history_to(Status.DEQUEUED, ttl_secs=TTL))
    assert taken.run.expires_at is None
    taken.when(c.Expire(), at=1e6).then_nothing()


@pytest.mark.parametrize(
    "command", [c.Fail(FAILURE), c.Release(), c.Restart(), c.Crash(1)], ids=lambda command: type(command).__name__
)
def test_a_run_that_was_taken_once_and_is_queued_again_does_not_expire(command: c.Command):
    again = given(*history_to(Status.EXECUTING, ttl_secs=TTL)).when(command).then_follows()
    assert (again.run.status, again.run.expires_at) == (Status.QUEUED, None)
    again.when(c.Expire(), at=1e6).then_nothing()


def test_neither_does_one_that_was_paused_or_waited():
    paused = given(*history_to(Status.PAUSED, ttl_secs=TTL)).when(c.Resume()).then_follows()
    waited = given(*history_to(Status.WAITING, ttl_secs=TTL)).when(c.EndWait(), at=3600).then_follows()
    for queued in (paused, waited):
        assert queued.run.status is Status.QUEUED
        queued.when(c.Expire(), at=1e6).then_nothing()


@pytest.mark.parametrize("status", [Status.DEAD_LETTER, Status.REPLAY_STAGED])
def test_it_counts_anew_after_a_replay_from_the_dead_letter_queue(status: Status):
    replayed = given(*history_to(status, ttl_secs=TTL)).when(c.ReplayDeadLetter(), at=9000).then_follows()
    replayed.when(c.Expire(), at=9059).then_nothing()
    replayed.when(c.Expire(), at=9060).then(e.Expired())


@pytest.mark.parametrize("status", [Status.DELAYED, Status.QUEUED])
@pytest.mark.parametrize(("due", "expires"), [(9000, 9060), (-9000, 110), (50, 110)])
def test_it_counts_anew_after_a_reschedule_from_the_new_time_or_from_now(status: Status, due: float, expires: float):
    run = given(*history_to(status, ttl_secs=TTL)).when(c.Reschedule(moment(due)), at=50).then_follows().run
    assert run.expires_at == moment(expires)


def test_one_that_is_longer_than_the_calendar_is_cut():
    assert (given(triggered(ttl_secs=1e300)).run.expires_at - START).days == 36500
