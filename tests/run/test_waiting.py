"""Waiting for a time, for an event, for a child, and going on."""

from runcord.errors import IllegalTransition
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.commands import Claim
from runcord.run.retry import RetryPolicy
from runcord.run.state import Wait
from runcord.run.status import Status
from runcord.testing.scenario import FAILURE, given, history_to, moment

CLAIM = Claim(attempt=1, fence=1)
EXECUTING = given(*history_to(Status.EXECUTING, policy=RetryPolicy(timeout_secs=300)))
WAITING = EXECUTING.when(c.Wait("rate limit", moment(1000), CLAIM), at=10).then_follows()
FOR_EVENT = EXECUTING.when(c.WaitForEvent("paid", "trg_1", 50, claim=CLAIM), at=10).then_follows()
FOR_CHILD = EXECUTING.when(c.Spawn("run_c", "job_c", True, 50, CLAIM), at=10).then_follows()
IDLE = (None, None, None, None, None, None)


def idle(run):
    return (run.wait, run.worker_id, run.lease_secs, run.dequeued_at, run.started_at, run.timeout_at)


def test_a_wait_is_remembered_and_stops_the_clock_of_the_attempt():
    run = (
        EXECUTING.when(c.Wait("rate limit", moment(1000), CLAIM), at=10)
        .then(e.Waited("worker", "rate limit", moment(1000)))
        .run
    )
    assert run.status is Status.WAITING
    assert run.wait == Wait("worker", since=moment(10), until=moment(1000), reason="rate limit")
    assert (run.timeout_at, run.worker_id, run.lease_secs) == (None, "worker-1", 60)


def test_a_waiting_attempt_neither_times_out_nor_crashes():
    WAITING.when(c.TimeOut(), at=1e6).then_nothing()
    WAITING.when(c.Crash(fence=1), at=1e6).then_nothing()


def test_the_same_worker_goes_on_with_a_new_clock_and_without_a_new_start():
    run = WAITING.when(c.ResumeWork(CLAIM), at=500).then(e.Resumed("executing", "worker")).run
    assert (run.status, run.wait, run.started_at) == (Status.EXECUTING, None, EXECUTING.run.started_at)
    assert (run.timeout_at, run.worker_id, run.fence, run.attempt) == (moment(800), "worker-1", 1, 1)


def test_a_repeated_wait_or_resume_changes_nothing():
    WAITING.when(c.Wait("rate limit", moment(1000), CLAIM)).then_nothing()
    WAITING.when(c.Wait(until=moment(2000), claim=CLAIM)).then_refused(IllegalTransition)
    FOR_EVENT.when(c.WaitForEvent("paid", "trg_2", 50, claim=CLAIM)).then_nothing()
    FOR_EVENT.when(c.WaitForEvent("other", "trg_2", 50, claim=CLAIM)).then_refused(IllegalTransition)
    FOR_EVENT.when(c.Wait(claim=CLAIM)).then_refused(IllegalTransition)
    WAITING.when(c.ResumeWork(CLAIM)).then_follows().when(c.ResumeWork(CLAIM)).then_nothing()


def test_a_resume_without_a_fence_is_not_taken_for_a_repetition():
    went_on = WAITING.when(c.ResumeWork(CLAIM)).then_follows()
    went_on.when(c.ResumeWork(Claim(attempt=1))).then_refused(IllegalTransition)


def test_at_the_end_of_a_wait_any_worker_may_take_the_run_up_in_the_same_attempt():
    WAITING.when(c.EndWait(), at=999).then_nothing()
    queued = WAITING.when(c.EndWait(), at=1000).then(e.Resumed("queued", "until"))
    assert (queued.run.status, queued.run.due_at, idle(queued.run)) == (Status.QUEUED, moment(1000), IDLE)
    queued.when(c.Dequeue("other", 60)).then(e.Dequeued("other", 1, 2, 60))


def test_a_wait_without_an_end_is_not_ended_by_time():
    EXECUTING.when(c.Wait()).then_follows().when(c.EndWait(), at=1e9).then_nothing()


def test_the_end_of_a_wait_that_is_over_causes_nothing():
    WAITING.when(c.ResumeWork(CLAIM)).then_follows().when(c.EndWait(), at=1000).then_nothing()


def test_a_run_waits_for_an_event_for_an_hour_unless_told_otherwise():
    EXECUTING.when(c.WaitForEvent("paid", "trg_1", notify_url="https://a.example"), at=10).then(
        e.Waited("event", None, moment(3610), "paid", "trg_1", "https://a.example")
    )


