"""History cannot be edited by the role that owns it, unless it is a superuser."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from runcord.embedded.cluster import ROLE
from runcord.sql import apply_schema, migrate
from runcord.testing.ledger import PROJECT, Entry, append, open_project
from runcord.testing.postgres import TestServer


@pytest.fixture(params=[apply_schema, migrate], ids=["schema", "migrations"])
def owned(postgres: TestServer, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the ordinary role that built the database, which holds one event."""
    dsn = postgres.create_database()
    request.param(dsn)
    open_project(dsn)
    with psycopg.connect(dsn, autocommit=True) as conn:
        append(conn, Entry("run_a", 1))
        yield conn
    postgres.drop_database(dsn)


def test_the_owner_is_no_superuser_and_owns_the_events(owned: psycopg.Connection[Any]) -> None:
    assert owned.execute(
        "select current_user::text, tableowner::text from pg_tables where tablename = 'events'"
    ).fetchone() == (ROLE, ROLE)
    assert owned.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (False,)


@pytest.mark.parametrize(
    "edit",
    [
        "update events set data = '{}'",
        "update events set recorded_at = recorded_at where false",
        "delete from events",
        "truncate events",
        "insert into events (project_id, position, stream_id, version, event_id, type, recorded_at, data, metadata,"
        " digest) select project_id, position, stream_id, version, event_id, type, recorded_at, data, metadata,"
        " digest from events on conflict (project_id, position) do update set data = '{}'",
        "merge into events e using events o on e.position = o.position when matched then delete",
    ],
)
def test_not_even_the_owner_may_edit_history(owned: psycopg.Connection[Any], edit: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        owned.execute(edit.encode())
    assert owned.execute("select count(*), min(data) from events").fetchone() == (1, b"{}")


def test_nobody_else_may_touch_the_ledger(owned: psycopg.Connection[Any]) -> None:
    for privilege in ("select", "insert", "update", "delete", "truncate"):
        for table in ("events", "ledger_heads"):
            row = owned.execute("select has_table_privilege('pg_monitor', %s, %s)", (table, privilege)).fetchone()
            assert row == (False,), (table, privilege)


def test_the_owner_goes_on_appending(owned: psycopg.Connection[Any]) -> None:
    assert append(owned, Entry("run_a", 2), project_id=PROJECT) == 2
