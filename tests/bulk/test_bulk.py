"""What a bulk operation is: how it is asked for, how it goes on, and what ends it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from runcord.bulk import commands as c
from runcord.bulk import events as e
from runcord.bulk.decide import decide
from runcord.bulk.evolve import evolve
from runcord.bulk.selection import ALLOWED, UNLESS_SAID, Action, RunFilter, filter_for
from runcord.bulk.state import ERROR_SAMPLE, BulkOperation
from runcord.errors import (
    BulkOperationEnded,
    BulkOperationNotFound,
    IdempotencyKeyReused,
    Invalid,
    RuncordError,
)
from runcord.recorded import Recorded
from runcord.run.status import Status

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMED = e.BulkRequested("cancel", ("run_a", "run_b", "run_c"))
OF_FILTER = e.BulkRequested("cancel", filter=RunFilter(("queued",), job_id="job_a"))
ONE = (e.Outcome("run_a"),)


def after(*events: e.Event) -> BulkOperation:
    """Return what a history makes of an operation; the ledger was at 40, the events are a second apart."""
    operation: BulkOperation | None = None
    for n, event in enumerate(events, 1):
        at = START + timedelta(seconds=n)
        metadata = {"actor": "apikey:k", "request_id": "req_1"}
        operation = evolve(operation, Recorded("bulk_x", n, 40 + n, at, UUID(int=n), metadata, event))
    assert operation is not None
    return operation


def test_a_request_is_remembered_with_who_made_it_and_where():
    assert decide(c.RequestBulk(NAMED), None) == (NAMED,)
    operation = after(NAMED)
    assert (operation.operation_id, operation.status, operation.position) == ("bulk_x", "pending", 41)
    assert (operation.requested_by, operation.request_id) == ("apikey:k", "req_1")
    assert (operation.run_ids, operation.total, operation.done) == (NAMED.run_ids, None, 0)


@pytest.mark.parametrize(
    "facts",
    [
        e.BulkRequested("cancel"),
        e.BulkRequested("cancel", ()),
        e.BulkRequested("cancel", ("run_a",), RunFilter(("queued",))),
    ],
)
def test_a_request_says_in_one_way_which_runs_it_means(facts: e.BulkRequested):
    with pytest.raises(Invalid):
        decide(c.RequestBulk(facts), None)


def test_a_repeated_request_is_the_same_operation_and_another_is_refused():
    for operation in (after(NAMED), after(NAMED, e.BulkStarted(3), e.BulkAdvanced(1, ONE), e.BulkCanceled())):
        assert decide(c.RequestBulk(NAMED), operation) == ()
        for other in (OF_FILTER, e.BulkRequested("replay", NAMED.run_ids), e.BulkRequested("cancel", ("run_a",))):
            with pytest.raises(IdempotencyKeyReused):
                decide(c.RequestBulk(other), operation)


def test_an_operation_goes_on_step_by_step_until_its_last():
    operation = after(OF_FILTER)
    assert decide(c.StartBulk(2), operation) == (e.BulkStarted(2),)
    operation = after(OF_FILTER, e.BulkStarted(2))
    assert (operation.status, operation.total, operation.cursor) == ("running", 2, 0)
    step = c.AdvanceBulk(0, 17, ONE, is_last=False)
    assert decide(step, operation) == (e.BulkAdvanced(17, ONE),)
    operation = after(OF_FILTER, e.BulkStarted(2), e.BulkAdvanced(17, ONE))
    assert (operation.cursor, operation.succeeded, operation.status) == (17, 1, "running")
    last = c.AdvanceBulk(17, 41, (e.Outcome("run_b", "skipped"),), is_last=True)
    events = decide(last, operation)
    assert events == (e.BulkAdvanced(41, last.outcomes), e.BulkCompleted())
    done = after(OF_FILTER, e.BulkStarted(2), e.BulkAdvanced(17, ONE), *events)
    assert (done.status, done.done, done.succeeded, done.skipped, done.is_active) == ("completed", 2, 1, 1, False)
    assert done.finished_at == START + timedelta(seconds=5)


def test_an_operation_without_runs_is_completed_when_that_is_known():
    assert decide(c.StartBulk(0), after(OF_FILTER)) == (e.BulkStarted(0), e.BulkCompleted())


def test_what_another_process_has_said_already_causes_nothing():
    running = after(OF_FILTER, e.BulkStarted(2), e.BulkAdvanced(17, ONE))
    assert decide(c.StartBulk(2), running) == ()
    assert decide(c.AdvanceBulk(0, 17, ONE, is_last=False), running) == ()


ENDS = [e.BulkCompleted(), e.BulkCanceled(), e.BulkFailed("no")]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.TYPE)
def test_nothing_goes_on_after_the_end(end: e.Event):
    ended = after(OF_FILTER, e.BulkStarted(2), end)
    assert not ended.is_active
    assert decide(c.AdvanceBulk(0, 17, ONE, is_last=True), ended) == ()
    assert decide(c.StartBulk(2), ended) == decide(c.FailBulk("no"), ended) == ()


def test_an_operation_is_canceled_while_there_is_something_to_cancel():
    for active in (after(NAMED), after(NAMED, e.BulkStarted(3))):
        assert decide(c.CancelBulk(), active) == (e.BulkCanceled(),)
    assert decide(c.CancelBulk(), after(NAMED, e.BulkCanceled())) == ()
    for end in (e.BulkCompleted(), e.BulkFailed("no")):
        with pytest.raises(BulkOperationEnded):
            decide(c.CancelBulk(), after(NAMED, e.BulkStarted(3), end))


def test_an_operation_that_is_given_up_says_why():
    failed = after(NAMED, *decide(c.FailBulk("a bug"), after(NAMED)))
    assert (failed.status, failed.error) == ("failed", "a bug")


@pytest.mark.parametrize(
    "command", [c.StartBulk(1), c.AdvanceBulk(0, 1, (), is_last=True), c.CancelBulk(), c.FailBulk("no")]
)
def test_what_was_not_requested_cannot_go_on(command: c.Command):
    with pytest.raises(BulkOperationNotFound):
        decide(command, None)


def test_the_first_refusals_are_kept_as_a_sample():
    refused = tuple(e.Outcome(f"run_{n}", "failed", code="run_not_found") for n in range(ERROR_SAMPLE))
    operation = after(NAMED, e.BulkAdvanced(1, (*ONE, *refused[:4])), e.BulkAdvanced(2, (*refused[4:], *refused)))
    assert (operation.errors, operation.failed) == (refused, 2 * ERROR_SAMPLE)


def test_a_filter_without_statuses_means_those_that_the_action_is_for():
    everything = filter_for("cancel", job_id="job_a")
    assert set(everything.statuses) == {status for status in Status if status in ALLOWED["cancel"]}
    assert set(filter_for("replay").statuses) == {"failed", "timed_out", "crashed", "system_failed"}
    assert filter_for("dlq_replay").statuses == ("dead_letter",)


@pytest.mark.parametrize("action", ["cancel", "replay", "dlq_replay"])
def test_a_filter_takes_the_statuses_in_which_a_run_can_be_acted_on_and_no_others(action: Action):
    assert UNLESS_SAID[action] <= ALLOWED[action]
    for status in Status:
        if status in ALLOWED[action]:
            assert filter_for(action, [status]).statuses == (status,)
        else:
            with pytest.raises(RuncordError, match=f"a run that is {status}"):
                filter_for(action, [status])
