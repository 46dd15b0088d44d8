"""The runs that the benchmark of lists multiplies by SQL are what the product would have made of their events."""

import asyncio
import importlib
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runcord.ledger import mapper
from runcord.projecting.projection import Step
from runcord.run.evolve import evolve
from runcord.run.state import Run
from runcord.testing.ledger import PROJECT, open_project
from runcord_projections.run_history.projection import PROJECTION
from runcord_projections.run_view.projection import CODEC

BENCH = Path(__file__).parents[2] / "tools" / "bench"
RUNS = 400


@pytest.fixture
def population(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with few runs to copy."""
    monkeypatch.syspath_prepend(str(BENCH))  # pyright: ignore[reportUnknownMemberType]
    module = importlib.import_module("runcord_bench.population")
    monkeypatch.setattr(module, "TEMPLATE", 50)
    monkeypatch.setattr(module, "SPAN", 256)
    monkeypatch.setattr(module, "BATCH", 20)
    return module


def test_copies_are_what_the_product_makes_of_their_events(dsn: str, population: Any) -> None:
    open_project(dsn)
    asyncio.run(population.populate(dsn, PROJECT, RUNS, whole=True))
    with psycopg.connect(dsn) as conn:
        events = conn.execute(
            "select stream_id, version, position, recorded_at, event_id, type, data, metadata from events"
            " where stream_id like 'run\\_%' order by position"
        ).fetchall()
        view = conn.execute("select run_id, position, created_position, status, state from runs").fetchall()
        lives = conn.execute(
            "select run_id, created_position, finished_position, span, dead_until, statuses, positions from run_history"
        ).fetchall()
        behind = conn.execute("select from projections p, ledger_heads h where p.position <> h.position").fetchall()
    assert not behind

    runs: dict[str, Run] = {}
    steps: list[Step] = []
    for row in events:
        recorded = mapper.recorded(row)
        before = runs.get(recorded.stream_id)
        after = evolve(before, recorded)
        assert after is not None
        runs[recorded.stream_id] = after
        steps.append(Step(before, recorded, after))

    assert len(runs) >= RUNS
    changes = PROJECTION.gather(steps)
    expected = {run_id: PROJECTION.evolve(None, run_id, given) for run_id, given in changes.items()}
    assert {life.run_id: life for life in map(PROJECTION.table.read, lives)} == expected
    assert {run_id: (created, status) for run_id, _, created, status, _ in view} == {
        run_id: (given.positions[0], runs[run_id].status) for run_id, given in changes.items()
    }
    for run_id, _, _, _, state in view:
        stored, folded = CODEC.decode(state), runs[run_id]
        assert (stored.run_id, stored.version, stored.tags) == (folded.run_id, folded.version, folded.tags)
