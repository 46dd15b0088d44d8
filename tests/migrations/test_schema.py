"""The schema is the whole truth: the migrations lead to exactly it."""

from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runcord.sql import apply_schema, migrate, pending
from runcord.sql.blocks import parse

CATALOGUE = parse((Path(__file__).parent / "catalogue.sql").read_text("utf-8"))

Thing = tuple[str, *tuple[Any, ...]]


def things(dsn: str) -> Counter[Thing]:
    """Return all that a database consists of."""
    with psycopg.connect(dsn) as conn:
        return Counter((kind, *row) for kind, query in CATALOGUE.items() for row in conn.execute(query))


def named(differences: Counter[Thing]) -> str:
    return "\n".join(f"  {' | '.join(map(str, thing))}" for thing in sorted(differences, key=str)) or "  nothing"


def test_the_migrations_lead_to_the_schema(empty: str, another_empty: str) -> None:
    apply_schema(empty)
    migrate(another_empty)
    schema, migrated = things(empty), things(another_empty)
    assert schema == migrated, (
        "sql/schema.sql and sql/migrations/ do not build the same database. Whatever changes schema.sql comes with a "
        "new migration; 0001 itself may be changed as long as it is in no release: then copy schema.sql over it.\n"
        f"schema.sql alone has:\n{named(schema - migrated)}\nthe migrations alone have:\n{named(migrated - schema)}"
    )


def test_after_either_way_nothing_is_pending(empty: str, another_empty: str) -> None:
    assert pending(empty), "an empty database has everything ahead of it"
    apply_schema(empty)
    migrate(another_empty)
    assert (pending(empty), migrate(empty), pending(another_empty)) == ([], [], [])


@pytest.mark.parametrize(
    "change",
    [
        "create index more on runs (project_id)",
        "alter table runs add column more text",
        "alter table runs alter column priority drop not null",
        "alter table ledger_heads set (fillfactor = 20)",
        "grant select on events to public",
        "create or replace function ledger_open(p_project_id text) returns void language plpgsql as 'begin end'",
        "drop view event_log",
        "create sequence more",
        "alter table api_keys drop constraint api_keys_project_id_fkey",
        "create type more as enum ('a')",
        "alter table runs add check (version > 0)",
    ],
)
def test_the_comparison_sees(empty: str, change: str) -> None:
    apply_schema(empty)
    before = things(empty)
    with psycopg.connect(empty) as conn:
        conn.execute(change.encode())
    assert things(empty) != before
