"""`migrate`, `check`, `projects` and `keys` against a real database."""

import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest

from runcord.handling.keys import seal_name
from runcord.handling.sealing import Sealer
from runcord.http.key_administration import find_key
from runcord.testing.postgres import TestServer, as_superuser

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def empty_dsn(postgres: TestServer) -> Iterator[str]:
    dsn = postgres.create_database()
    yield dsn
    postgres.drop_database(dsn)


def test_the_version_is_that_of_the_package(runcord: Run) -> None:
    assert runcord("--version").stdout == "runcord 0.1.0\n"


def test_migrate_brings_an_empty_database_to_the_present_schema_once(runcord: Run, empty_dsn: str) -> None:
    before = runcord("migrate", "--check", DATABASE_URL=empty_dsn)
    first = runcord("migrate", DATABASE_URL=empty_dsn)
    after = runcord("migrate", "--check", DATABASE_URL=empty_dsn)
    assert (before.returncode, first.returncode, after.returncode) == (1, 0, 0)
    assert "pending 0001_ledger" in before.stdout
    assert "applied 0001_ledger" in first.stdout
    assert after.stdout == ""


def test_check_finds_pending_migrations_and_unsafe_settings(runcord: Run, empty_dsn: str) -> None:
    outcome = runcord("check", "--format", "json", DATABASE_URL=empty_dsn)
    problems = json.loads(outcome.stdout)["problems"]
    assert outcome.returncode == 1
    assert any("runcord migrate" in problem for problem in problems)
    assert any("fsync" in problem and "RUNCORD_ALLOW_UNSAFE_DATABASE" in problem for problem in problems)


def test_check_is_content_with_a_database_that_can_be_served_from(runcord: Run, dsn: str) -> None:
    outcome = runcord("check", DATABASE_URL=dsn, RUNCORD_ALLOW_UNSAFE_DATABASE="true")
    assert outcome.returncode == 0
    assert outcome.stdout.endswith("ready to serve\n")


def test_check_warns_of_superusers_and_of_variables_that_nothing_reads(runcord: Run, postgres: TestServer) -> None:
    outcome = runcord(
        "check",
        "--format",
        "json",
        DATABASE_URL=as_superuser(postgres.dsn),
        RUNCORD_REQEST_TIMEOUT_SECS="1",
        RUNCORD_OUR_OWN="1",
        RUNCORD_API_KEY="strait_x",
        runcord_port="1",
    )
    assert json.loads(outcome.stdout)["warnings"] == [
        "RUNCORD_OUR_OWN has no effect: Runcord reads no such variable.",
        "RUNCORD_REQEST_TIMEOUT_SECS has no effect: did you mean RUNCORD_REQUEST_TIMEOUT_SECS?",
        "The server connects as 'runcord_admin', a superuser, whom nothing in the database keeps from changing what is "
        "on record: use a role of its own that owns the database and no more.",
    ]


def test_warnings_keep_nobody_from_serving(runcord: Run, dsn: str) -> None:
    outcome = runcord("check", DATABASE_URL=dsn, RUNCORD_ALLOW_UNSAFE_DATABASE="true", RUNCORD_PROT="1")
    assert outcome.returncode == 0
    assert "warning: RUNCORD_PROT has no effect: did you mean RUNCORD_PORT?\n" in outcome.stdout
    assert outcome.stdout.endswith("ready to serve\n")


def test_check_shows_no_secret(runcord: Run) -> None:
    outcome = runcord(
        "check",
        DATABASE_URL="postgresql://somebody:hush-hush@127.0.0.1:1/ledger",
        RUNCORD_SECRET_KEY="not to be shown to anybody at all",
        RUNCORD_BOOTSTRAP_API_KEY="not to be shown either",
    )
    assert outcome.returncode == 1
    for secret in ("hush-hush", "to be shown"):
        assert secret not in outcome.stdout + outcome.stderr
    assert "RUNCORD_SECRET_KEY=********" in outcome.stdout
    assert "somebody" in outcome.stdout


def test_a_key_can_be_made_listed_and_revoked(runcord: Run, dsn: str) -> None:
    runcord("projects", "create", "shop", "--name", "The shop", DATABASE_URL=dsn)
    made = runcord(
        "keys", "create", "--project", "shop", "--name", "ci", "--scope", "runs:read", "--scope", "runs:write",
        "--expires-in-days", "7", "--format", "json", DATABASE_URL=dsn,
    )  # fmt: skip
    key = json.loads(made.stdout)
    with psycopg.connect(dsn) as conn:
        found = find_key(conn, key["api_key"])
    assert found is not None
    project_id, state = found
    assert (project_id, state.scopes, state.revoked_at) == ("shop", ("runs:read", "runs:write"), None)
    assert state.expires_at == state.created_at + timedelta(days=7)

    assert runcord("keys", "revoke", key["key_id"], "--project", "shop", DATABASE_URL=dsn).returncode == 0
    listed = json.loads(runcord("keys", "list", "--project", "shop", "--format", "json", DATABASE_URL=dsn).stdout)
    assert [(each["key_id"], each["revoked_at"] is not None) for each in listed] == [(key["key_id"], True)]
    assert key["api_key"] not in json.dumps(listed)


