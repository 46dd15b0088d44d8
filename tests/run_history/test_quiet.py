"""What is called quiet really is: leaving out what such an event holds makes no difference."""

import json
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from tests.run_terms.test_containment import NOW, RUN

from runcord.ledger.mapper import REGISTRY, decode, stored_names
from runcord.recorded import Recorded
from runcord.run.evolve import evolve
from runcord_projections.run_history.past_runs import QUIET

GOLDEN = Path(__file__).parent.parent / "golden"
LATER = NOW + timedelta(seconds=1)


@pytest.mark.parametrize("name", [name for name in stored_names(QUIET) if name in REGISTRY])
def test_a_quiet_event_changes_nothing_but_the_version(name: str) -> None:
    for example in json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))["examples"]:
        event = decode(name, example["stored"].encode())
        recorded = Recorded(RUN.run_id, 2, 7, LATER, uuid4(), {}, event)
        assert evolve(RUN, recorded) == RUN.altered(version=2, updated_at=LATER)
