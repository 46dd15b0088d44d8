"""A worker that lost its attempt changes nothing any more, whatever it says."""

import pytest

from runcord.errors import StaleAttempt
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.commands import Claim
from runcord.run.metadata import MetadataOperation
from runcord.run.status import Status
from runcord.run.trace import ExecutionTrace
from runcord.testing.scenario import FAILURE, given, history_to

TAKEN_OVER = (
    given(*history_to(Status.EXECUTING))
    .when(c.Crash(fence=1))
    .then_follows()
    .when(c.Dequeue("worker-2", 60, start=True), at=100)
).then_follows()

RELEASED_AND_TAKEN = (
    given(*history_to(Status.EXECUTING)).when(c.Release()).then_follows().when(c.Dequeue("worker-2", 60, start=True))
).then_follows()

REPORTS = [
    c.Start,
    lambda claim: c.RecordDispatch("primary", ExecutionTrace(), claim=claim),
    lambda claim: c.Checkpoint(1, claim=claim),
    lambda claim: c.Log("x", claim=claim),
    lambda claim: c.Progress(1, claim=claim),
    lambda claim: c.Annotate({}, claim=claim),
    lambda claim: c.ChangeMetadata((MetadataOperation("set", "a", 1),), claim=claim),
    lambda claim: c.Tag({}, claim=claim),
    lambda claim: c.RecordUsage("p", "m", claim=claim),
    lambda claim: c.CallTool("t", claim=claim),
    lambda claim: c.SetOutput("o", 1, claim=claim),
    lambda claim: c.SetState("k", 1, claim=claim),
    lambda claim: c.DeleteState("k", claim=claim),
    lambda claim: c.Wait(claim=claim),
    lambda claim: c.WaitForEvent("k", "t", claim=claim),
    c.ResumeWork,
    lambda claim: c.Spawn("r", "j", claim=claim),
    lambda claim: c.Continue("r", claim=claim),
    lambda claim: c.Complete(claim=claim),
    lambda claim: c.Fail(FAILURE, claim=claim),
    lambda claim: c.Release(claim=claim),
]


def test_every_command_of_a_worker_is_spoken_of():
    assert {type(make(c.ANY_CLAIM)) for make in REPORTS} == set(c.WorkerCommand.__args__)


@pytest.mark.parametrize("make", REPORTS)
def test_the_worker_of_a_lost_attempt_is_refused(make):
    for claim in (Claim(1, 1), Claim(attempt=1), Claim(fence=1)):
        TAKEN_OVER.when(make(claim)).then_refused(StaleAttempt, code="stale_attempt", contains="nothing was changed")


@pytest.mark.parametrize("make", REPORTS)
def test_an_attempt_that_is_yet_to_come_is_refused(make):
    TAKEN_OVER.when(make(Claim(attempt=3))).then_refused(StaleAttempt)


@pytest.mark.parametrize("make", REPORTS)
def test_the_fence_tells_two_claims_of_one_attempt_apart(make):
    RELEASED_AND_TAKEN.when(make(Claim(attempt=1, fence=1))).then_refused(StaleAttempt, contains="another worker")


def test_the_present_worker_is_heard():
    TAKEN_OVER.when(c.Log("x", claim=Claim(2, 2))).then(e.Logged("x"))
    RELEASED_AND_TAKEN.when(c.Log("x", claim=Claim(1, 2))).then(e.Logged("x"))


def test_the_lost_lease_of_an_earlier_claim_does_not_touch_the_present_one():
    TAKEN_OVER.when(c.Crash(fence=1)).then_nothing()
    TAKEN_OVER.when(c.Crash(fence=2)).then_follows()


def test_a_worker_of_an_earlier_round_is_refused_by_its_fence():
    dead = given(*history_to(Status.DEAD_LETTER)).when(c.ReplayDeadLetter()).then_follows()
    again = dead.when(c.Dequeue("worker-2", 60, start=True)).then_follows()
    assert again.run.attempt == 1
    again.when(c.Complete(claim=Claim(1, 1))).then_refused(StaleAttempt)


def test_fences_go_on_over_attempts_releases_and_rounds():
    fences = []
    now = given(*history_to(Status.EXECUTING))
    for command in (c.Release(), c.Pause(), c.Restart(), c.Fail(FAILURE, retry_after_secs=0)):
        fences.append(now.run.fence)
        now = now.when(command).then_follows()
        if now.run.status is Status.PAUSED:
            now = now.when(c.Resume()).then_follows()
        now = now.when(c.Dequeue("w", 60, start=True)).then_follows()
    assert [*fences, now.run.fence] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("status", [Status.PAUSED, Status.QUEUED])
def test_a_worker_whose_run_was_paused_or_restarted_is_refused(status: Status):
    stopped = given(*history_to(Status.EXECUTING)).when(c.Pause() if status is Status.PAUSED else c.Restart())
    run = stopped.then_follows()
    assert run.run.status is status
    for make in REPORTS:
        command = make(Claim(1, 1))
        if isinstance(command, c.Annotate | c.ChangeMetadata | c.Tag) or (
            isinstance(command, c.Release) and status is Status.QUEUED
        ):
            continue
        assert run.when(command).refusal is not None, command
