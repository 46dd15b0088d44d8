"""What a worker left on record is listed exactly, in pages that neither lose nor repeat."""

from typing import TYPE_CHECKING, Any

import pytest

from runcord.projecting import run_facts, time_travel
from runcord.run import events as e
from runcord.run.retry import RetryPolicy

if TYPE_CHECKING:
    from conftest import Ledger

TRIGGERED = e.Triggered("job_a", "parse", 1, "manual", RetryPolicy())


@pytest.fixture
def told(ledger: "Ledger") -> "Ledger":
    """A ledger in which run_a has told everything a worker can, and run_b the same of its own."""
    for run_id in ("run_a", "run_b"):
        ledger.record(
            run_id,
            TRIGGERED,
            e.Logged("one", level="debug"),
            e.Checkpointed(1, {"of": run_id}),
            e.UsageRecorded("anthropic", "a-model", 10, 20, 30, 400),
            e.Progressed(40.0, step="parsing"),
            e.ToolCalled("grep", input={"q": 1}, output=[2], duration_ms=3),
            e.OutputSet("summary", "first"),
            e.StateSet("cursor", 1),
            e.StateSet("gone", 1),
            e.Checkpointed(2, {"of": run_id}, source="manual"),
            e.Logged("two", level="error", type="audit", data={"n": 2}),
            e.OutputSet("answer", 42, {"type": "integer"}),
            e.OutputSet("summary", "second"),
            e.StateDeleted("gone"),
            e.StateSet("cursor", 2),
            e.Progressed(100.0, "done", eta_seconds=0.0),
            e.UsageRecorded("anthropic", "b-model"),
            e.ToolCalled("sed", status="failed"),
        )
    return ledger


def test_checkpoints_are_listed_newest_first(told: "Ledger") -> None:
    found = told.ask(run_facts.checkpoints, "run_a", limit=10)
    assert [(c.sequence, c.state, c.source, c.version) for c in found] == [
        (2, {"of": "run_a"}, "manual", 10),
        (1, {"of": "run_a"}, "sdk", 3),
    ]
    assert told.ask(run_facts.checkpoints, "run_a", before=10, limit=10) == found[1:]
    assert told.ask(run_facts.checkpoints, "run_a", limit=1) == found[:1]


def test_a_fact_is_its_event(told: "Ledger") -> None:
    [recorded] = told.ask(time_travel.history, "run_a", after=9, limit=1)
    [checkpoint] = told.ask(run_facts.checkpoints, "run_a", limit=1)
    assert (checkpoint.id, checkpoint.run_id, checkpoint.version, checkpoint.created_at) == (
        recorded.event_id,
        "run_a",
        recorded.version,
        recorded.at,
    )


def test_usage_and_tool_calls_are_listed_newest_first(told: "Ledger") -> None:
    usages = told.ask(run_facts.usages, "run_a", limit=10)
    assert [(u.model, u.prompt_tokens, u.completion_tokens, u.total_tokens, u.cost_microusd) for u in usages] == [
        ("b-model", 0, 0, 0, 0),
        ("a-model", 10, 20, 30, 400),
    ]
    calls = told.ask(run_facts.tool_calls, "run_a", limit=10)
    assert [(c.tool_name, c.status, c.input, c.output, c.duration_ms) for c in calls] == [
        ("sed", "failed", None, None, None),
        ("grep", "completed", {"q": 1}, [2], 3),
    ]
    assert told.ask(run_facts.tool_calls, "run_a", before=calls[0].version, limit=10) == calls[1:]


def test_messages_are_listed_oldest_first(told: "Ledger") -> None:
    found = told.ask(run_facts.messages, "run_a", limit=10)
    assert [(m.type, m.level, m.message, m.data) for m in found] == [
        ("log", "debug", "one", None),
        ("progress", "info", "", {"percent": 40.0, "step": "parsing"}),
        ("audit", "error", "two", {"n": 2}),
        ("progress", "info", "done", {"percent": 100.0, "eta_seconds": 0.0}),
    ]
    assert told.ask(run_facts.messages, "run_a", after=found[1].version, limit=1) == found[2:3]
    assert told.ask(run_facts.messages, "run_a", after=found[3].version, limit=1) == []


@pytest.mark.parametrize(
    ("wanted", "versions"),
    [
        ({"level": "info"}, [5, 16]),
        ({"type": "progress"}, [5, 16]),
        ({"level": "error", "type": "audit"}, [11]),
        ({"level": "error", "type": "log"}, []),
    ],
)
def test_messages_can_be_picked(told: "Ledger", wanted: dict[str, Any], versions: list[int]) -> None:
    assert [m.version for m in told.ask(run_facts.messages, "run_a", limit=10, **wanted)] == versions


def test_picking_goes_on_behind_a_full_page_of_others(ledger: "Ledger", monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.record("run_a", TRIGGERED, *(e.Logged(str(n)) for n in range(25)), e.Logged("found", level="error"))
    monkeypatch.setattr(
        run_facts, "events_of_types", lambda *args, **kwargs: time_travel.events_of_types(*args, **kwargs, limit=10)
    )
    [message] = ledger.ask(run_facts.messages, "run_a", limit=5, level="error")
    assert message.message == "found"


def test_outputs_are_the_latest_of_each_key_by_key(told: "Ledger") -> None:
    found = told.ask(run_facts.outputs, "run_a")
    assert [(o.output_key, o.value, o.schema, o.version) for o in found] == [
        ("answer", 42, {"type": "integer"}, 12),
        ("summary", "second", None, 13),
    ]


def test_state_keys_are_the_latest_without_the_deleted(told: "Ledger") -> None:
    assert [(k.state_key, k.value, k.version) for k in told.ask(run_facts.state_keys, "run_a")] == [("cursor", 2, 15)]


def test_a_deleted_state_key_can_come_back(told: "Ledger") -> None:
    told.record("run_a", e.StateSet("gone", "back"))
    assert [k.state_key for k in told.ask(run_facts.state_keys, "run_a")] == ["cursor", "gone"]


def test_a_run_that_told_nothing_has_nothing(ledger: "Ledger") -> None:
    ledger.record("run_a", TRIGGERED)
    for listing in (run_facts.checkpoints, run_facts.usages, run_facts.tool_calls, run_facts.messages):
        assert ledger.ask(listing, "run_a", limit=10) == []
    assert ledger.ask(run_facts.outputs, "run_a") == []
    assert ledger.ask(run_facts.state_keys, "run_a") == []
