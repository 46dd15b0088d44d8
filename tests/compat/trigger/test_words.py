"""What Trigger.dev's clients say and are told, without a server: durations, tags, statuses, errors, ids."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runcord.errors import Invalid, TooManyTags
from runcord.handling.idempotency import DEFAULT_LIFE_SECS
from runcord.http.compat.trigger import duration as spans
from runcord.http.compat.trigger import status as names
from runcord.http.compat.trigger.bodies import OperationBody, ReplayTaskBody, TriggerTaskBody
from runcord.http.compat.trigger.failure import serialized_error, task_run_error
from runcord.http.compat.trigger.query import TaskRunsQuery, cursor
from runcord.http.compat.trigger.render import render_result, render_run
from runcord.http.compat.trigger.request_ids import id_for
from runcord.http.compat.trigger.tags import entries_of, readings
from runcord.http.compat.trigger.wishes import changes_of, operations_of, packet_of, request_of
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.packet import NOTHING, SUPERJSON, TEXT, Packet
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.testing.scenario import given as history
from runcord.testing.scenario import history_to
from runcord_projections.run_terms.filter import RunFilter

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def run_in(status: Status, **facts: Any) -> Run:
    return history(*history_to(status, **facts)).run


# --- durations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "secs"),
    [("10s", 10), ("5m", 300), ("1h30m", 5400), ("2hr", 7200), ("1w2d3h4m5s", 788645), ("0s", 0)],
)
def test_durations(text: str, secs: int):
    assert spans.seconds(text) == secs


@pytest.mark.parametrize("text", ["", "10", "h", "1y", "1h ", "-1h", "1.5h", "1h30", "10 m", "²s"])
def test_what_is_no_duration(text: str):
    assert spans.seconds(text) is None
    with pytest.raises(spans.NoDuration):
        spans.due_at(text, NOW)


@given(st.integers(0, spans.MAX_SECS))
def test_a_duration_is_written_as_it_is_read(secs: int):
    assert spans.seconds(spans.duration(secs)) == secs


def test_3660_seconds_are_an_hour_and_a_minute():
    assert spans.duration(3660) == "1h1m"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1h", NOW + timedelta(hours=1)),
        ("2026-02-01T00:00:00.000Z", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-01", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-01T00:00:00+02:00", datetime(2026, 1, 31, 22, tzinfo=UTC)),
    ],
)
def test_a_delay_is_a_time_or_a_duration(text: str, at: datetime):
    assert spans.due_at(text, NOW) == at


@pytest.mark.parametrize(
    ("text", "secs"),
    [
        ("30s", 30),
        ("7d", 7 * 86_400),
        ("1h30m", DEFAULT_LIFE_SECS),
        (None, DEFAULT_LIFE_SECS),
        ("1w", DEFAULT_LIFE_SECS),
    ],
)
def test_the_life_of_a_key_is_one_number_with_one_unit(text: str | None, secs: int):
    assert spans.life_secs(text) == secs


# --- tags ---------------------------------------------------------------------------------------------


def test_a_tag_is_a_key_without_a_value():
    assert entries_of(["user:1", "user:2", "user:1"]) == {"user:1": "", "user:2": ""}


def test_a_tag_with_a_colon_may_be_a_key_with_a_value():
    assert readings("user:1:x") == [{"user:1:x": ""}, {"user": "1:x"}]
    assert readings("plain") == [{"plain": ""}]
    assert readings(":x") == [{":x": ""}]
    assert readings("x:") == [{"x:": ""}]
    assert RunFilter(tags=readings("user:1")[1]).tags == {"user": "1"}


def test_tags_have_their_limits():
    assert len(entries_of(f"t{n}" for n in range(10))) == 10
    with pytest.raises(TooManyTags):
        entries_of(f"t{n}" for n in range(11))
    for tag in ("", "x" * 129):
        with pytest.raises(Invalid, match="1 to 128 characters"):
            entries_of([tag])


# --- statuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "internal", "new", "old"),
    [
        (Status.DELAYED, "DELAYED", "DELAYED", "DELAYED"),
        (Status.QUEUED, "PENDING", "QUEUED", "QUEUED"),
        (Status.DEQUEUED, "DEQUEUED", "DEQUEUED", "EXECUTING"),
        (Status.EXECUTING, "EXECUTING", "EXECUTING", "EXECUTING"),
        (Status.WAITING, "WAITING_TO_RESUME", "WAITING", "FROZEN"),
        (Status.PAUSED, "PAUSED", "WAITING", "FROZEN"),
        (Status.DEAD_LETTER, "COMPLETED_WITH_ERRORS", "FAILED", "FAILED"),
        (Status.COMPLETED, "COMPLETED_SUCCESSFULLY", "COMPLETED", "COMPLETED"),
        (Status.FAILED, "COMPLETED_WITH_ERRORS", "FAILED", "FAILED"),
        (Status.TIMED_OUT, "TIMED_OUT", "TIMED_OUT", "TIMED_OUT"),
        (Status.CRASHED, "CRASHED", "CRASHED", "CRASHED"),
        (Status.SYSTEM_FAILED, "SYSTEM_FAILURE", "SYSTEM_FAILURE", "SYSTEM_FAILURE"),
        (Status.CANCELED, "CANCELED", "CANCELED", "CANCELED"),
        (Status.EXPIRED, "EXPIRED", "EXPIRED", "EXPIRED"),
    ],
)
def test_a_status_by_its_three_names(status: Status, internal: str, new: str, old: str):
    run = run_in(status, ttl_secs=60)
    assert names.internal_status(run) == internal
    assert (names.rest_status(run, new=True), names.rest_status(run, new=False)) == (new, old)
    assert status in names.own_statuses(names.internal_names([new]))
    assert status in names.own_statuses(names.internal_names([old]))


def test_a_failed_attempt_that_is_tried_again_is_retrying():
    run = history(*history_to(Status.EXECUTING)).when(c.Fail(e.Failure("x"))).then_follows().run
    assert names.internal_status(run) == "RETRYING_AFTER_FAILURE"
    assert (names.rest_status(run, new=True), names.rest_status(run, new=False)) == ("EXECUTING", "REATTEMPTING")
    assert Status.QUEUED in names.own_statuses(names.internal_names(["REATTEMPTING"]))


def test_clients_of_3x_are_told_no_name_that_they_do_not_know():
    known = {
        "DELAYED", "WAITING_FOR_DEPLOY", "QUEUED", "EXECUTING", "REATTEMPTING", "FROZEN", "COMPLETED", "FAILED",
        "INTERRUPTED", "CANCELED", "CRASHED", "SYSTEM_FAILURE", "EXPIRED", "TIMED_OUT",
    }  # fmt: skip
    assert set(names.OLD_NAMES.values()) <= known
    assert {names.realtime_status(run_in(status, ttl_secs=60), new=False) for status in Status}.isdisjoint({"DEQUEUED"})


def test_only_the_one_api_version_chooses_the_new_names():
    assert names.is_new("2025-07-16")
    assert not any(map(names.is_new, (None, "", "2024-01-01", "2025-07-16 ")))


# --- errors -------------------------------------------------------------------------------------------


def test_an_error_of_the_work_and_one_of_its_end():
    failed = history(*history_to(Status.EXECUTING)).when(
        c.Fail(e.Failure("no", "ValueError", "at line 1"), retryable=False)
    )
    run = failed.then_follows().run
    assert serialized_error(run) == {"message": "no", "name": "ValueError", "stackTrace": "at line 1"}
    assert task_run_error(run) == {
        "type": "BUILT_IN_ERROR",
        "name": "ValueError",
        "message": "no",
        "stackTrace": "at line 1",
    }
    assert (task_run_error(run_in(Status.CANCELED)) or {})["code"] == "TASK_RUN_CANCELLED"
    assert (task_run_error(run_in(Status.EXPIRED, ttl_secs=1)) or {})["type"] == "STRING_ERROR"
    assert task_run_error(run_in(Status.EXECUTING)) is None


@pytest.mark.parametrize("status", [s for s in Status if s in {Status.FAILED, Status.CRASHED, Status.TIMED_OUT}])
def test_the_result_of_a_run_that_was_not_completed_is_its_error(status: Status):
    result = render_result(run_in(status), None)
    assert (result["ok"], "output" in result) == (False, False)
    assert all(isinstance(value, str) for value in result["error"].values())


# --- requests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "payload_type", "expected"),
    [
        (None, None, (None, NOTHING)),
        ({"a": 1}, None, ({"a": 1}, NOTHING)),
        ("text", "application/json", ("text", NOTHING)),
        ("text", TEXT, ("text", Packet(TEXT))),
        ('{"json":{"a":1}}', SUPERJSON, ({"a": 1}, Packet(SUPERJSON))),
        ({"a": 1}, SUPERJSON, ({"a": 1}, NOTHING)),
    ],
)
def test_a_payload_is_read_by_its_type(payload: Any, payload_type: str | None, expected: Any):
    assert packet_of(payload, payload_type) == expected


@pytest.mark.parametrize("text", ['{"json":"\\u0000"}', '{"json":18446744073709551616}', '{"json":' + "[" * 200])
def test_a_payload_that_could_not_be_kept_is_refused(text: str):
    with pytest.raises(Invalid):
        packet_of(text, SUPERJSON)


def test_unknown_options_are_passed_over_and_nulls_are_absent():
    body = TriggerTaskBody.model_validate({"payload": 1, "options": {"ttl": None, "newInVersion9": {"x": 1}}})
    request = request_of("run_1", body, NOW)
    assert (request.payload, request.ttl_secs, request.hints) == (1, None, None)


def test_an_idempotency_key_fits_into_an_index():
    body = {"options": {"idempotencyKey": "k" * 2048}}
    assert request_of("run_1", TriggerTaskBody.model_validate(body), NOW).idempotency_key == "k" * 2048
    for key in ("k" * 2049, "ü" * 1025, ""):
        with pytest.raises(ValidationError):
            TriggerTaskBody.model_validate({"options": {"idempotencyKey": key}})


def test_a_replay_changes_only_what_is_given():
    assert changes_of(ReplayTaskBody.model_validate({}), NOW) == ({}, {})
    changes, policy = changes_of(ReplayTaskBody.model_validate({"payload": None, "maxAttempts": 2}), NOW)
    assert changes == {
        "payload": None,
        "payload_type": None,
        "payload_text": None,
        "overrides": {"max_attempts_override": 2},
    }
    assert policy == {"max_attempts": 2}


@pytest.mark.parametrize(
    "operation",
    [
        {"type": "set", "value": 1},
        {"type": "set", "key": "__proto__", "value": 1},
        {"type": "append", "key": "$.a.constructor", "value": 1},
        {"type": "increment", "key": "n", "value": "1"},
        {"type": "increment", "key": "n", "value": True},
        {"type": "update", "value": [1]},
    ],
)
def test_operations_that_could_do_nothing_are_refused(operation: dict[str, Any]):
    with pytest.raises(Invalid):
        operations_of([OperationBody.model_validate(operation)])


@given(st.lists(st.text(max_size=5), min_size=1, max_size=3))
def test_ids_follow_from_what_they_stand_for(parts: list[str]):
    found = id_for("run", *parts)
    assert re.fullmatch(r"run_[0-9a-v]{26}", found)
    assert found == id_for("run", *parts)
    assert found not in (id_for("batch", *parts), id_for("run", *parts, ""))


@given(st.lists(st.integers(0, 2**61), min_size=1, max_size=5))
def test_a_cursor_tells_where_pages_began(steps: list[int]):
    assert TaskRunsQuery(after=cursor(steps)).steps == steps


@pytest.mark.parametrize("text", ["", "x", "e30", "WzEuNV0", "W3RydWVd", "Wy0xXQ", "bnVsbA"])
def test_what_is_no_cursor_is_refused(text: str):
    with pytest.raises(Invalid, match="cursor"):
        _ = TaskRunsQuery(after=text).steps


# --- what is told -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", Status)
def test_no_member_of_a_run_is_null(status: Status):
    run = run_in(status, ttl_secs=60)
    related = run_in(Status.COMPLETED)
    shown = render_run(run, b'{"a":1}', None, new=True, ancestors=[related], children=[related])

    def values(value: Any) -> Any:
        yield value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from values(inner)

    assert None not in list(values(shown))
    assert (shown["attempts"], shown["isCompleted"]) == ([], run.is_finished or status is Status.REPLAY_STAGED)


def test_what_a_token_may_not_see_is_left_out():
    run = run_in(Status.FAILED, tags={"a": ""}, metadata={"m": 1})
    hidden = frozenset({"payload", "output", "metadata", "error", "runTags"})
    shown = render_run(run, b"1", b"2", new=True, hidden=hidden)
    assert not shown.keys() & {"payload", "output", "metadata", "error"}
    assert shown["tags"] == []
