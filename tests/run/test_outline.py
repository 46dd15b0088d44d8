"""Outlines say of a run what the whole fold says of it, from less than what its events hold."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given

from runcord.ledger.mapper import REGISTRY, SILENT_EVENTS, decode, decode_outline
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.evolve import STATUS_EVENTS, evolve
from runcord.run.outline import CHANGES, JOINING, SILENT, Outline, evolve_outline

GOLDEN = Path(__file__).parent.parent / "golden"
RUN = "run_a"


def stored(name: str) -> list[bytes]:
    """Return the bytes of golden events of a type."""
    examples = orjson.loads((GOLDEN / f"{name}.json").read_bytes())["examples"]
    return [example["stored"].encode() for example in examples]


EVENTS = [(name, data) for name, cls in REGISTRY.items() if cls in get_args(e.Event) for data in stored(name)] + [
    (e.Resumed.TYPE, b'{"to":"queued","cause":"until"}'),
    (e.Triggered.TYPE, stored(e.Triggered.TYPE)[1]),
]
AT = decode(e.Released.TYPE, stored(e.Released.TYPE)[0]).due_at
"""A time that stands in the golden events."""

times = st.integers(-2, 2).map(lambda days: AT + timedelta(days=days))
triggers = st.sampled_from([event for event in EVENTS if event[0] == e.Triggered.TYPE])
histories = st.lists(st.tuples(st.sampled_from(EVENTS), times), max_size=12)


def recorded(version: int, at: datetime, event: Any) -> Recorded[Any]:
    return Recorded(RUN, version, version, at, UUID(int=version), {}, event)


@given(triggers, times, histories)
def test_an_outline_is_what_the_run_is(
    trigger: tuple[str, bytes], at: datetime, later: list[tuple[tuple[str, bytes], datetime]]
) -> None:
    run, outline = None, None
    for version, ((name, data), time) in enumerate([(trigger, at), *later], 1):
        run = evolve(run, recorded(version, time, decode(name, data)))
        event = SILENT_EVENTS[name] if name in SILENT_EVENTS else decode_outline(name, data)
        outline = evolve_outline(outline, recorded(version, time, event))
        assert run is not None
        assert outline == Outline(*(getattr(run, field) for field in Outline._fields))


def test_nothing_comes_of_events_without_a_run() -> None:
    for name, data in EVENTS:
        if name != e.Triggered.TYPE:
            assert evolve_outline(None, recorded(1, AT, decode(name, data))) is None


@pytest.mark.parametrize("cls", JOINING, ids=lambda cls: cls.__name__)
def test_of_a_trigger_no_payload_is_read(cls: Any) -> None:
    [data, *_] = stored(cls.TYPE)
    assert decode(cls.TYPE, data).payload is not None
    event = decode_outline(cls.TYPE, data)
    assert type(event) is cls
    assert event.payload is None
    assert event.tags == decode(cls.TYPE, data).tags


def test_every_event_that_says_the_status_changes_the_outline() -> None:
    assert {*STATUS_EVENTS} <= {e.Triggered, *CHANGES}
    assert {*SILENT} <= CHANGES.keys()
