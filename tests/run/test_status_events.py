"""Which events say a run's status: whoever resumes a stream learns the status from the last of them alone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import orjson
import pytest

from runcord.ledger.mapper import REGISTRY, decode
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.evolve import STATUS_EVENTS, evolve
from runcord.run.state import Run
from runcord.run.status import Status

AT = datetime(2026, 1, 1, tzinfo=UTC)
GOLDEN = Path(__file__).parent.parent / "golden"


def examples(cls: Any) -> list[Any]:
    """Return events of a type: the golden ones."""
    (name,) = [name for name, known in REGISTRY.items() if known is cls]
    golden = orjson.loads((GOLDEN / f"{name}.json").read_bytes())
    return [decode(name, example["stored"].encode()) for example in golden["examples"]]


def after(event: Any, status: Status) -> Status:
    triggered = e.Triggered("job_a", "a", 1, "manual", examples(e.Triggered)[0].policy)
    run = evolve(None, recorded(triggered, 1))
    assert run is not None
    changed = evolve(run.altered(status=status), recorded(event, 2))
    assert isinstance(changed, Run)
    return changed.status


def recorded(event: Any, version: int) -> Recorded[Any]:
    return Recorded("run_a", version, version, AT, UUID(int=version), {}, event)


@pytest.mark.parametrize("cls", [cls for cls in get_args(e.Event) if cls is not e.Triggered], ids=lambda c: c.__name__)
def test_an_event_says_the_status_or_leaves_it(cls: Any) -> None:
    for event in examples(cls):
        statuses = {status: after(event, status) for status in Status}
        if cls in STATUS_EVENTS:
            assert len(set(statuses.values())) == 1, "it depends on what was before"
        else:
            assert all(before == then for before, then in statuses.items())


def test_the_first_event_is_one_of_them() -> None:
    assert e.Triggered in STATUS_EVENTS and set(STATUS_EVENTS) <= set(get_args(e.Event))
