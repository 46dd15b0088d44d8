"""The fold: total, pure, and without leftovers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from runcord.ledger.mapper import Codec
from runcord.run import events as e
from runcord.run.evolve import evolve, evolve_all
from runcord.run.metadata import MetadataOperation
from runcord.run.retry import RetryPolicy
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.run.trace import ExecutionTrace
from runcord.run.trigger_events import Admission
from runcord.testing.scenario import FAILURE, START, given, history_to, moment, triggered

EXAMPLES: list[e.Event] = [
    triggered(),
    e.Debounced(moment(60), 2, RetryPolicy(), Admission("debounce")),
    e.Debounced(moment(1e7), 2, RetryPolicy(), Admission("debounce", "k", payload_hash="h"), payload=1),
    e.Postponed(moment(60), Admission("debounce")),
    e.Postponed(moment(1e7), Admission("debounce", "k"), idempotency_key="i"),
    e.Batched(Admission("batch"), payload=1),
    e.Batched(Admission("batch", payload_bytes=9), full=True, tags={"a": "b"}, metadata={"a": "b"}, priority=3),
    e.Enqueued(),
    e.Dequeued("w", 1, 1, 60),
    e.Attempted(1),
    e.Dispatched(1, "primary", ExecutionTrace(1, 2, 3, 4, 5, 6, 7), 200),
    e.JobVersionResolved(2, RetryPolicy()),
    e.Checkpointed(1, {}),
    e.Logged("x"),
    e.Progressed(1),
    e.Annotated({"a": "b"}),
    e.MetadataChanged((MetadataOperation("append", "a", 1), MetadataOperation("set", "$.b.c", None))),
    e.Tagged({"a": "b"}),
    e.UsageRecorded("p", "m"),
    e.ToolCalled("t"),
    e.OutputSet("o", 1),
    e.StateSet("k", 1),
    e.StateDeleted("k"),
    e.Waited("worker"),
    e.Waited("event", event_key="k"),
    e.EventReceived("k"),
    e.Resumed("executing", "worker"),
    e.Resumed("queued", "until"),
    e.Spawned("run_c", "job_c"),
    e.Continued("run_n"),
    e.Completed(1),
    e.Retried(1, 2, moment(60), FAILURE),
    e.DeadLettered(1, FAILURE),
    e.Failed(1, FAILURE),
    e.TimedOut(1, FAILURE),
    e.Crashed(1, FAILURE),
    e.SystemFailed(FAILURE),
    e.Released(1, moment(60)),
    e.Expired(),
    e.Canceled("x"),
    e.Paused(),
    e.Restarted(),
    e.Rescheduled(moment(60)),
    e.Rescheduled(moment(1e7)),
    e.Replayed("run_n"),
    e.ReplayStaged(),
    e.DeadLetterReplayed(2),
    e.StreamOpened("tokens"),
    e.IdempotencyReset("k"),
    e.DebugSet(True),
    e.Debugged("Cancel", {"reason": "no"}, refusal=e.Refusal("illegal_transition", "it is over")),
]

RUNS = Codec(Run)


def test_the_examples_are_of_every_event():
    assert {type(event) for event in EXAMPLES} == set(e.Event.__args__)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("status", Status)
def test_every_event_folds_on_every_status(status: Status, event: e.Event):
    before = given(*history_to(status, ttl_secs=60))
    after = before.followed_by((event,), moment(100))
    run = after.run
    assert (run.version, run.updated_at) == (len(after.history), moment(100))
    assert RUNS.decode(RUNS.encode(run)) == run


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_before_its_trigger_nothing_makes_a_run(event: e.Event):
    recorded = given(triggered()).history[0]._replace(event=event)
    run = evolve(None, recorded)
    assert (run is not None) == isinstance(event, e.Triggered)


@pytest.mark.parametrize("number", [1e300, 10**400, -1, float("nan"), float("inf")])
def test_absurd_numbers_fold(number: float):
    policy = RetryPolicy(timeout_secs=number)
    run = given(triggered(policy=policy, ttl_secs=number), e.Dequeued("w", 1, 1, number), e.Attempted(1)).run
    assert run.timeout_at is not None
    assert run.timeout_at >= START
    rescheduled = given(triggered(ttl_secs=number), e.Rescheduled(moment(9)), e.DeadLetterReplayed(2)).run
    assert START <= (rescheduled.expires_at or START) < START + timedelta(days=40000)


def test_an_event_that_only_tells_changes_nothing_but_the_version_and_the_time():
    before = given(*history_to(Status.EXECUTING))
    for event in (e.Logged("x"), e.Progressed(1), e.UsageRecorded("p", "m"), e.StateSet("k", 1), e.OutputSet("o", 1)):
        after = before.followed_by((event,), moment(9)).run
        assert after == replace(before.run, version=4, updated_at=moment(9))


def test_a_fold_in_two_parts_is_the_fold_of_the_whole():
    history = given(*history_to(Status.REPLAY_STAGED), e.DeadLetterReplayed(2), e.Canceled("x")).history
    for cut in range(len(history) + 1):
        assert evolve_all(evolve_all(None, history[:cut]), history[cut:]) == evolve_all(None, history)


def test_the_fold_leaves_the_run_that_it_was_given_alone():
    before = given(*history_to(Status.EXECUTING, tags={"a": "1"}, metadata={"a": "1"}))
    copy = replace(before.run)
    before.followed_by((e.Tagged({"a": "2"}), e.Annotated({"a": "2"}), e.Completed(1)), moment(9))
    assert before.run == copy


def test_an_altered_run_is_what_replace_would_make_of_it():
    run = given(*history_to(Status.EXECUTING)).run
    changes = {"status": Status.PAUSED, "version": 9, "tags": {"a": "b"}}
    altered = run.altered(**changes)
    assert altered == replace(run, **changes)
    assert (run.status, run.version, run.tags) == (Status.EXECUTING, 3, None)
    assert run.altered() == run


@pytest.mark.parametrize("secs", [60, 60.0, 60.5])
def test_a_duration_that_is_stored_and_read_again_gives_the_same_bytes(secs: float):
    policy = RetryPolicy(timeout_secs=secs, initial_delay_secs=secs, max_delay_secs=secs, delays_secs=(secs,))
    stored = RUNS.encode(given(triggered(policy=policy, ttl_secs=secs), e.Dequeued("w", 1, 1, secs)).run)
    assert RUNS.encode(RUNS.decode(stored)) == stored
