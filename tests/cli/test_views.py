"""`runcord tags`, `dead-letters`, `runs family` and `jobs statistics` against a real server."""

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from runcord.client import Client
from runcord.testing.server import API_KEY, ServerProcess

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server(dsn: str) -> Iterator[ServerProcess]:
    """A server with a dead letter that was replayed and queued again."""
    with ServerProcess(dsn) as server:
        with Client(server.base_url, API_KEY) as client:
            client.jobs.create("fetch", max_attempts=1)
            run = client.jobs.trigger("fetch", tags={"env": "prod"})
            [claim] = client.worker.dequeue("w", run_id=run.id, start=True)
            client.worker.attempt(run.id, claim.run_token).fail("no route")
            client.runs.replay(run.id)
            client.runs.dlq_replay(run.id)
        yield server


@pytest.fixture
def command(runcord: Command, server: ServerProcess) -> Command:
    """Run a command and return what it printed."""

    def run(*arguments: str) -> str:
        done = runcord(*arguments, RUNCORD_BASE_URL=server.base_url, RUNCORD_API_KEY=API_KEY, COLUMNS="200")
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def test_tags_and_dead_letters(command: Callable[..., str]) -> None:
    assert command("tags", "list", "--key", "env").split()[-5:] == ["env", "prod", "2", "2", "queued"]
    assert command("tags", "list", "--position", "1") == "There are no such tags.\n"
    assert json.loads(command("tags", "list", "--format", "json"))[0]["by_status"] == {"queued": 2}
    assert command("dead-letters", "list") == "There are no such dead letters.\n"
    assert "no route" in command("dead-letters", "list", "--state", "left")
    [group] = json.loads(command("dead-letters", "groups", "--state", "all", "--format", "json"))
    assert group["run_ids"][0] in command("dead-letters", "groups", "--state", "all")
    assert "no route" in command("dead-letters", "list", "--state", "all", "--fingerprint", group["fingerprint"])


def test_a_family_is_a_tree(command: Callable[..., str]) -> None:
    replay, dead = (run["id"] for run in json.loads(command("runs", "list", "--format", "json")))
    first, second = command("runs", "family", replay).splitlines()
    assert first.startswith(f"{dead}  fetch  queued  queued again 1 ×")
    assert second.startswith(f"└── replay {replay}  fetch  queued")
    assert json.loads(command("runs", "family", dead, "--depth", "0", "--format", "json"))["edges"][0]["to"] == dead
    assert command("runs", "family", dead, "--kind", "child").startswith(dead)


def test_statistics(command: Callable[..., str]) -> None:
    head, *_, total = command("jobs", "statistics", "fetch", "--by-hour").splitlines()
    assert head.startswith("fetch, from ")
    assert total.split()[:5] == ["total", "2", "1", "0", "1"]
    found = json.loads(command("jobs", "statistics", "fetch", "--format", "json"))
    assert (found["total"]["failed"], "hours" in found) == (1, False)
