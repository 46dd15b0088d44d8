"""Debounce and batch windows: runs that gather triggers until they are due."""

from dataclasses import replace

import pytest

from runcord.errors import IllegalTransition, Invalid
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.decide import MAX_BATCH_BYTES
from runcord.run.payload import batch_of, payload_after
from runcord.run.retry import RetryPolicy
from runcord.run.status import Status
from runcord.run.trigger_events import Admission
from runcord.testing.scenario import Given, given, moment, triggered

DEBOUNCE = Admission("debounce", "k")
BATCH = Admission("batch", "k", payload_bytes=10)


def debounced_at(secs: float, **members: object) -> e.Debounced:
    return replace(e.Debounced(moment(secs), 2, RetryPolicy(max_attempts=9), DEBOUNCE), **members)  # type: ignore[arg-type]


def debouncing(**facts: object) -> Given:
    return given((triggered(due_at=moment(60), admission=DEBOUNCE, **facts), 0))


def batching(**facts: object) -> Given:
    return given((triggered(due_at=moment(60), admission=BATCH, payload=batch_of(1), **facts), 0))


def test_a_run_in_a_window_is_delayed_and_says_so():
    run = debouncing().run
    assert (run.status, run.due_at) == (Status.DELAYED, moment(60))
    assert run.window is not None
    assert (run.window.kind, run.window.key, run.window.size) == ("debounce", "k", 1)


def test_a_debounced_trigger_takes_the_place_of_the_one_before():
    wish = debounced_at(
        90, payload=2, queue="other", priority=3, ttl_secs=5, tags={"a": "b"}, metadata={"m": "n"}, debug_mode=True
    )
    before = debouncing(payload=1, tags={"old": "x"}, concurrency_key="c", idempotency_key="i")
    run = before.when(c.Debounce(wish), at=30).then(wish).run
    assert (run.status, run.due_at, run.scheduled_at, run.expires_at) == (
        Status.DELAYED,
        moment(90),
        moment(90),
        moment(95),
    )
    assert (run.queue, run.priority, run.tags, run.metadata) == ("other", 3, {"a": "b"}, {"m": "n"})
    assert (run.job_version, run.policy.max_attempts, run.debug_mode) == (2, 9, True)
    assert (run.concurrency_key, run.idempotency_key, run.payload_version) == (None, None, 2)
    assert run.window is not None and run.window.size == 2


def test_a_trigger_that_only_puts_the_run_off_leaves_it_what_it_is():
    postponed = e.Postponed(moment(90), DEBOUNCE, idempotency_key="j")
    before = debouncing(payload=1, tags={"a": "b"}, ttl_secs=5, idempotency_key="i", priority=3)
    after = before.when(c.Postpone(postponed), at=30).then(postponed)
    run, was = after.run, before.run
    assert (run.status, run.due_at, run.scheduled_at) == (Status.DELAYED, moment(90), moment(90))
    assert run.expires_at == moment(95)
    assert run.window == replace(was.window, size=2) if was.window else False
    kept = ("tags", "idempotency_key", "priority", "policy", "payload_version", "job_version")
    assert [getattr(run, name) for name in kept] == [getattr(was, name) for name in kept]
    assert payload_after(None, (recorded.event for recorded in after.history)) == 1
    after.when(c.Postpone(replace(postponed, due_at=moment(150))), at=90).then_refused(
        IllegalTransition, contains="no open debounce window"
    )


def test_the_key_of_a_trigger_that_was_gathered_is_freed_by_its_name():
    after = debouncing(idempotency_key="i").when(c.Postpone(e.Postponed(moment(90), DEBOUNCE)), at=1).then_follows()
    freed = after.when(c.ResetIdempotency("j"), at=2).then(e.IdempotencyReset("j"))
    assert freed.run.idempotency_key == "i"
    assert freed.when(c.ResetIdempotency(), at=3).then(e.IdempotencyReset("i")).run.idempotency_key is None


