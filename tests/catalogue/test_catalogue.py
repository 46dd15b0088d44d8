"""The schema can be distributed by `project_id`: what Citus asks of it, held from the first day on."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from runcord.sql.blocks import parse

CATALOGUE = parse((Path(__file__).parent / "catalogue.sql").read_text("utf-8"))

REFERENCE_TABLES = {
    "schema_migrations": "the history of the database itself",
    "server_secrets": "what the installation signs with, the same for all projects",
}
"""Tables of no project: they would be copied to every node."""

Rows = list[tuple[Any, ...]]


def catalogue(dsn: str) -> dict[str, Rows]:
    with psycopg.connect(dsn) as conn:
        return {name: conn.execute(query).fetchall() for name, query in CATALOGUE.items()}


def breaches(found: dict[str, Rows]) -> list[str]:
    """Return what in the catalogue keeps the schema from being distributed."""
    tables = {name for (name, _) in found["tables"]}
    of_a_project = {name for name, has_project in found["tables"] if has_project}
    return [
        *(f"table {name} has no project_id" for name in tables - of_a_project - REFERENCE_TABLES.keys()),
        *(f"table {name} has no primary key" for (name,) in found["tables_without_primary_key"]),
        *(
            f"unique index {index} begins with {first}, not with project_id"
            for table, index, first in found["unique_indexes"]
            if first != "project_id" and table not in REFERENCE_TABLES
        ),
        *(
            f"foreign key {name} does not begin with project_id on both sides"
            for _, name, first, referenced in found["foreign_keys"]
            if (first, referenced) != ("project_id", "project_id")
        ),
        *(f"there is a {kind[:-1]}: {name}" for kind in ("sequences", "triggers", "rules") for (name,) in found[kind]),
        *(f"extension {name}" for (name,) in found["extensions"] if name != "plpgsql"),
        *(f"column {'.'.join(row[:2])} has the foreign type {row[2]}" for row in found["foreign_types"]),
        *(f"function {row[0]} is in {row[1]}" for row in found["functions"] if row[1] != "plpgsql"),
        *(f"index {index} compares by {name}" for index, name in found["index_collations"]),
        *(f"column {'.'.join(row[:2])} compares by {row[2]}" for row in found["foreign_collations"]),
    ]


def test_the_schema_keeps_the_rules(dsn: str) -> None:
    found = catalogue(dsn)
    assert breaches(found) == []
    assert {name for name, _ in found["tables"]} >= REFERENCE_TABLES.keys(), "an exception that nobody needs"


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        ("create table more (id text primary key)", "table more has no project_id"),
        ("create table more (project_id text)", "table more has no primary key"),
        ("create table more (id text, project_id text, primary key (id, project_id))", "unique index more_pkey"),
        ("create unique index more on runs (run_id)", "unique index more begins with run_id"),
        ("create unique index more on runs (lower(project_id))", "unique index more begins with lower"),
        (
            "create table a (id text, project_id text, primary key (project_id, id), unique (id));"
            "create table b (a_id text references a (id), project_id text primary key)",
            "foreign key b_a_id_fkey",
        ),
        ("alter table runs add column n bigint generated always as identity", "there is a sequence"),
        (
            "create trigger more before insert on runs for each row"
            " execute function suppress_redundant_updates_trigger()",
            "there is a trigger",
        ),
        ("create rule more as on delete to runs do instead nothing", "there is a rule"),
        ("create type more as enum ('a'); alter table runs add column m more", "foreign type more"),
        ("create function more() returns int language sql as 'select 1'", "function more is in sql"),
        ('alter table runs add column m text collate "POSIX"', "column runs.m compares by POSIX"),
        ("create index more on leases (project_id, worker_id)", "index more compares by default"),
    ],
)
def test_a_breach_is_found(dsn: str, change: str, breach: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute(change.encode())
    assert any(breach in found for found in breaches(catalogue(dsn)))
