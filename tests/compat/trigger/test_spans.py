"""Spans of a run, without a server: what of its history is an attempt, and when one is over."""

import orjson
import pytest

from runcord.http.compat.trigger.trace import TRACED, render_events, render_page, render_span, render_tree, spans_of
from runcord.run.status import SLOT_HOLDING, Status
from runcord.testing.scenario import given, history_to, moment

NOW = moment(10_000)
AT_WORK = {*SLOT_HOLDING, Status.WAITING}


@pytest.mark.parametrize("status", list(Status))
def test_an_attempt_goes_on_for_as_long_as_it_has_the_run(status: Status):
    told = given(*history_to(status))
    traced = [recorded for recorded in told.history if isinstance(recorded.event, TRACED)]
    root, *attempts = spans = spans_of(told.run, traced)
    assert [span for span in attempts if span.end is None] == (attempts[-1:] if status in AT_WORK else [])
    assert (root.end is None) == (not told.run.is_finished)
    assert root.is_canceled == (status is Status.CANCELED)
    assert all(span.parent_id == root.id for span in attempts) and len({span.id for span in spans}) == len(spans)
    tree = orjson.loads(orjson.dumps(render_tree(told.run, spans, NOW)))["trace"]["rootSpan"]
    assert [node["id"] for node in tree["children"]] == [span.id for span in attempts]
    failed = [one["attemptNumber"] for one in render_page(spans, NOW)["attemptFailures"]]
    assert failed == [span.attempt for span in attempts if span.error]
    assert [one["spanId"] for one in render_events(spans, NOW)] == [span.id for span in spans]


def test_a_run_is_shown_below_the_attempt_that_spawned_it():
    parent = given(*history_to(Status.EXECUTING))
    traced = [recorded for recorded in parent.history if isinstance(recorded.event, TRACED)]
    child = given(*history_to(Status.CANCELED)).run
    during, before = child.altered(run_id="run_2", created_at=NOW), child.altered(run_id="run_3", created_at=moment(-1))
    root, attempt, *spawned = spans_of(parent.run, traced, [during, before])
    assert [(span.run_id, span.parent_id) for span in spawned] == [("run_2", attempt.id), ("run_3", root.id)]
    assert render_span(attempt, [during], NOW, new=True)["triggeredRuns"][0]["status"] == "CANCELED"
    assert render_span(spawned[0], [], NOW, new=True)["isCancelled"]


def test_a_failure_is_told_with_its_attempt():
    told = given(*history_to(Status.FAILED))
    traced = [recorded for recorded in told.history if isinstance(recorded.event, TRACED)]
    (_, *_, last) = spans_of(told.run, traced)
    (event,) = render_span(last, [], NOW, new=True)["events"]
    assert told.run.error is not None
    assert event["properties"]["exception"]["message"] == told.run.error.message
