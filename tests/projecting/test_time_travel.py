"""A run can be seen as any of its events left it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from runcord.ledger.mapper import stored_names
from runcord.ledger.upcasts import UPCASTS
from runcord.projecting import time_travel
from runcord.projecting.time_travel import Documents, documents, history, run_at_version
from runcord.run import events as e
from runcord.run.evolve import evolve_all
from runcord.run.retry import RetryPolicy
from runcord.run.status import Status

if TYPE_CHECKING:
    from conftest import Ledger

SOON = datetime(2100, 1, 1, tzinfo=UTC)

LIFE = [
    e.Triggered("job_a", "parse", 1, "manual", RetryPolicy(), payload={"file": "a.py"}),
    e.Dequeued("worker-1", 1, 1, 30.0),
    e.Attempted(1),
    e.Checkpointed(1, {"line": 10}),
    e.Retried(1, 2, SOON, e.Failure("out of luck")),
    e.Rescheduled(SOON, {"file": "b.py"}, payload_replaced=True),
    e.Enqueued(),
    e.Dequeued("worker-2", 2, 2, 30.0),
    e.Attempted(2),
    e.Completed(2, {"lines": 10}),
    e.Annotated({"seen": "yes"}),
]

STATUSES = [
    Status.QUEUED,
    Status.DEQUEUED,
    Status.EXECUTING,
    Status.EXECUTING,
    Status.QUEUED,
    Status.DELAYED,
    Status.QUEUED,
    Status.DEQUEUED,
    Status.EXECUTING,
    Status.COMPLETED,
    Status.COMPLETED,
]


@pytest.fixture
def lived(ledger: "Ledger") -> "Ledger":
    """A ledger with the life of run_a, in pieces among another run's."""
    for n, event in enumerate(LIFE):
        ledger.record("run_a", event)
        ledger.record("run_b", LIFE[0] if n == 0 else e.Logged(f"line {n}"))
    return ledger


def test_a_run_is_what_its_events_up_to_a_version_made_of_it(lived: "Ledger") -> None:
    recorded = lived.ask(history, "run_a")
    for version, status in enumerate(STATUSES, 1):
        run = lived.ask(run_at_version, "run_a", version)
        assert run == evolve_all(None, recorded[:version])
        assert run is not None
        assert (run.run_id, run.version, run.status) == ("run_a", version, status)


@pytest.mark.parametrize("version", [-1, 0, len(LIFE) + 1, 2**31, 2**80])
def test_a_version_that_never_was_is_none(lived: "Ledger", version: int) -> None:
    assert lived.ask(run_at_version, "run_a", version) is None


def test_a_run_that_never_was_is_none(lived: "Ledger") -> None:
    assert lived.ask(run_at_version, "run_c", 1) is None


def test_a_long_life_is_folded_page_by_page(lived: "Ledger", monkeypatch: pytest.MonkeyPatch) -> None:
    whole = lived.ask(run_at_version, "run_a", len(LIFE))
    asked: list[int] = []
    pages = history

    async def small_pages(*args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["after"])
        return await pages(*args, **{**kwargs, "limit": 2})

    monkeypatch.setattr(time_travel, "PAGE_SIZE", 2)
    monkeypatch.setattr(time_travel, "history", small_pages)
    assert lived.ask(run_at_version, "run_a", len(LIFE)) == whole
    assert asked == [2, 4, 6, 8, 10]


def test_the_history_is_the_runs_own_in_order(lived: "Ledger") -> None:
    recorded = lived.ask(history, "run_a")
    assert [one.event for one in recorded] == LIFE
    assert [one.version for one in recorded] == list(range(1, len(LIFE) + 1))
    assert [one.position for one in recorded] == list(range(1, 2 * len(LIFE), 2))
    assert {one.stream_id for one in recorded} == {"run_a"}
    assert recorded[0].metadata == {"actor": "test"}


def test_the_history_comes_in_pages(lived: "Ledger") -> None:
    assert [one.version for one in lived.ask(history, "run_a", after=2, limit=3)] == [3, 4, 5]
    assert [one.version for one in lived.ask(history, "run_a", after=2, until=4)] == [3, 4]
    assert lived.ask(history, "run_a", after=len(LIFE)) == []


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (1, Documents(b'{"file":"a.py"}', None)),
        (5, Documents(b'{"file":"a.py"}', None)),
        (6, Documents(b'{"file":"b.py"}', None)),
        (9, Documents(b'{"file":"b.py"}', None)),
        (10, Documents(b'{"file":"b.py"}', b'{"lines":10}')),
        (11, Documents(b'{"file":"b.py"}', b'{"lines":10}')),
    ],
)
def test_documents_are_those_of_the_version(lived: "Ledger", version: int, expected: Documents) -> None:
    run = lived.ask(run_at_version, "run_a", version)
    assert run is not None
    assert lived.ask(documents, run) == expected


def test_a_run_without_documents_has_none(ledger: "Ledger") -> None:
    ledger.record("run_a", e.Triggered("job_a", "parse", 1, "manual", RetryPolicy()))
    ledger.record("run_a", e.Dequeued("worker-1", 1, 1, 30.0), e.Attempted(1), e.Completed(1))
    run = ledger.ask(run_at_version, "run_a", 4)
    assert run is not None
    assert ledger.ask(documents, run) == Documents(None, None)


def test_a_query_for_a_type_finds_its_old_versions_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UPCASTS, "run.logged.v0", lambda members: ("run.logged.v1", members))
    assert stored_names([e.Logged, e.Progressed]) == [
        "run.logged.v1",
        "run.progressed.v1",
        "run.logged.v0",
    ]