def test_a_key_is_made_in_a_form_of_trigger_dev_and_sealed_for_the_server(runcord: Run, dsn: str) -> None:
    runcord("projects", "create", "shop", DATABASE_URL=dsn)
    secret = "of the server and of nobody else's"
    create = ("keys", "create", "--project", "shop", "--name", "app", "--format", "json", "--environment", "dev")
    made = runcord(*create, "--scope", "*", "--form", "trigger", DATABASE_URL=dsn, RUNCORD_SECRET_KEY=secret)
    key = json.loads(made.stdout)
    assert key["api_key"].startswith("tr_dev_")
    with psycopg.connect(dsn) as conn:
        row = conn.execute("select sealed from api_key_hashes where key_id = %s", (key["key_id"],)).fetchone()
    assert row is not None
    assert Sealer(secret.encode()).open("shop", seal_name(key["key_id"]), bytes(row[0])) == key["api_key"]

    public = json.loads(runcord(*create, "--form", "trigger-pk", DATABASE_URL=dsn).stdout)
    assert public["api_key"].startswith("pk_dev_") and public["scopes"] == ["runs:read"]
    assert runcord(*create, "--scope", "*", DATABASE_URL=dsn).returncode == 2


def test_a_key_can_be_rotated_once(runcord: Run, dsn: str) -> None:
    runcord("projects", "create", "shop", DATABASE_URL=dsn)
    made = runcord(
        "keys", "create", "--project", "shop", "--name", "ci", "--scope", "runs:read", "--format", "json",
        DATABASE_URL=dsn,
    )  # fmt: skip
    old = json.loads(made.stdout)["key_id"]
    rotate = ("keys", "rotate", old, "--project", "shop", "--format", "json")
    new = json.loads(runcord(*rotate, "--grace-minutes", "10", DATABASE_URL=dsn).stdout)
    assert (new["old_key_id"], new["name"], new["scopes"]) == (old, "ci", ["runs:read"])
    with psycopg.connect(dsn) as conn:
        found = find_key(conn, new["api_key"])
    assert found is not None
    state = found[1]
    assert (state.key_id, state.rotated_from, state.created_by) == (new["key_id"], old, "operator")

    again = runcord(*rotate, DATABASE_URL=dsn)
    assert again.returncode == 1
    assert new["key_id"] in again.stderr and again.stdout == ""
    nowhere = runcord("keys", "rotate", "key_none", "--project", "shop", DATABASE_URL=dsn)
    assert nowhere.returncode == 1
    assert "no key key_none" in nowhere.stderr
    listed = json.loads(runcord("keys", "list", "--project", "shop", "--format", "json", DATABASE_URL=dsn).stdout)
    assert [(each["key_id"], each["replaced_by_key_id"]) for each in listed] == [
        (old, new["key_id"]),
        (new["key_id"], None),
    ]


def test_projects_are_listed_for_people_and_for_programs(runcord: Run, dsn: str) -> None:
    runcord("projects", "create", "shop", "--name", "The shop", DATABASE_URL=dsn)
    text = runcord("projects", "list", DATABASE_URL=dsn).stdout
    assert text.splitlines()[0].split() == ["PROJECT", "ID", "NAME", "CREATED", "AT"]
    assert "The shop" in text and "\x1b" not in text
    (project,) = json.loads(runcord("projects", "list", "--format", "json", DATABASE_URL=dsn).stdout)
    assert (project["project_id"], project["name"]) == ("shop", "The shop")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["keys", "create", "--project", "shop", "--name", "x"], 2, "--scope"),
        (["keys", "create", "--project", "shop", "--name", "x", "--scope", "runs:eat"], 2, "runs:eat"),
        (["keys", "create", "--project", "none", "--name", "x", "--scope", "*"], 1, "runcord projects create none"),
        (["keys", "list", "--project", "none"], 1, "no project none"),
        (["keys", "revoke", "key_none", "--project", "none"], 1, "no project none"),
        (["keys", "rotate", "key_none", "--project", "none"], 1, "no project none"),
        (["projects", "create", "not/an/id"], 2, "not/an/id"),
    ],
)
def test_a_refusal_is_one_line_and_an_exit_code(
    runcord: Run, dsn: str, arguments: list[str], code: int, said: str
) -> None:
    outcome = runcord(*arguments, DATABASE_URL=dsn)
    assert outcome.returncode == code
    assert outcome.stdout == ""
    assert said in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "said"),
    [
        (["serve"], {}, 2, "DATABASE_URL"),
        (["serve"], {"DATABASE_URL": "nonsense"}, 2, "DATABASE_URL"),
        (["serve"], {"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, 3, "cannot be reached"),
        (["serve"], {"RUNCORD_PORT": "many"}, 2, "RUNCORD_PORT"),
        (["migrate"], {}, 2, "DATABASE_URL"),
        (["runs", "list"], {}, 2, "RUNCORD_BASE_URL"),
        (["runs", "list"], {"RUNCORD_BASE_URL": "http://127.0.0.1:1", "RUNCORD_API_KEY": "k"}, 3, "127.0.0.1"),
        (["jobs", "list", "--state-dir", "/nowhere"], {}, 3, "No dev server runs in /nowhere"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    runcord: Run, arguments: list[str], settings: dict[str, str], code: int, said: str
) -> None:
    outcome = runcord(*arguments, **settings)
    assert outcome.returncode == code, outcome.stderr
    assert said in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "wrong", [("--tag", "env"), ("--metadata", "=a"), ("--payload-contains", "{"), ("--payload-contains", "null")]
)
def test_a_filter_that_means_nothing_is_a_usage_error(runcord: Run, wrong: tuple[str, str]) -> None:
    outcome = runcord("runs", "list", *wrong)
    assert outcome.returncode == 2
    assert wrong[0] in outcome.stderr


def test_an_unknown_option_is_a_usage_error(runcord: Run) -> None:
    assert runcord("dev", "--sideways").returncode == 2
