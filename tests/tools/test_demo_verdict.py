"""The demo's verdict finds what is wrong with a record; a demo that could not fail would show nothing."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runcord.client import HistoryEvent, LedgerEvent, Run

TOOLS = Path(__file__).parents[2] / "tools"
AT = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The demo's modules, which are scripts beside `demo_run.py` and no installed package."""
    monkeypatch.syspath_prepend(str(TOOLS))
    import demo_parts.files
    import demo_parts.record
    import demo_parts.verdict

    yield demo_parts
    for name in [name for name in sys.modules if name.partition(".")[0] == "demo_parts"]:
        del sys.modules[name]


class Ledger:
    """Record runs as a server would, one after the other."""

    def __init__(self, demo: Any, directory: Path) -> None:
        self._demo = demo
        self._directory = directory
        self._position = 0
        self.files: list[Any] = []
        self.runs: list[Any] = []
        self.events: list[LedgerEvent] = []

    def add(self, name: str, source: str, events: list[tuple[str, dict[str, Any]]], **facts: Any) -> None:
        path = self._directory / name
        path.write_text(source)
        self.files.append(self._demo.files.SourceFile(path, name, "demo files"))
        history = [self._event(f"run_{name}", version, kind, data) for version, (kind, data) in enumerate(events, 1)]
        run = {"id": f"run_{name}", "job_id": "j", "project_id": "p", "attempt": 1, "created_at": AT}
        members = {"payload": {"path": str(path), "name": name}, "version": len(history), **facts}
        self.runs.append(self._demo.record.RecordedRun(Run(**run, **members), history))

    def _event(self, run_id: str, version: int, kind: str, data: dict[str, Any]) -> HistoryEvent:
        self._position += 1
        members = {"position": self._position, "recorded_at": AT, "type": f"run.{kind}.v1", "data": data}
        self.events.append(LedgerEvent(stream_id=run_id, version=version, **members))
        return HistoryEvent(version=version, **members)

    def problems(self, killed: tuple[str, ...] = ("w1",)) -> list[str]:
        return self._demo.verdict.problems(self._demo.record.Record(self.runs, self.events), self.files, killed)


def dequeued(worker: str) -> tuple[str, dict[str, Any]]:
    return "dequeued", {"worker_id": worker}


TAKEN_OVER = [("triggered", {}), dequeued("w1"), ("retried", {"cause": "crash"}), dequeued("w2"), ("completed", {})]
REFUSED = [("triggered", {}), dequeued("w2"), ("retried", {}), dequeued("w2"), ("retried", {}), ("dead_lettered", {})]
COUNTS = {"lines": 3, "classes": 1, "functions": 1, "imports": 1}
GOOD = "import os\nclass A:\n    def f(self): pass\n"
ERROR = {"error": "'(' was never closed (bad.py, line 1)", "error_class": "SyntaxError"}


@pytest.fixture
def ledger(demo: Any, tmp_path: Path) -> Ledger:
    ledger = Ledger(demo, tmp_path)
    ledger.add("good.py", GOOD, TAKEN_OVER, status="completed", result=COUNTS)
    ledger.add("bad.py", "(\n", REFUSED, status="dead_letter", **ERROR)
    return ledger


def test_a_round_in_which_all_happened_has_no_problems(ledger: Ledger) -> None:
    assert ledger.problems() == []


def change(index: int, **facts: Any) -> Callable[[Ledger], None]:
    def do(ledger: Ledger) -> None:
        one = ledger.runs[index]
        ledger.runs[index] = type(one)(one.run.model_copy(update=facts), one.history)

    return do


def forget_an_event(ledger: Ledger) -> None:
    one = ledger.runs[0]
    ledger.runs[0] = type(one)(one.run, [*one.history[:1], *one.history[2:]])


def leave_the_run_to_its_worker(ledger: Ledger) -> None:
    one = ledger.runs[0]
    again = one.history[3].model_copy(update={"data": {"worker_id": "w1"}})
    ledger.runs[0] = type(one)(one.run, [*one.history[:3], again, one.history[4]])


def move_an_event(ledger: Ledger) -> None:
    one = ledger.runs[1]
    last = one.history[-1]
    moved = last.model_copy(update={"position": last.position + 1})
    ledger.runs[1] = type(one)(one.run, [*one.history[:-1], moved])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda ledger: ledger.runs.pop(), "1 files have no run: bad.py"),
        (lambda ledger: ledger.runs.append(ledger.runs[0]), "1 files have more than one run: good.py"),
        (change(0, status="dead_letter", error="lost"), "the file parses, and the run is dead_letter (lost)"),
        (change(0, result={**COUNTS, "lines": 4}), "the result should be"),
        (change(1, status="completed"), "the file does not parse"),
        (change(1, error="something else"), "the error should be"),
        (change(1, round=2), "it should have been retried 4 times, and was 2 times"),
        (forget_an_event, "is at version 5; its history has [1, 3, 4, 5]"),
        (move_an_event, "histories differ in 2 events: ('run_bad.py', 6, 11), ('run_bad.py', 6, 12)"),
        (lambda ledger: ledger.events.pop(3), "positions are not 1 apart in 1 places: (3, 5)"),
        (lambda ledger: ledger.events.pop(3), "histories differ in 1 events: ('run_good.py', 4, 4)"),
        (leave_the_run_to_its_worker, "was taken over by another worker"),
    ],
)
def test_the_verdict_tells_what_is_wrong(ledger: Ledger, spoil: Callable[[Ledger], None], told: str) -> None:
    spoil(ledger)

    assert told in " ".join(ledger.problems())


def test_a_round_without_a_killed_worker_is_not_what_was_promised(ledger: Ledger) -> None:
    assert ledger.problems(killed=()) == ["No worker was killed: no run was seen executing in time."]
