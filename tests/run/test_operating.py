"""What somebody outside does to a run: cancel, pause, resume, restart, reschedule, replay, and the small things."""

import pytest

from runcord.errors import IllegalTransition, Invalid
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.commands import Claim
from runcord.run.decide import MAX_STREAMS
from runcord.run.status import TRANSITIONS, Status
from runcord.testing.scenario import FAILURE, given, history_to, moment, triggered

EXECUTING = given(*history_to(Status.EXECUTING))
PAUSED = given(*history_to(Status.PAUSED))
DEAD = given(*history_to(Status.DEAD_LETTER))

CANCELABLE = [status for status in Status if Status.CANCELED in TRANSITIONS[status]]


@pytest.mark.parametrize("status", CANCELABLE)
def test_a_cancelled_run_has_ended_with_its_reason_and_waits_for_nothing(status: Status):
    before = given(*history_to(status, ttl_secs=60))
    run = before.when(c.Cancel("not needed"), at=9).then(e.Canceled("not needed")).run
    assert (run.status, run.finished_at, run.error) == (Status.CANCELED, moment(9), e.Failure("not needed"))
    assert (run.timeout_at, run.expires_at, run.next_retry_at, run.wait, run.lease_secs) == (None,) * 5


def test_a_run_that_has_ended_cannot_be_cancelled_and_the_message_says_so():
    given(*history_to(Status.COMPLETED)).when(c.Cancel()).then_refused(IllegalTransition, contains="it has ended")
    DEAD.when(c.Cancel()).then_refused(IllegalTransition, contains="it has ended")


def test_a_descendant_is_cancelled_by_its_parent():
    EXECUTING.when(c.Cancel("parent run canceled", by_parent=True)).then(e.Canceled("parent run canceled", True))


def test_a_retry_that_waits_can_be_cancelled():
    run = EXECUTING.when(c.Fail(FAILURE)).then_follows().when(c.Cancel()).then_follows().run
    assert (run.status, run.next_retry_at, run.attempt) == (Status.CANCELED, None, 2)


# --- pause, resume, restart ---------------------------------------------------------------------------


def test_a_paused_run_is_nobodys():
    run = EXECUTING.when(c.Pause("look first")).then(e.Paused("look first")).run
    assert (run.status, run.worker_id, run.lease_secs, run.timeout_at, run.finished_at) == ("paused",) + (None,) * 4
    assert not run.holds_slot


def test_a_pause_that_is_repeated_changes_nothing():
    PAUSED.when(c.Pause("again")).then_nothing()


def test_a_resumed_run_is_queued_in_its_attempt_for_a_new_claim():
    resumed = PAUSED.when(c.Resume(), at=50).then(e.Resumed("queued", "request"))
    run = resumed.run
    assert (run.status, run.due_at, run.attempt) == (Status.QUEUED, moment(50), 1)
    assert (run.started_at, run.dequeued_at, run.finished_at) == (None, None, None)
    resumed.when(c.Dequeue("w", 60)).then(e.Dequeued("w", 1, 2, 60))


def test_checkpoints_survive_a_pause_and_a_restart():
    saved = EXECUTING.when(c.Checkpoint("here")).then_follows()
    for command in (c.Pause(), c.Restart()):
        after = saved.when(command).then_follows().run
        assert (after.checkpoints, after.checkpoint_version) == (1, saved.run.version)


@pytest.mark.parametrize("before", [EXECUTING, PAUSED], ids=["executing", "paused"])
def test_a_restarted_run_is_queued_in_its_attempt_on_the_machine_it_was_given(before):
    run = before.when(c.Restart("large-1x"), at=50).then(e.Restarted("large-1x")).run
    assert (run.status, run.due_at, run.attempt, run.machine_preset) == (Status.QUEUED, moment(50), 1, "large-1x")
    assert (run.worker_id, run.lease_secs, run.started_at, run.timeout_at) == (None,) * 4


def test_a_restart_without_a_machine_leaves_the_one_that_was_given():
    again = EXECUTING.when(c.Restart("large-1x")).then_follows().when(c.Dequeue("w", 60, start=True)).then_follows()
    assert again.when(c.Restart()).then(e.Restarted()).run.machine_preset == "large-1x"


# --- reschedule ---------------------------------------------------------------------------------------


def test_a_run_can_be_made_due_later():
    run = given(triggered()).when(c.Reschedule(moment(500)), at=50).then(e.Rescheduled(moment(500))).run
    assert (run.status, run.due_at, run.scheduled_at) == (Status.DELAYED, moment(500), moment(500))


def test_a_run_can_be_made_due_now_by_a_past_time_but_not_before_others():
    run = given(*history_to(Status.DELAYED)).when(c.Reschedule(moment(-500)), at=50).then_follows().run
    assert (run.status, run.due_at, run.scheduled_at) == (Status.QUEUED, moment(50), moment(-500))


