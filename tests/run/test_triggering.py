"""What a run is at birth."""

from runcord.run import commands as c
from runcord.run.status import Status
from runcord.testing.scenario import JOB_ID, RUN_ID, START, given, moment, triggered


def test_a_run_without_a_time_is_queued_at_once():
    run = given().when(c.Trigger(triggered())).then(triggered()).run
    assert (run.status, run.due_at, run.scheduled_at) == (Status.QUEUED, START, None)
    assert (run.run_id, run.job_id, run.version, run.attempt, run.round, run.fence) == (RUN_ID, JOB_ID, 1, 1, 1, 0)


def test_a_run_for_a_later_time_is_delayed_until_then():
    run = given(triggered(due_at=moment(60))).run
    assert (run.status, run.due_at, run.scheduled_at) == (Status.DELAYED, moment(60), moment(60))


def test_a_run_for_the_present_moment_is_queued():
    assert given(triggered(due_at=START)).run.status is Status.QUEUED


def test_a_run_for_a_past_time_is_due_now_and_does_not_overtake_the_queue():
    run = given(triggered(due_at=moment(-3600))).run
    assert (run.status, run.due_at, run.scheduled_at) == (Status.QUEUED, START, moment(-3600))


def test_a_delayed_run_is_enqueued_when_it_is_due_and_not_before():
    delayed = given(triggered(due_at=moment(60)))
    delayed.when(c.Enqueue(), at=59.999).then_nothing()
    run = delayed.when(c.Enqueue(), at=60).then_follows().run
    assert (run.status, run.due_at) == (Status.QUEUED, moment(60))


def test_the_payload_is_found_in_the_event_that_made_the_run():
    assert given(triggered(payload={"a": 1})).run.payload_version == 1
