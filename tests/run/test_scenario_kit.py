"""The kit that the other tests speak with must be able to fail."""

import pytest

from runcord.errors import Conflict, IllegalTransition
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.status import Status
from runcord.testing.scenario import START, given, history_to, moment, triggered


def test_other_events_than_expected_are_an_assertion_error():
    with pytest.raises(AssertionError, match="instead of"):
        given(*history_to(Status.EXECUTING)).when(c.Pause()).then(e.Paused("other"))


def test_a_refusal_is_an_assertion_error_where_events_were_expected():
    with pytest.raises(AssertionError, match="was refused"):
        given(*history_to(Status.QUEUED)).when(c.Pause()).then(e.Paused())


def test_events_are_an_assertion_error_where_a_refusal_was_expected():
    with pytest.raises(AssertionError, match="was not refused"):
        given(*history_to(Status.EXECUTING)).when(c.Pause()).then_refused(IllegalTransition)


def test_a_refusal_must_be_of_just_the_class_with_the_code_and_the_words():
    refused = given(*history_to(Status.QUEUED)).when(c.Pause())
    with pytest.raises(AssertionError, match="not with Conflict"):
        refused.then_refused(Conflict)
    with pytest.raises(AssertionError, match="code"):
        refused.then_refused(IllegalTransition, code="other")
    with pytest.raises(AssertionError, match="does not contain"):
        refused.then_refused(IllegalTransition, contains="bananas")
    refused.then_refused(IllegalTransition, code="illegal_transition", contains="executing")


def test_events_where_nothing_was_expected_are_an_assertion_error():
    with pytest.raises(AssertionError, match="instead of"):
        given(*history_to(Status.EXECUTING)).when(c.Pause()).then_nothing()


def test_time_goes_on_a_second_with_each_event_unless_it_is_given():
    history = given(triggered(), (e.Dequeued("w", 1, 1, 60), 10), e.Attempted(1)).history
    assert [recorded.at for recorded in history] == [START, moment(10), moment(11)]
    assert [(recorded.version, recorded.position) for recorded in history] == [(1, 1), (2, 2), (3, 3)]


def test_a_refused_command_leaves_the_history_as_it_was():
    before = given(*history_to(Status.QUEUED))
    assert before.when(c.Pause()).then_refused(IllegalTransition) is before
