"""The execution trace: what a sender measured, and what the ledger's own times tell."""

from datetime import timedelta

import pytest

from runcord.errors import StaleAttempt
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.commands import Claim
from runcord.run.status import Status
from runcord.run.trace import ExecutionTrace, whole_ms
from runcord.testing.scenario import FAILURE, given, history_to, moment, triggered

MEASURED = ExecutionTrace(dequeue_ms=2, connect_ms=3, ttfb_ms=4, transfer_ms=5, dispatch_ms=12)


@pytest.mark.parametrize(
    ("duration", "milliseconds"),
    [(0.0, 0), (-1.0, 0), (1e-9, 1), (0.0014, 1), (0.0016, 2), (1.5, 1500), (timedelta(seconds=2), 2000)],
)
def test_a_duration_is_rounded_and_is_at_least_one_if_it_took_any_time(
    duration: float | timedelta, milliseconds: int
) -> None:
    assert whole_ms(duration) == milliseconds


def test_a_dispatch_is_recorded_with_what_the_ledger_knows_of_it() -> None:
    taken = given((triggered(), 0), (e.Dequeued("push", 1, 1, 30), 2), (e.Attempted(1), 2))
    recorded = taken.when(c.RecordDispatch("primary", MEASURED, 200, claim=Claim(1, 1)), at=moment(9)).then(
        e.Dispatched(1, "primary", ExecutionTrace(2000, 2, 3, 4, 5, 9000, 12), 200)
    )
    assert recorded.run.execution_trace == ExecutionTrace(2000, 2, 3, 4, 5, 9000, 12)


def test_the_total_reaches_until_the_run_has_ended() -> None:
    sent = given((triggered(), 0), (e.Dequeued("push", 1, 1, 30), 2), (e.Attempted(1), 2)).when(
        c.RecordDispatch("primary", MEASURED, 202), at=moment(3)
    )
    run = sent.then_follows().when(c.Complete(), at=moment(60)).then_follows().run
    assert run.execution_trace == ExecutionTrace(2000, 2, 3, 4, 5, 60_000, 12)


def test_a_failed_attempts_trace_is_shown_until_the_next_attempt() -> None:
    sent = given(*history_to(Status.EXECUTING)).when(c.RecordDispatch("primary", MEASURED, 500)).then_follows()
    retried = sent.when(c.Fail(FAILURE)).then_follows()
    assert retried.run.execution_trace is not None and retried.run.execution_trace.connect_ms == 3
    again = retried.when(c.Dequeue("other", 30, start=True), at=moment(1000)).then_follows()
    assert again.run.execution_trace is None


def test_the_trace_of_a_pulled_run_is_made_of_the_ledgers_times() -> None:
    run = given((triggered(), 0), (e.Dequeued("w", 1, 1, 30), 2), (e.Attempted(1), 5), (e.Completed(1), 9)).run
    assert run.execution_trace == ExecutionTrace(queue_wait_ms=2000, dequeue_ms=3000, total_ms=9000)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.EXECUTING, Status.EXPIRED])
def test_a_run_that_no_attempt_has_ended_of_has_no_trace(status: Status) -> None:
    assert given(*history_to(status, ttl_secs=3600)).run.execution_trace is None


def test_another_attempts_dispatch_is_not_recorded() -> None:
    given(*history_to(Status.EXECUTING)).when(
        c.RecordDispatch("primary", MEASURED, 200, claim=Claim(1, 7))
    ).then_refused(StaleAttempt)
