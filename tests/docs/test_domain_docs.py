"""The pages about statuses and events say what the code says."""

from pathlib import Path

import pytest

from runcord.ledger.mapper import REGISTRY
from runcord.run.status import TRANSITIONS, Status

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.mark.parametrize("status", Status)
def test_the_diagram_shows_every_transition_of(status: Status):
    page = (REFERENCE / "statuses.md").read_text()
    assert f"| `{status}` |" in page
    for following in TRANSITIONS[status]:
        assert f"\n    {status} --> {following}\n" in page
    assert (f"\n    {status} --> [*]\n" in page) == (not TRANSITIONS[status])


@pytest.mark.parametrize("name", REGISTRY)
def test_the_reference_describes(name: str):
    page = (REFERENCE / "events.md").read_text()
    _, _, section = page.partition(f"### `{name}`\n\n")
    section = section.partition("\n###")[0]
    assert section
    for field in REGISTRY[name].__dataclass_fields__.values():
        if field.name != "TYPE":
            assert f"| `{field.name}` |" in section