def test_the_event_queues_the_run_and_can_be_found_again():
    received = FOR_EVENT.when(c.ReceiveEvent("paid", {"sum": 1}), at=20).then(
        e.EventReceived("paid", {"sum": 1}), e.Resumed("queued", "event")
    )
    run = received.run
    assert (run.status, run.due_at, run.attempt, idle(run)) == (Status.QUEUED, moment(20), 1, IDLE)
    assert received.history[(run.event_version or 0) - 1].event == e.EventReceived("paid", {"sum": 1})


def test_another_event_or_the_same_one_twice_is_refused():
    FOR_EVENT.when(c.ReceiveEvent("other")).then_refused(IllegalTransition, contains="does not wait for it")
    received = FOR_EVENT.when(c.ReceiveEvent("paid")).then_follows()
    received.when(c.ReceiveEvent("paid")).then_refused(IllegalTransition)


def test_an_event_that_does_not_come_times_the_run_out():
    FOR_EVENT.when(c.EndWait(), at=59).then_nothing()
    late = e.TimedOut(1, e.Failure("event trigger timed out", "Timeout"))
    run = FOR_EVENT.when(c.EndWait(), at=60).then(late).run
    assert (run.status, run.wait, run.finished_at, run.error) == (Status.TIMED_OUT, None, moment(60), late.error)


def test_a_run_that_waits_for_something_else_cannot_be_resumed_by_its_worker():
    FOR_EVENT.when(c.ResumeWork(CLAIM)).then_refused(IllegalTransition, contains="waits for an event or a child")
    FOR_CHILD.when(c.ResumeWork(CLAIM)).then_refused(IllegalTransition, contains="waits for an event or a child")


def test_a_parent_may_wait_for_its_child():
    EXECUTING.when(c.Spawn("run_c", "job_c", True, 50, CLAIM), at=10).then(
        e.Spawned("run_c", "job_c"), e.Waited("child", until=moment(60), child_run_id="run_c")
    )
    EXECUTING.when(c.Spawn("run_c", "job_c", True), at=10).then(
        e.Spawned("run_c", "job_c"), e.Waited("child", child_run_id="run_c")
    )


def test_the_end_of_the_child_queues_the_parent_with_what_became_of_it():
    received = e.EventReceived("run:run_c", {"run_id": "run_c", "status": "dead_letter", "result": None})
    queued = FOR_CHILD.when(c.ChildEnded("run_c", "dead_letter"), at=20).then(received, e.Resumed("queued", "child"))
    assert (queued.run.status, idle(queued.run)) == (Status.QUEUED, IDLE)
    queued.when(c.ChildEnded("run_c", "dead_letter")).then_nothing()


def test_the_end_of_another_child_causes_nothing():
    FOR_CHILD.when(c.ChildEnded("run_other", "completed")).then_nothing()
    FOR_EVENT.when(c.ChildEnded("run_c", "completed")).then_nothing()


def test_a_child_that_does_not_end_times_its_parent_out():
    FOR_CHILD.when(c.EndWait(), at=60).then(e.TimedOut(1, e.Failure("wait for the child run timed out", "Timeout")))


def test_a_waiting_run_may_complete_fail_or_be_cancelled_and_waits_no_longer():
    for wait in (WAITING, FOR_EVENT, FOR_CHILD):
        assert wait.when(c.Complete(claim=CLAIM)).then(e.Completed(1)).run.wait is None
        assert wait.when(c.Fail(FAILURE, claim=CLAIM)).then_follows().run.wait is None
        assert wait.when(c.Cancel()).then(e.Canceled("canceled by user")).run.wait is None


def test_a_waiting_run_that_fails_in_its_last_attempt_fails_because_the_table_has_no_way_to_a_dead_letter():
    once = given(*history_to(Status.WAITING, policy=RetryPolicy(max_attempts=1)))
    once.when(c.Fail(FAILURE, claim=CLAIM)).then(e.Failed(1, FAILURE))


def test_a_waiting_run_can_neither_be_paused_nor_restarted():
    WAITING.when(c.Pause()).then_refused(IllegalTransition, contains="executing")
    WAITING.when(c.Restart()).then_refused(IllegalTransition)


def test_a_wait_for_ever_is_a_wait_for_a_hundred_years():
    run = EXECUTING.when(c.WaitForEvent("paid", "trg_1", 1e300), at=0).then_follows().run
    assert run.wait.until == moment(100 * 365 * 86400)
