"""A writer's connection: statements in trips, and what an error leaves behind."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcord.ledger import arrays
from runcord.ledger.channel import Channel
from runcord.ledger.database import connect_writer
from runcord.testing.postgres import TestServer


@pytest.fixture(scope="module")
def dsn(postgres: TestServer) -> str:
    return postgres.create_database()


@pytest.fixture
def channel(dsn: str) -> Iterator[Channel]:
    channel = Channel(connect_writer(dsn))
    yield channel
    channel.close()


def test_the_answers_of_a_trip_come_in_order(channel: Channel) -> None:
    channel.send(b"select %(a)s::text, %(n)s::integer + 1 where %(a)s <> %(b)s", {"a": "ü", "n": 1, "b": "x"})
    channel.send(b"select 7 %% 4", {})
    channel.send(b"select generate_series(1, 3)", {})
    channel.send(b"select 1 where false", {})
    assert channel.receive() == [[("ü", 2)], [(3,)], [(1,), (2,), (3,)], []]


def test_a_statement_is_prepared_once_for_each_kind_of_values(channel: Channel) -> None:
    for value in (1, 2, "text", 3, None):
        channel.fetch(b"select %(value)s::text", {"value": value})
    prepared = channel.fetch(
        b"select count(*) from pg_prepared_statements where statement like %(like)s", {"like": "select $1::text"}
    )
    assert prepared[0][0] in (2, 3)


def test_an_error_is_of_the_first_statement_that_failed_and_what_follows_is_not_executed(channel: Channel) -> None:
    channel.send(b"create temporary table seen (n integer)", {})
    channel.receive()
    channel.begin()
    channel.send(b"insert into seen values (1)", {})
    channel.send(b"select 1 / %(n)s", {"n": 0})
    channel.send(b"insert into seen values (2)", {})
    with pytest.raises(psycopg.errors.DivisionByZero):
        channel.commit()
    channel.rollback()
    assert channel.fetch(b"select n from seen", {}) == []


def test_a_statement_whose_preparation_was_passed_over_is_prepared_again(channel: Channel) -> None:
    channel.send(b"select 1 / 0", {})
    channel.send(b"select 'never prepared'", {})
    with pytest.raises(psycopg.errors.DivisionByZero):
        channel.receive()
    channel.rollback()
    assert channel.fetch(b"select 'never prepared'", {}) == [("never prepared",)]


def test_a_rollback_takes_what_was_not_answered_yet(channel: Channel) -> None:
    channel.begin()
    channel.send(b"create temporary table gone ()", {})
    channel.rollback()
    assert channel.fetch(b"select to_regclass('gone') is null", {}) == [(True,)]


def test_a_trip_larger_than_all_buffers_does_not_lock_up(channel: Channel) -> None:
    large = "x" * 3_000_000
    for _ in range(4):
        channel.send(b"select %(large)s::text", {"large": large})
    assert [len(rows[0][0]) for rows in channel.receive()] == [len(large)] * 4


def test_a_connection_that_the_server_ended_says_so(channel: Channel, dsn: str) -> None:
    pid = channel.fetch(b"select pg_backend_pid()", {})[0][0]
    channel.begin()
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    channel.send(b"select 1", {})
    channel.send(b"select 2", {})
    with pytest.raises(psycopg.OperationalError):
        channel.receive()
    assert channel.closed


ARRAYS: dict[type[list[Any]], tuple[str, st.SearchStrategy[Any]]] = {
    arrays.Texts: ("text", st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
    arrays.Smallints: ("smallint", st.integers(-(2**15), 2**15 - 1)),
    arrays.Integers: ("integer", st.none() | st.integers(-(2**31), 2**31 - 1)),
    arrays.Bigints: ("bigint", st.integers(-(2**63), 2**63 - 1)),
    arrays.Booleans: ("boolean", st.booleans()),
    arrays.Uuids: ("uuid", st.uuids()),
    arrays.Bytes: ("bytea", st.none() | st.binary()),
    arrays.Times: (
        "timestamptz",
        st.none() | st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC)),  # noqa: DTZ001
    ),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_arrive_as_they_were(dsn: str, kind: type[list[Any]]) -> None:
    element, values = ARRAYS[kind]
    channel = Channel(connect_writer(dsn))
    statement = f"select %(sent)b::{element}[]".encode()

    @given(st.lists(values) | values.map(lambda value: [value] * 3))
    def arrive(sent: list[Any]) -> None:
        assert channel.fetch(statement, {"sent": kind(sent)}) == [(sent,)]

    try:
        arrive()
    finally:
        channel.close()


def test_times_of_other_zones_are_moved_to_utc(channel: Channel) -> None:
    there = datetime.fromisoformat("2026-11-22T12:00:00.000001+05:30")
    (found,) = channel.fetch(b"select %(sent)b::timestamptz[]", {"sent": arrays.Times([there])})[0][0]
    assert found == there
    assert found.utcoffset() == timedelta(0)


def test_a_uuid_is_a_uuid(channel: Channel) -> None:
    assert isinstance(channel.fetch(b"select %(sent)b::uuid[]", {"sent": arrays.Uuids([UUID(int=1)])})[0][0][0], UUID)
