"""`runcord audit verify` on ledgers that are whole, edited and rewritten."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runcord.testing.ledger import Entry, append, open_project
from runcord.testing.postgres import as_superuser

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def ledgers(dsn: str) -> str:
    """The DSN of a database with two ledgers: `one` of three events, `two` of one."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for project_id, count in (("one", 3), ("two", 1)):
            open_project(dsn, project_id)
            append(conn, *(Entry(f"run_{n}", 1) for n in range(count)), project_id=project_id)
    return dsn


def as_owner_of_everything(dsn: str, statement: str) -> None:
    with psycopg.connect(as_superuser(dsn), autocommit=True) as conn:
        conn.execute(statement.encode())


def found(outcome: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    return {row["project_id"]: row for row in json.loads(outcome.stdout)}


def test_ledgers_that_are_whole_are_intact(runcord: Run, ledgers: str) -> None:
    outcome = runcord("audit", "verify", "--format", "json", DATABASE_URL=ledgers)
    assert outcome.returncode == 0
    rows = found(outcome)
    assert [(rows[name]["result"], rows[name]["verified_to"]) for name in ("one", "two")] == [
        ("intact", 3),
        ("intact", 1),
    ]


def test_the_first_event_that_does_not_fit_is_named_and_the_exit_code_is_1(runcord: Run, ledgers: str) -> None:
    as_owner_of_everything(ledgers, "update events set data = '[]' where project_id = 'one' and position = 2")
    outcome = runcord("audit", "verify", DATABASE_URL=ledgers)
    assert outcome.returncode == 1
    broken = next(line for line in outcome.stdout.splitlines() if line.startswith("one"))
    assert "broken" in broken and " 2 " in broken and "does not fit" in broken
    assert runcord("audit", "verify", "--project", "two", DATABASE_URL=ledgers).returncode == 0


def test_with_checkpoints_only_what_is_new_is_read(runcord: Run, ledgers: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    verify = ("audit", "verify", "--checkpoints", kept, "--format", "json")
    assert runcord(*verify, DATABASE_URL=ledgers).returncode == 0
    assert json.loads(kept.read_text())["one"]["position"] == 3
    with psycopg.connect(ledgers, autocommit=True) as conn:
        append(conn, Entry("run_new", 1), project_id="one")
    as_owner_of_everything(ledgers, "update events set data = '[]' where project_id = 'one' and position = 1")
    later = runcord(*verify, DATABASE_URL=ledgers)
    assert (later.returncode, found(later)["one"]["verified_to"]) == (0, 4), "the edit is behind what was verified"
    assert json.loads(kept.read_text())["one"]["position"] == 4
    whole = runcord(*verify, "--whole", DATABASE_URL=ledgers)
    assert (whole.returncode, found(whole)["one"]["first_bad_position"]) == (1, 1)


def test_a_checkpoint_that_does_not_fit_is_found_and_the_file_is_left_alone(
    runcord: Run, ledgers: str, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"one": {"position": 3, "digest": "00" * 32}}))
    before = kept.read_text()
    outcome = runcord("audit", "verify", "--checkpoints", kept, "--format", "json", DATABASE_URL=ledgers)
    assert (outcome.returncode, found(outcome)["one"]["first_bad_position"]) == (1, 3)
    assert kept.read_text() == before


@pytest.mark.parametrize("content", ["", "[]", '{"one": {"position": 1}}', '{"one": {"position": 1, "digest": "x"}}'])
def test_a_file_that_holds_no_checkpoints_is_refused(runcord: Run, ledgers: str, tmp_path: Path, content: str) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(content)
    outcome = runcord("audit", "verify", "--checkpoints", kept, DATABASE_URL=ledgers)
    assert outcome.returncode == 2
    assert "no file of checkpoints" in outcome.stderr


def test_a_project_that_is_not_there_is_told(runcord: Run, ledgers: str) -> None:
    outcome = runcord("audit", "verify", "--project", "nobody", DATABASE_URL=ledgers)
    assert outcome.returncode == 1
    assert "no project nobody" in outcome.stderr
