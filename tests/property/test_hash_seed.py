"""The fold and the refusals do not depend on how Python orders its sets."""

import os
import subprocess
import sys

SCRIPT = """
from runcord.errors import RuncordError
from runcord.ledger.mapper import Codec
from runcord.run import commands as c, events as e
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.testing.scenario import given, history_to

runs = Codec(Run)
for status in Status:
    past = given(*history_to(status, tags={"b": "1", "a": "2"}, metadata={"z": "1"}, ttl_secs=60))
    past = past.when(c.Tag({"c": "3", "a": "4"})).then_follows().when(c.Annotate({"y": "2"})).then_follows()
    print(runs.encode(past.run).decode())
    for command in (c.Checkpoint(1), c.Restart(), c.Reschedule(past.next_at), c.Replay("run_n"), c.Start()):
        print(past.when(command).refusal)
"""


def test_the_fold_is_the_same_under_every_hash_seed():
    said = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(said) == 1
    assert said.pop().count("run_scenario") == 15
