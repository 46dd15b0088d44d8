"""Whatever a page holds and however it is divided, stretches and steps give the rows that steps alone give."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from runcord.projecting.dividing import Page, divide, follow, places_of
from runcord.projecting.folding import Batch, sheet
from runcord.projecting.projection import AnyProjection
from runcord.projecting.registry import projections
from runcord.run import events as e
from runcord.run.outline import Outline
from runcord.run.retry import RetryPolicy
from runcord.run.status import TERMINAL
from runcord.run.stretches import Ways
from runcord.testing.scenario import FAILURE
from runcord_projections.tag_index.projection import AREA_BITS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = RetryPolicy()

STRANGE: tuple[Any, ...] = (
    e.Retried(1, 2, NOON, FAILURE),
    e.Dequeued("w", 2, 2, 60),
    e.DeadLettered(1, FAILURE),
    e.ReplayStaged(),
    e.DeadLetterReplayed(2),
    e.Restarted(),
    e.Tagged({"env": "test", "n": "1"}),
    e.Released(1, NOON),
    e.UsageRecorded("p", "m", 1, 2, 3, 4),
)
LIFE: tuple[Any, ...] = (
    e.Dequeued("w", 1, 1, 60),
    e.Attempted(1),
    e.Completed(1),
    e.Canceled("no need"),
    e.Waited("worker"),
)

triggers = st.builds(
    lambda tags, parent, hours: e.Triggered(
        "job", "j", 1, "manual", POLICY, tags=tags, parent_run_id=parent, due_at=hours and NOON + timedelta(hours=hours)
    ),
    st.sampled_from([None, {"env": "prod"}, {"env": "prod", "n": "1"}]),
    st.sampled_from([None, "run_0"]),
    st.sampled_from([None, None, 1]),
)
moments = st.tuples(st.integers(0, 4), st.sampled_from([*LIFE, *LIFE, *LIFE, *STRANGE]))
gaps = st.sampled_from([1, 1, 1, 100])
pauses = st.sampled_from([0, 1, 1, 3000])


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int, int, datetime, Any]]:
    """Return the events of some runs, each triggered before anything else happens to it."""
    versions: dict[str, int] = {}
    rows: list[tuple[str, int, int, datetime, Any]] = []
    position, at = draw(st.integers(0, 2**AREA_BITS)), NOON - timedelta(minutes=10)
    for number, event in draw(st.lists(moments, min_size=1, max_size=40)):
        run_id = f"run_{number}"
        for one in (event,) if run_id in versions else (draw(triggers), event):
            position += draw(gaps)
            at += timedelta(seconds=draw(pauses))
            versions[run_id] = versions.get(run_id, 0) + 1
            rows.append((run_id, versions[run_id], position, at, one))
    return rows


def pages_of(rows: Sequence[tuple[Any, ...]], size: int) -> list[Page]:
    return [Page(*zip(*rows[n : n + size], strict=True)) for n in range(0, len(rows), size)]


def batches(pages: Sequence[Page]) -> list[Batch]:
    """Return what pages are divided into, each with all known that was before."""
    before: dict[str, Outline] = {}
    ways = Ways()
    return [_divided(page, before, ways) for page in pages]


def _divided(page: Page, before: dict[str, Outline], ways: Ways) -> Batch:
    known = dict(before)
    steps, stretches = divide(page, places_of(page), known, ways)
    for stream_id, at, event in zip(page.stream_ids, page.times, page.events, strict=True):
        follow(before, stream_id, at, event)
    assert known == {run_id: before[run_id] for run_id in known}
    assert all(before[run_id].status in TERMINAL for run_id in before.keys() - known.keys())
    positions = [step.recorded.position for step in steps]
    assert positions == sorted(positions)
    assert sorted([*positions, *(at for one in stretches for at in one.positions)]) == list(page.positions)
    return Batch(steps, stretches)


def rows_of(projection: AnyProjection, batches: Sequence[Batch], skips: Collection[int]) -> Mapping[Any, Any]:
    """Return the rows that a projection makes of batches, by their keys."""
    table = projection.table
    stored: dict[Any, Any] = {}
    latest: dict[Any, Any] = {}
    for batch in batches:
        found = sheet(projection, 1, batch, skips)
        found.rows = {table.looked_up_by(key): latest.get(table.looked_up_by(key)) for key in found.concerned}
        found.rows = {place: row for place, row in found.rows.items() if row is not None}
        changes = found.fold()
        for row in (*changes.changed, *changes.added):
            stored[tuple(getattr(row, column) for column in table.key)] = latest[table.found_by(row)] = row
        for place in changes.removed:
            row = latest.pop(place)
            del stored[tuple(getattr(row, column) for column in table.key)]
    return stored


OUTLINED = sorted(name for name, one in projections().items() if one.outlined)


@pytest.mark.parametrize("name", OUTLINED)
@settings(deadline=None)
@given(history=histories(), size=st.integers(1, 50), skip=st.none() | st.integers(0, 20))
def test_rows_are_the_same_as_of_steps(name: str, history: list[Any], size: int, skip: int | None) -> None:
    projection = projections()[name]
    skips = () if skip is None else {history[skip % len(history)][2]}
    divided = batches(pages_of(history, size))
    plain = [batch.unrolled for batch in divided]
    assert not any(batch.stretches for batch in plain)
    assert rows_of(projection, divided, skips) == rows_of(projection, plain, skips)
    assert rows_of(projection, plain, skips) == rows_of(projection, batches(pages_of(history, 1000)), skips)


def test_plain_runs_are_told_by_stretches_and_others_by_steps() -> None:
    trigger = e.Triggered("job", "j", 1, "manual", POLICY)
    lives: Mapping[str, Sequence[Any]] = {"run_a": (trigger, *LIFE[:3]), "run_b": (trigger, STRANGE[0])}
    rows = [(run_id, n, 0, NOON, event) for run_id, life in lives.items() for n, event in enumerate(life, 1)]
    [page] = pages_of([(row[0], row[1], place, *row[3:]) for place, row in enumerate(rows, 1)], 100)
    known: dict[str, Outline] = {}
    steps, stretches = divide(page, places_of(page), known, Ways())
    assert [step.recorded.stream_id for step in steps] == ["run_b", "run_b"]
    assert [stretch.run.run_id for stretch in stretches] == ["run_a"]
    assert known.keys() == {"run_b"}  # nothing is to come of the other


def test_what_is_no_run_has_neither_outline_nor_stretch() -> None:
    [page] = pages_of([("job_a", 1, 1, NOON, e.Attempted(1))], 1)
    [step], stretches = divide(page, places_of(page), {}, Ways())
    assert (step.before, step.after, stretches) == (None, None, [])
