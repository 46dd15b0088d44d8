"""Rows, offsets and handles of the shape protocol: what the clients' parsers read."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcord.http.compat.trigger.shape import Offset, Shape, is_handle, messages, parse_offset, since_of
from runcord.http.compat.trigger.shape_row import COLUMNS, array, columns_without, row, schema, timestamp
from runcord.run.events import Failure
from runcord.run.retry import RetryPolicy
from runcord.run.state import Run
from runcord.run.status import FINISHED, Status

NOW = datetime(2026, 1, 1, 10, 0, 0, 123456, tzinfo=UTC)


def run(**members: Any) -> Run:
    given = {"run_id": "run_1", "version": 1, "status": Status.QUEUED, "job_id": "job_1", "job_slug": "resize/it"}
    moments = {"created_at": NOW, "updated_at": NOW, "due_at": NOW}
    return Run(**{**given, "job_version": 1, "triggered_by": "api", "policy": RetryPolicy(), **moments, **members})


def whole(one: Run, *, new: bool = True, payload: str | None = None, output: str | None = None) -> dict[str, Any]:
    return row(one, COLUMNS, payload=payload, output=output, new=new)


def unquoted(literal: str) -> list[str]:
    """Return the elements of a Postgres array literal, as the clients' parser reads it."""
    found: list[str] = []
    place = 1
    while literal[place] != "}":
        place += literal[place] == ","
        assert literal[place] == '"'
        place, text = place + 1, ""
        while literal[place] != '"':
            place += literal[place] == "\\"
            text, place = text + literal[place], place + 1
        found.append(text)
        place += 1
    assert place == len(literal) - 1
    return found


@given(st.lists(st.text()))
def test_an_array_literal_is_read_as_what_it_was_made_of(texts):
    assert unquoted(array(texts)) == texts


def test_every_column_is_a_string_or_null_and_is_in_the_schema():
    values = whole(run(tags={"a": "", "b": 'say "hi"'}, metadata={"n": {"deep": 1}}, ttl_secs=3660))
    assert all(value is None or isinstance(value, str) for value in values.values())
    assert set(json.loads(schema(COLUMNS))) == set(values)
    assert values["createdAt"] == "2026-01-01T10:00:00.123" == values["updatedAt"] == values["queuedAt"]
    assert values["runTags"] == '{"a","b:say \\"hi\\""}' and values["realtimeStreams"] == "{}"
    assert values["metadata"] == '{"n":{"deep":1}}' and values["ttl"] == "1h1m"
    assert values["taskIdentifier"] == "resize/it" and values["friendlyId"] == "run_1"
    assert (values["isTest"], values["number"], values["costInCents"]) == ("f", "0", "0")


def test_a_time_is_in_utc_whatever_zone_it_is_given_in():
    assert timestamp(NOW.astimezone()) == "2026-01-01T10:00:00.123"


@pytest.mark.parametrize("status", Status)
def test_whatever_is_finished_has_the_column_that_ends_subscriptions(status: Status):
    finished_at = NOW + timedelta(seconds=1) if status in FINISHED else None
    error = Failure("gone") if status in FINISHED and status is not Status.COMPLETED else None
    values = whole(run(status=status, finished_at=finished_at, error=error))
    assert (values["completedAt"] is not None) is (status in FINISHED)
    assert (values["expiredAt"] is not None) is (status is Status.EXPIRED)
    if error is not None:
        assert json.loads(values["error"])["type"] in {"BUILT_IN_ERROR", "STRING_ERROR", "INTERNAL_ERROR"}


def test_a_client_of_3_is_sent_no_status_that_it_throws_on():
    assert whole(run(status=Status.DEQUEUED))["status"] == "DEQUEUED"
    assert whole(run(status=Status.DEQUEUED), new=False)["status"] == "EXECUTING"


def test_columns_may_be_left_out_but_for_those_that_clients_need():
    assert set(columns_without(COLUMNS)) == {
        "id",
        "taskIdentifier",
        "friendlyId",
        "status",
        "createdAt",
        "updatedAt",
    }
    assert columns_without(["payload", "nonsense"]) == tuple(name for name in COLUMNS if name != "payload")


def test_an_offset_is_read_as_it_was_written():
    assert parse_offset("-1") is None
    assert parse_offset(str(Offset(12, 7))) == Offset(12, 7)
    assert parse_offset("12") == Offset(12)
    for wrong in ("", "now", "1_", "-2_0", "1_2_3", "9" * 40):
        with pytest.raises(ValueError, match="offset"):
            parse_offset(wrong)


def test_a_handle_is_of_one_shape_and_keeps_its_window():
    columns = columns_without(())
    tags = Shape("tags", ("a", "b"), columns, "1h")
    handle = tags.handle(1234)
    assert is_handle(handle) and since_of(handle) == 1234 and tags.knows(handle)
    assert Shape("tags", ("b", "a"), columns, "1h").handle(1234) == handle
    one = Shape("run", ("a",), columns)
    assert one.knows(one.handle(None)) and since_of(one.handle(None)) is None
    for other in (
        Shape("tags", ("a",), columns, "1h"),
        Shape("tags", ("a", "b"), columns, "2h"),
        Shape("tags", ("a", "b"), columns_without(["payload"]), "1h"),
        one,
    ):
        assert not other.knows(handle)
    for wrong in (None, "", "nonsense", tags.hash, one.handle(5)):
        assert not tags.knows(wrong)
        assert not one.knows(wrong)


def test_rows_are_followed_by_the_word_that_they_are_all():
    assert messages([{"id": "run_1"}], operation="insert", complete=True) == [
        {"key": "run/run_1", "value": {"id": "run_1"}, "headers": {"operation": "insert"}},
        {"headers": {"control": "up-to-date"}},
    ]
    assert messages([], operation="update", complete=False) == []
