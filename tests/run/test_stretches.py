"""Stretches say of a run what the fold of its outline says, event by event; what they do not fit is left to that."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import given

from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.build import build
from runcord.run.outline import CHANGES, Outline, evolve_outline, first_outline
from runcord.run.retry import RetryPolicy
from runcord.run.status import Status
from runcord.run.stretches import EARLIER, LONGEST, PLAIN, Stretch, Way, Ways

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

plain = st.sampled_from(PLAIN).map(lambda kind: build(kind, {"attempt": 1}))
triggers = st.builds(
    lambda due_at, tags: e.Triggered("job", "j", 1, "manual", RetryPolicy(), due_at=due_at, tags=tags),
    st.none() | st.just(NOON + HOUR),
    st.none() | st.just({"env": "prod"}),
)
runs = st.builds(
    Outline,
    st.just("run_a"),
    st.just("job"),
    st.sampled_from(Status),
    st.none() | st.just({"env": "prod"}),
    st.just(NOON - HOUR),
    st.none() | st.just(NOON - 2 * HOUR),
    st.just(1),
    st.integers(1, 2),
)


def outlines(run: Outline | None, events: list[Any]) -> list[Outline | None]:
    """Return the outlines before the events, one a minute from noon on, and after the last."""
    found = [run]
    for n, event in enumerate(events):
        recorded = Recorded("run_a", n + 1, n + 1, NOON + n * HOUR, UUID(int=0), {}, event)
        found.append(evolve_outline(found[-1], recorded))
    return found


def gone(run: Outline | None, events: list[Any], ways: Ways) -> tuple[Way | None, Stretch | None]:
    begun = run or first_outline("run_a", events[0], NOON)
    assert begun is not None
    way = ways.of(begun, tuple(map(type, events)), events)
    if way is None:
        return None, None
    places = list(range(1, len(events) + 1))
    return way, Stretch(way, begun, events, places, places, [NOON + n * HOUR for n in range(len(events))])


def check(run: Outline | None, events: list[Any]) -> None:
    way, stretch = gone(run, events, Ways())
    found = outlines(run, events)
    assert way is not None and stretch is not None
    assert list(way.before) == [None if one is None else one.status for one in found[:-1]]
    assert list(way.after) == [one.status for one in found[1:] if one is not None]
    assert stretch.outline() == found[-1]
    for n, one in enumerate(found[:-1]):
        if one is not None:
            since = way.started[n]
            assert one.started_at == (stretch.run.started_at if since == EARLIER else stretch.times[since])
            assert one.due_at == stretch.run.due_at
    assert list(way.changes) == [n for n, status in enumerate(way.after) if way.before[n] != status]
    assert list(way.statuses) == [way.after[n] for n in way.changes]
    assert way.changes_in(events) == [events[n] for n in way.changes]
    assert [events[n].__class__ for n in way.dequeued] == [e.Dequeued] * way.kinds.count(e.Dequeued)


@given(runs, st.lists(plain, min_size=1, max_size=8))
def test_a_stretch_is_what_the_fold_says_of_a_run(run: Outline, events: list[Any]) -> None:
    check(run, events)


@given(triggers, st.lists(plain, max_size=8))
def test_a_stretch_is_what_the_fold_says_of_a_new_run(trigger: e.Triggered, events: list[Any]) -> None:
    check(None, [trigger, *events])


RUN = Outline("run_a", "job", Status.QUEUED, None, NOON)
OTHERS = sorted({*CHANGES, e.Triggered} - {*PLAIN}, key=lambda cls: cls.__name__)


@pytest.mark.parametrize("kind", [*OTHERS, e.Logged], ids=lambda cls: cls.__name__)
def test_anything_else_is_not_plain(kind: type) -> None:
    assert Ways().of(RUN, (e.Attempted, kind), (e.Attempted(1), build(kind, {}))) is None


def test_later_attempts_are_not_plain() -> None:
    ways = Ways()
    assert ways.of(RUN, (e.Dequeued,), (e.Dequeued("w", 1, 1, 60),)) is not None
    assert ways.of(RUN, (e.Dequeued,), (e.Dequeued("w", 2, 2, 60),)) is None
    assert ways.of(RUN._replace(attempt=2), (e.Dequeued,), (e.Dequeued("w", 1, 1, 60),)) is None


def test_long_ways_are_not_plain() -> None:
    assert Ways().of(RUN, (e.Attempted,) * LONGEST, (e.Attempted(1),) * LONGEST) is not None
    assert Ways().of(RUN, (e.Attempted,) * (LONGEST + 1), (e.Attempted(1),) * (LONGEST + 1)) is None


def test_there_is_one_way_for_all_who_go_it() -> None:
    ways, events = Ways(), (e.Attempted(1),)
    way = ways.of(RUN, (e.Attempted,), events)
    assert way is ways.of(RUN._replace(run_id="run_b"), (e.Attempted,), events)
    assert way is not ways.of(RUN._replace(status=Status.PAUSED), (e.Attempted,), events)
