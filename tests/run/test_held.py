"""Runs that are held back until dependencies of their job are met."""

import pytest

from runcord.errors import IllegalTransition
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.commands import Claim
from runcord.run.state import Wait
from runcord.run.status import Status
from runcord.run.trigger_events import Hold
from runcord.testing.scenario import given, moment, triggered

HOLD = Hold("dependency_key", "2026-01")
HELD = given(triggered(hold=HOLD))


def test_a_run_that_is_held_back_is_born_waiting():
    run = HELD.run
    assert run.status is Status.WAITING
    assert run.wait == Wait("dependency", since=moment(0), match="dependency_key", match_key="2026-01")
    assert (run.is_held, run.holds_slot, run.expires_at) == (True, False, None)


def test_when_dependencies_are_met_it_is_queued_once():
    released = HELD.when(c.MeetDependencies(), at=60).then(e.Resumed("queued", "dependency"))
    assert (released.run.status, released.run.due_at, released.run.wait) == (Status.QUEUED, moment(60), None)
    released.when(c.MeetDependencies()).then_nothing()


def test_a_run_that_is_due_later_still_is_not_taken_before_that():
    due = given(triggered(hold=HOLD, due_at=moment(100), ttl_secs=50))
    assert (due.run.status, due.run.due_at, due.run.wait and due.run.wait.until) == (
        Status.WAITING,
        moment(100),
        moment(150),
    )
    early = due.when(c.MeetDependencies(), at=10).then_follows()
    assert (early.run.status, early.run.due_at, early.run.expires_at) == (Status.QUEUED, moment(100), moment(150))
    early.when(c.Dequeue("w", 60), at=99).then_refused(IllegalTransition)
    early.when(c.Dequeue("w", 60), at=100).then_follows()
    assert due.when(c.MeetDependencies(), at=120).then_follows().run.due_at == moment(120)


def test_its_time_to_live_ends_the_wait():
    mortal = given(triggered(hold=HOLD, ttl_secs=50))
    mortal.when(c.EndWait(), at=49).then_nothing()
    run = (
        mortal.when(c.EndWait(), at=50).then(e.TimedOut(1, e.Failure("wait for dependencies timed out", "Timeout"))).run
    )
    assert (run.status, run.finished_at) == (Status.TIMED_OUT, moment(50))
    HELD.when(c.EndWait(), at=10**6).then_nothing()


def test_its_time_to_live_goes_on_in_the_queue():
    queued = given(triggered(hold=HOLD, ttl_secs=50)).when(c.MeetDependencies(), at=40).then_follows()
    queued.when(c.Expire(), at=49).then_nothing()
    queued.when(c.Expire(), at=50).then(e.Expired())


def test_it_can_be_canceled():
    assert HELD.when(c.Cancel()).then_follows().run.status is Status.CANCELED


@pytest.mark.parametrize(
    "command",
    [
        c.Complete(claim=Claim(1)),
        c.Fail(e.Failure("x"), claim=Claim(1)),
        c.Checkpoint(1, claim=Claim(1)),
        c.Spawn("run_c", "job_c", claim=Claim(1)),
        c.Continue("run_c", claim=Claim(1)),
        c.ResumeWork(Claim(1)),
        c.Wait(claim=Claim(1)),
        c.Release(claim=Claim(1)),
        c.Pause(),
        c.Resume(),
        c.Restart(),
        c.ReceiveEvent("x"),
        c.Dequeue("w", 60),
    ],
    ids=lambda command: type(command).__name__,
)
def test_nobody_can_work_on_it(command: c.Command):
    HELD.when(command, at=60).then_refused(IllegalTransition)


def test_a_child_that_ends_has_nothing_to_do_with_it():
    HELD.when(c.ChildEnded("run_c", "completed")).then_nothing()
