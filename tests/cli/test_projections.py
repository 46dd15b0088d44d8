"""`runcord projections` against a real server."""

import json
import subprocess
from collections.abc import Callable, Iterator

import psycopg
import pytest

from runcord.client import Client
from runcord.testing.server import API_KEY, ServerProcess

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server(dsn: str) -> Iterator[ServerProcess]:
    with ServerProcess(dsn) as server:
        with Client(server.base_url, API_KEY) as client:
            client.jobs.create("parse")
            client.jobs.trigger("parse", tags={"env": "prod"})
        yield server


@pytest.fixture
def command(runcord: Command, server: ServerProcess) -> Command:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return runcord("projections", *arguments, RUNCORD_BASE_URL=server.base_url, RUNCORD_API_KEY=API_KEY)

    return run


def test_rebuild_compare_switch_and_drop(command: Command, dsn: str) -> None:
    rebuilt = command("rebuild", "tag_index", "lineage")
    assert rebuilt.stdout == "tag_index: generation 2 is ready\nlineage: generation 2 is ready\n", rebuilt.stderr
    compared = command("compare", "tag_index", "--format", "json")
    assert (compared.returncode, json.loads(compared.stdout)["equal"]) == (0, True)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("update tag_index set counts[1] = 7 where generation = 2")
    differing = command("compare", "tag_index", "--format", "json")
    assert (differing.returncode, json.loads(differing.stdout)["differing"]) == (1, 1)
    assert command("drop", "tag_index").stdout == "tag_index: generation 2 is dropping\n"
    assert command("switch", "lineage").stdout == "lineage: what was rebuilt is live\n"
    assert command("drop", "lineage", "--generation", "2").returncode == 1
    listed = {row["name"]: row for row in json.loads(command("list", "--format", "json").stdout)}
    assert {one["generation"]: one["status"] for one in listed["lineage"]["generations"]} == {1: "retired", 2: "live"}


def test_a_damaged_run_is_found_and_healed(command: Command, dsn: str) -> None:
    damaged = "select count(*) from runs where status = 'failed'"
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("update runs set status = 'failed'")
        assert command("rebuild", "run_view").stdout == "run_view: generation 1 is ready\n"
        compared = command("compare", "run_view", "--format", "json")
        assert (compared.returncode, json.loads(compared.stdout)["differing"]) == (1, 1)
        assert command("switch", "run_view").returncode == 0
        assert conn.execute(damaged).fetchone() == (0,)
    assert "commands are decided" in command("skip", "run_view", "--position", "1", "--reason", "r").stderr.lower()


def test_rebuild_all_and_switch_at_once(command: Command) -> None:
    outcome = command("rebuild", "--all", "--switch")
    assert outcome.returncode == 0, outcome.stderr
    names = [row["name"] for row in json.loads(command("list", "--format", "json").stdout)]
    assert outcome.stdout.splitlines() == [f"{name}: rebuilt and switched to" for name in names]
    assert {"tag_index", "run_view", "run_terms"} <= set(names)
    assert "tag_index" in command("list").stdout


def test_a_wrong_use_is_told(command: Command) -> None:
    assert command("rebuild").returncode == 2
    assert command("rebuild", "--all", "lineage").returncode == 2
    assert "no such projection" in command("rebuild", "nothing").stderr
    assert "not parked" in command("skip", "lineage", "--position", "1", "--reason", "why not").stderr
    assert "not parked" in command("retry", "lineage").stderr
    assert "rebuild it first" in command("switch", "lineage").stderr
    assert command("rebuild", "lineage", "--no-wait").stdout == "lineage: generation 2 is building\n"
