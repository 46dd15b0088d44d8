"""Every statement works inside one project, so that a distributed database can send it to one node."""

import re
from collections.abc import Iterator
from importlib.resources import files

import psycopg
import pytest

from runcord.sql.blocks import parse

FINDERS = {
    "due_timers": "the scheduler serves all projects of a database",
    "next_timer": "as above",
    "ready_pushes": "a dispatcher serves all projects of a database",
    "active_operations": "the bulk runner serves all projects of a database",
    "heads_after": "the tail follows all projects that this process serves",
    "key_of_hash": "a key is found before its project is known",
    "projects": "the list of projects",
    "forget_expired_idempotency_keys": "tidying up in all projects",
    "chunk_heads_of": "the tail follows the chunks of all projects that this process serves",
    "forget_expired_chunks": "tidying up in all projects",
    "forget_expired_payloads": "tidying up in all projects",
    "forget_expired_counts": "tidying up in all projects",
    "forget_expired_tokens": "tidying up in all projects",
    "behind": "the projections of all projects are moved on",
    "unpark_old": "as above",
    "dropping": "tidying up in all projects",
    "unfinished_rebuilds": "a server process goes on with the rebuilds of all projects",
    "is_rebuilt_anywhere": "the shadows of all projects share their tables",
}
"""Statements across projects, and why. None of them writes events, or runs once a command."""

CALLS = re.compile(
    r"\b(ledger_open|ledger_append|claim_candidates|find_runs|leading_terms|places_of_terms|find_past_runs"
    r"|runs_once_in_status|generation_at)\s*\(\s*([^\s,]+)"
)
SOURCE = re.compile(
    r"\b(?:from|join|update|using)\s+(\w+)(?:\s+(?:as\s+)?(?!(?:where|on|set|order|left|join|for|limit|cross|group)\b)(\w+))?"
)
INSERT = re.compile(r"\binsert\s+into\s+(\w+)\s*\(\s*(\w+)")


def blocks() -> Iterator[tuple[str, str]]:
    """Return all named statements: `file:name` and text."""
    for folder in ("runcord.sql", "runcord_projections"):
        root = files(folder)
        for place in (root / "queries").iterdir() if folder == "runcord.sql" else root.iterdir():
            file = place if place.name.endswith(".sql") else place / "view.sql"
            if file.is_file():
                for name, statement in parse(file.read_text("utf-8")).items():
                    yield f"{place.name}:{name}", statement.decode()


BLOCKS = dict(blocks())


def strays(statement: str, tables: set[str], project: str = "%(project_id)s") -> list[str]:
    """Return the tables in a statement that are not bound to the one project that the parameter names."""
    text = " ".join(statement.split())
    equals = rf"project_id = {re.escape(project)}"
    found = [
        f"{function} is not given the project"
        for function, first in CALLS.findall(text)
        if not first.startswith(project)
    ]
    found += [
        f"insert into {table} does not begin with the project"
        for table, first in INSERT.findall(text)
        if table in tables and (first != "project_id" or project not in text)
    ]
    unnamed = 0
    for table, alias in SOURCE.findall(text):
        if table not in tables:
            continue
        if alias:
            if not re.search(rf"\b{alias}\.{equals}", text):
                found.append(f"{table} {alias} is not bound to the project")
        else:
            unnamed += 1
            if len(re.findall(rf"(?<![.\w]){equals}", text)) < unnamed:
                found.append(f"{table} is not bound to the project")
    return found


@pytest.fixture(scope="module")
def tables(template_database: str) -> set[str]:
    """The tables that belong to a project."""
    with psycopg.connect(template_database) as conn:
        return {
            name
            for (name,) in conn.execute(
                "select table_name from information_schema.columns where table_schema = 'public'"
                " and column_name = 'project_id'"
            )
        }


def name_of(block: str) -> str:
    return block.partition(":")[2]


def test_there_are_statements_to_look_at() -> None:
    assert {"ledger.sql:append", "queue.sql:renew_lease", "run_view:update"} <= BLOCKS.keys()


@pytest.mark.parametrize("block", [block for block in BLOCKS if name_of(block) not in FINDERS])
def test_a_statement_is_bound_to_one_project(block: str, tables: set[str]) -> None:
    assert strays(BLOCKS[block], tables) == []


def test_the_finders_are_there_and_really_reach_across(tables: set[str]) -> None:
    found = {name_of(block): strays(statement, tables) for block, statement in BLOCKS.items()}
    assert {name for name in FINDERS if not found.get(name)} == set(), "no such statement, or no need of an exception"


def test_no_finder_writes_what_commands_write() -> None:
    writes = re.compile(r"\b(insert into|update|delete from)\s+(\w+)")
    written = {
        match[1] for block, text in BLOCKS.items() if name_of(block) in FINDERS for match in writes.findall(text)
    }
    assert written <= {
        "idempotency_keys",
        "run_chunks",
        "recent_payloads",
        "trigger_counts",
        "spent_tokens",
        "projections",
    }


def test_the_functions_are_bound_to_one_project(dsn: str, tables: set[str]) -> None:
    with psycopg.connect(dsn) as conn:
        sources = conn.execute(
            "select proname::text, prosrc from pg_proc where pronamespace = 'public'::regnamespace"
        ).fetchall()
    assert {name for name, _ in sources} >= {"ledger_append", "claim_candidates"}
    for name, source in sources:
        without_comments = re.sub(r"--.*", "", source)
        assert strays(without_comments, tables, project="p_project_id") == [], name


@pytest.mark.parametrize(
    "statement",
    [
        "select * from runs where run_id = %(run_id)s",
        "select * from runs r where r.run_id = %(run_id)s and project_id = %(other)s",
        "select * from runs r join jobs j on j.job_id = r.job_id where r.project_id = %(project_id)s",
        "select (select count(*) from leases) from runs where project_id = %(project_id)s",
        "update runs set status = 'x' where run_id = 'a'",
        "delete from events where position > 5",
        "insert into runs (run_id, project_id) values ('a', %(project_id)s)",
        "select ledger_append(%(other)s, 1)",
    ],
)
def test_a_stray_is_found(statement: str, tables: set[str]) -> None:
    assert strays(statement, tables) != []