def test_a_reschedule_may_replace_the_payload_with_anything_even_with_null():
    moved = (
        given(triggered(payload=1))
        .when(c.Reschedule(moment(500), None, True))
        .then(e.Rescheduled(moment(500), None, True))
    )
    assert moved.run.payload_version == 2
    assert moved.when(c.Reschedule(moment(600))).then(e.Rescheduled(moment(600))).run.payload_version == 2


def test_a_retry_that_waits_can_be_rescheduled_and_then_waits_for_that():
    retrying = EXECUTING.when(c.Fail(FAILURE)).then_follows()
    run = retrying.when(c.Reschedule(moment(500))).then_follows().run
    assert (run.status, run.due_at, run.next_retry_at, run.attempt) == (Status.DELAYED, moment(500), None, 2)


# --- replay -------------------------------------------------------------------------------------------


def test_a_replayed_run_knows_its_successor_and_stays_as_it_was():
    before = given(*history_to(Status.COMPLETED))
    after = before.when(c.Replay("run_again")).then(e.Replayed("run_again"))
    assert (after.run.status, after.run.replayed_as) == (Status.COMPLETED, "run_again")
    assert after.run.finished_at == before.run.finished_at
    assert after.when(c.Replay("run_thrice")).then(e.Replayed("run_thrice")).run.replayed_as == "run_thrice"


@pytest.mark.parametrize("staged", [False, True])
def test_a_dead_letter_is_queued_again_as_the_first_attempt_of_a_new_round(staged: bool):
    before = DEAD.when(c.StageReplay()).then(e.ReplayStaged()) if staged else DEAD
    run = before.when(c.ReplayDeadLetter(), at=500).then(e.DeadLetterReplayed(2)).run
    assert (run.status, run.attempt, run.round, run.due_at) == (Status.QUEUED, 1, 2, moment(500))
    assert (run.error, run.finished_at, run.next_retry_at, run.started_at, run.worker_id) == (None,) * 5


def test_a_second_round_has_all_its_attempts_and_can_end_in_the_dead_letter_queue_again():
    again = DEAD.when(c.ReplayDeadLetter()).then_follows().when(c.Dequeue("w", 60, start=True))
    again = again.then(e.Dequeued("w", 1, 2, 60), e.Attempted(1))
    dead = again.when(c.Fail(FAILURE)).then(e.DeadLettered(1, FAILURE))
    dead.when(c.ReplayDeadLetter()).then(e.DeadLetterReplayed(3))


def test_a_dead_letter_that_was_picked_is_not_finished_and_keeps_its_error():
    staged = DEAD.when(c.StageReplay()).then(e.ReplayStaged())
    assert (staged.run.finished_at, staged.run.error, staged.run.is_finished) == (None, FAILURE, False)
    staged.when(c.StageReplay()).then_nothing()


def test_a_dead_letter_cannot_be_replayed_twice():
    replayed = DEAD.when(c.ReplayDeadLetter()).then_follows()
    replayed.when(c.ReplayDeadLetter()).then_refused(IllegalTransition, contains="dead-letter queue")


# --- the small things ---------------------------------------------------------------------------------


def test_an_idempotency_key_is_freed_once():
    run = given(triggered(idempotency_key="k")).when(c.ResetIdempotency()).then(e.IdempotencyReset("k"))
    assert run.run.idempotency_key is None
    run.when(c.ResetIdempotency()).then_nothing()
    given(triggered()).when(c.ResetIdempotency()).then_nothing()


def test_debug_mode_is_switched_on_and_off_and_a_repetition_changes_nothing():
    on = EXECUTING.when(c.SetDebug(True)).then(e.DebugSet(True))
    on.when(c.SetDebug(True)).then_nothing()
    off = on.when(c.SetDebug(False)).then(e.DebugSet(False))
    assert (on.run.debug_mode, off.run.debug_mode) == (True, False)
    EXECUTING.when(c.SetDebug(False)).then_nothing()


def test_a_claim_without_a_word_speaks_for_whoever_works():
    EXECUTING.when(c.Log("x", claim=Claim())).then(e.Logged("x"))


def test_streams_are_announced_once_until_the_run_has_ended() -> None:
    run = given(triggered()).when(c.OpenStream("a")).then(e.StreamOpened("a"))
    run = run.when(c.OpenStream("b")).then(e.StreamOpened("b"))
    run.when(c.OpenStream("a")).then_nothing()
    assert run.run.streams == ("a", "b")
    ended = run.followed_by((e.Canceled("no need"),), moment(9))
    ended.when(c.OpenStream("a")).then_nothing()
    ended.when(c.OpenStream("c")).then_refused(IllegalTransition, contains="it has ended")


def test_a_run_has_so_many_announced_streams() -> None:
    full = given(triggered(), *(e.StreamOpened(str(n)) for n in range(MAX_STREAMS)))
    full.when(c.OpenStream("one more")).then_refused(Invalid, contains="at most 100")
