"""The runner of migrations: in order, each once, whoever starts and whatever stops it."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from runcord.errors import ConfigurationError
from runcord.sql import migrate, pending

Write = Callable[[str, str], None]


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as conn:
        return conn.execute(query.encode()).fetchall()


def test_migrations_are_applied_in_the_order_of_their_numbers(empty: str, write: Write) -> None:
    write("0010_third", "insert into steps values ('third')")
    write("0002_second", "insert into steps values ('second')")
    write("0001_first", "create table steps (name text)")
    assert pending(empty) == ["0001_first", "0002_second", "0010_third"]
    assert migrate(empty) == ["0001_first", "0002_second", "0010_third"]
    assert rows(empty, "select name from steps") == [("second",), ("third",)]


def test_what_was_applied_is_kept_with_its_checksum(empty: str, write: Write) -> None:
    write("0001_first", "create table steps (name text)")
    migrate(empty)
    digest = hashlib.sha256(b"create table steps (name text)").digest()
    assert rows(empty, "select number, name, checksum from schema_migrations") == [(1, "0001_first", digest)]


def test_only_what_is_new_is_applied(empty: str, write: Write) -> None:
    write("0001_first", "create table steps (name text)")
    migrate(empty)
    write("0002_second", "insert into steps values ('second')")
    assert migrate(empty) == ["0002_second"]
    assert migrate(empty) == []
    assert rows(empty, "select name from steps") == [("second",)]


def test_looking_what_is_pending_changes_nothing(empty: str, write: Write) -> None:
    write("0001_first", "create table steps (name text)")
    assert pending(empty) == ["0001_first"]
    assert rows(empty, "select to_regclass('schema_migrations')::text") == [(None,)]


def test_servers_that_start_at_once_apply_everything_once(empty: str, write: Write) -> None:
    write("0001_first", "create table steps (name text); select pg_sleep(0.05)")
    write("0002_second", "insert into steps values ('second'); select pg_sleep(0.05)")
    with ThreadPoolExecutor(4) as executor:
        applied = list(executor.map(migrate, [empty] * 4))
    assert sorted(applied) == [[], [], [], ["0001_first", "0002_second"]]
    assert rows(empty, "select name from steps") == [("second",)]


def test_a_failure_leaves_nothing_of_its_migration_and_the_next_start_goes_on_there(empty: str, write: Write) -> None:
    write("0001_first", "create table steps (name text)")
    write("0002_second", "insert into steps values ('second'); select 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty)
    assert rows(empty, "select name from steps") == []
    assert pending(empty) == ["0002_second"]
    write("0002_second", "insert into steps values ('second')")
    assert migrate(empty) == ["0002_second"]
    assert rows(empty, "select name from steps") == [("second",)]


def test_a_migration_that_was_changed_since_is_refused(empty: str, write: Write) -> None:
    write("0001_first", "create table steps (name text)")
    migrate(empty)
    write("0001_first", "create table steps (name text, more text)")
    write("0002_second", "insert into steps values ('second')")
    for start in (migrate, pending):
        with pytest.raises(ConfigurationError, match="0001_first was changed"):
            start(empty)
    assert rows(empty, "select name from steps") == []


def test_a_database_of_a_later_version_is_refused(empty: str, write: Write) -> None:
    write("0001_first", "create table steps (name text)")
    migrate(empty)
    with psycopg.connect(empty) as conn:
        conn.execute("insert into schema_migrations (number, name, checksum) values (2, '0002_later', '')")
    for start in (migrate, pending):
        with pytest.raises(ConfigurationError, match="0002_later"):
            start(empty)


def test_a_second_starter_waits_for_the_first(empty: str, write: Write) -> None:
    write("0001_first", "create table steps (name text)")
    with psycopg.connect(empty, autocommit=True) as holder, ThreadPoolExecutor(1) as executor:
        holder.execute("select pg_advisory_lock(%s)", (0x52756E636F7264,))
        waiting = executor.submit(migrate, empty)
        blocked = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        while holder.execute(blocked).fetchone() != (1,):
            assert not waiting.done()
        holder.execute("select pg_advisory_unlock_all()")
        assert waiting.result(20) == ["0001_first"]
