"""The transition table against the specification, which is written out here once more."""

import itertools

import pytest

from runcord.run.status import FINISHED, REPLAYABLE, SLOT_HOLDING, TERMINAL, TRANSITIONS, Status, may_become
from runcord.testing.scenario import given, history_to

SPECIFIED = """
delayed        queued canceled expired
queued         dequeued delayed canceled expired
dequeued       executing queued canceled system_failed
executing      completed failed timed_out crashed canceled waiting queued system_failed dead_letter paused
waiting        executing queued completed failed canceled timed_out
paused         queued canceled
dead_letter    queued replay_staged
replay_staged  queued canceled
completed
failed
timed_out
crashed
system_failed
canceled
expired
"""


def test_the_table_is_the_specified_one():
    specified = {words[0]: set(words[1:]) for words in map(str.split, SPECIFIED.strip().splitlines())}
    assert {str(status): set(map(str, following)) for status, following in TRANSITIONS.items()} == specified


def test_there_are_fifteen_statuses():
    assert len(Status) == 15
    assert set(TRANSITIONS) == set(Status)


def test_the_terminal_statuses_are_the_seven_that_nothing_follows():
    ended = {"completed", "failed", "timed_out", "crashed", "system_failed", "canceled", "expired"}
    assert set(map(str, TERMINAL)) == ended


def test_a_dead_letter_is_finished_but_not_terminal():
    assert {Status.DEAD_LETTER} == FINISHED - TERMINAL


def test_whatever_is_finished_can_be_replayed():
    assert REPLAYABLE == FINISHED


def test_only_a_live_attempt_holds_a_slot():
    assert {Status.DEQUEUED, Status.EXECUTING} == SLOT_HOLDING


@pytest.mark.parametrize("status", Status)
def test_the_history_to_a_status_leads_there_in_legal_steps(status: Status):
    history = history_to(status)
    steps = [given(*history[:length]).run.status for length in range(1, len(history) + 1)]
    assert steps[-1] is status
    assert all(after == before or may_become(before, after) for before, after in itertools.pairwise(steps))


@pytest.mark.parametrize("status", Status)
def test_a_run_says_what_its_status_means(status: Status):
    run = given(*history_to(status)).run
    assert run.is_terminal == (status in TERMINAL)
    assert run.is_finished == (status in FINISHED)
    assert run.holds_slot == (status in SLOT_HOLDING)