def test_a_window_is_over_when_its_run_is_due_whether_or_not_somebody_has_noticed():
    before = debouncing()
    before.when(c.Debounce(debounced_at(119)), at=59.999).then_follows()
    before.when(c.Debounce(debounced_at(120)), at=60).then_refused(
        IllegalTransition, contains="no open debounce window"
    )


@pytest.mark.parametrize(
    "command", [c.Cancel(), c.Reschedule(moment(50)), c.Reschedule(moment(500)), c.Reschedule(moment(0), 7, True)]
)
def test_whoever_takes_the_run_in_hand_ends_its_window(command: c.Command):
    after = debouncing().when(command, at=10).then_follows()
    assert after.run.window is None
    after.when(c.Debounce(debounced_at(80)), at=20).then_refused(IllegalTransition)


def test_a_run_that_fires_leaves_its_window():
    fired = debouncing().when(c.Enqueue(), at=60).then(e.Enqueued())
    assert (fired.run.status, fired.run.window) == (Status.QUEUED, None)


@pytest.mark.parametrize("admission", [Admission("debounce", "other"), Admission("batch", "k")])
def test_a_trigger_of_another_key_or_kind_is_refused(admission: Admission):
    debouncing().when(c.Debounce(debounced_at(90, admission=Admission("debounce", "other"))), at=1).then_refused(
        IllegalTransition
    )
    debouncing().when(c.AddToBatch(e.Batched(BATCH)), at=1).then_refused(IllegalTransition)
    given((triggered(due_at=moment(60), admission=admission), 0)).when(c.Debounce(debounced_at(90)), at=1).then_refused(
        IllegalTransition
    )


# --- batches ------------------------------------------------------------------------------------------


def test_a_batch_gathers_payloads_tags_and_metadata_and_stays_due_when_it_was():
    added = e.Batched(BATCH, payload=2, priority=5, tags={"b": "2"}, metadata={"m": "2"})
    before = batching(tags={"a": "1", "b": "1"}, metadata={"m": "1"}, priority=7)
    after = before.when(c.AddToBatch(added), at=30).then(added)
    run = after.run
    assert (run.status, run.due_at, run.priority) == (Status.DELAYED, moment(60), 7)
    assert (run.tags, run.metadata) == ({"a": "1", "b": "2"}, {"m": "2"})
    assert run.window is not None and (run.window.size, run.window.bytes) == (2, 20)
    assert payload_after(None, (recorded.event for recorded in after.history)) == {"items": [1, 2]}


def test_a_batch_that_is_full_by_number_is_due_at_once():
    added = e.Batched(BATCH, payload=2)
    second = batching(ttl_secs=5).when(c.AddToBatch(added, max_size=3), at=10).then(added)
    run = second.when(c.AddToBatch(added, max_size=3), at=20).then(replace(added, full=True)).run
    assert (run.status, run.due_at, run.expires_at, run.window) == (Status.QUEUED, moment(20), moment(25), None)


def test_a_batch_that_is_full_by_bytes_is_due_at_once():
    large = e.Batched(replace(BATCH, payload_bytes=MAX_BATCH_BYTES - 10), payload="…")
    batching().when(c.AddToBatch(large), at=1).then(replace(large, full=True))
    small = e.Batched(replace(BATCH, payload_bytes=MAX_BATCH_BYTES - 11), payload="…")
    batching().when(c.AddToBatch(small), at=1).then(small)


def test_a_batch_has_no_more_tags_than_any_run():
    added = e.Batched(BATCH, tags={f"b{n}": "" for n in range(11)})
    batching(tags={f"a{n}": "" for n in range(10)}).when(c.AddToBatch(added), at=1).then_refused(
        Invalid, contains="20 tags"
    )


def test_what_replaces_a_payload_replaces_a_batch():
    history = (triggered(payload=batch_of(1)), e.Batched(BATCH, payload=2), e.Rescheduled(moment(1), 7, True))
    assert payload_after(None, history) == 7
    assert payload_after(batch_of(1), (e.Rescheduled(moment(1)), e.Enqueued())) == batch_of(1)
    assert payload_after("no batch", (e.Batched(BATCH, payload=2),)) == {"items": ["no batch", 2]}
