"""Bad input: told what is wrong with it, and nothing changed."""

from typing import Any

import orjson
import psycopg
import pytest
from starlette.testclient import TestClient

from runcord.http.app import create_app
from runcord.http.operation import Operation
from runcord.http.operations import OPERATIONS
from runcord.settings import load_settings
from runcord.testing.contract import check_answer

WITH_BODY = [operation for operation in OPERATIONS if operation.body is not None and operation.dialect is None]
OF_DIALECTS = [operation for operation in OPERATIONS if operation.body is not None and operation.dialect is not None]

DEEP = 10_000

MALFORMED = {
    "broken": b'{"a":',
    "no JSON": b"hello",
    "two values": b"{} {}",
    "not UTF-8": b'{"a":"\xff"}',
    "lone surrogate": rb'{"a":"\ud800"}',
    "NUL in a string": rb'{"a":"x\u0000y"}',
    "NUL in a key": rb'{"x\u0000y":1}',
    "number beyond doubles": b'{"a":1e400}',
    "NaN": b'{"a":NaN}',
    "endless nesting": b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "unclosed nesting": b"[" * DEEP,
    "nesting too deep to be kept": b'{"a":' + b"[" * 128 + b"]" * 128 + b"}",
    "number that would be rounded": b'{"a":18446744073709551616}',
    "negative number that would be rounded": b'{"a":[-9223372036854775809]}',
    "number of many digits": b'{"a":' + b"9" * 5000 + b"}",
    "white space that is not JSON's": b"\x0b",
    "byte order mark": b"\xef\xbb\xbf{}",
}

NAMES = {
    **dict.fromkeys(
        ("run_id", "job_id", "key_id", "event_key", "prefix", "operation_id", "task", "batch_id", "key"), "x"
    ),
    "name": "lineage",
    "target": "self",
}

NO_OBJECT = {"a list": b"[]", "a string": b'"x"', "a number": b"1", "null": b"null", "a truth": b"true"}


def named(cases: list[Operation]) -> Any:
    return pytest.mark.parametrize("operation", cases, ids=lambda operation: operation.operation_id)


@pytest.fixture(scope="module")
def parse(standing) -> None:
    """The job `parse`."""
    standing.api().new_job("parse")


def position(dsn: str) -> list[Any]:
    with psycopg.connect(dsn) as conn:
        return conn.execute("select project_id, position, digest from ledger_heads order by 1").fetchall()


def send(api: Any, operation: Operation, body: bytes, **things: str) -> Any:
    names = NAMES | things
    return api.request(operation.method, operation.path.replace(":path", "").format(**names), content=body)


def assert_refused(answer: Any, status: int = 400) -> None:
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem["error"] == problem["message"] == problem["detail"] and len(problem["message"]) > 10
    assert problem["status"] == status and problem["type"] == f"urn:runcord:error:{problem['code']}"
    assert problem["request_id"] == answer.headers["x-request-id"]


@named(WITH_BODY)
def test_a_body_that_is_no_json_object_is_refused_by_every_operation(standing, operation: Operation):
    api, before = standing.api(), position(standing.dsn)
    for body in (*MALFORMED.values(), *NO_OBJECT.values()):
        assert_refused(send(api, operation, body))
    assert position(standing.dsn) == before


@named(OF_DIALECTS)
def test_a_body_that_is_no_json_object_is_refused_in_the_way_of_the_dialect(standing, operation: Operation):
    api, before = standing.api(), position(standing.dsn)
    for body in (*MALFORMED.values(), *NO_OBJECT.values()):
        answer = send(api, operation, body)
        assert answer.status_code == 400, answer.text
        assert len(answer.json()["error"]) > 10 and "status" not in answer.json()
    assert position(standing.dsn) == before


@named(WITH_BODY)
def test_an_unknown_member_is_refused_by_name_by_every_operation(standing, operation: Operation):
    api, before = standing.api(), position(standing.dsn)
    answer = send(api, operation, b'{"surprise": {"deep": [1]}}')
    assert_refused(answer)
    assert any(detail["field"].endswith("surprise") for detail in answer.json()["details"]), answer.text
    assert position(standing.dsn) == before


@named(WITH_BODY)
def test_values_of_wrong_types_are_refused_by_every_operation(standing, operation: Operation):
    assert operation.body is not None
    api, before = standing.api(), position(standing.dsn)
    for name, field in operation.body.model_fields.items():
        if "Any" in str(field.annotation):
            continue  # any JSON value will do
        wrong = b"[[{}]]" if "list" in str(field.annotation) else b'{"x":[1]}'
        answer = send(api, operation, b'{"%s": %s}' % ((field.alias or name).encode(), wrong))
        assert_refused(answer)
    assert position(standing.dsn) == before


@pytest.mark.parametrize(
    "member",
    [
        b'"priority": "5"',
        b'"priority": 5.5',
        b'"priority": true',
        b'"priority": 11',
        b'"priority": -1',
        b'"priority": 1e300',
        b'"priority": 99999999999999999999999999',
        b'"ttl_secs": -1',
        b'"ttl_secs": 1e308',
        b'"ttl_secs": "60"',
        b'"delay_secs": 99999999999999999999',
        b'"scheduled_at": "9999-12-31T23:59:59Z"',
        b'"scheduled_at": "2026-01-31T12:00:00"',
        b'"scheduled_at": 1750000000',
        b'"tags": {"a": 1}',
        b'"tags": {"": "x"}',
        b'"metadata": []',
        b'"idempotency_key": ""',
        b'"concurrency_key": 5',
        b'"debug_mode": "yes"',
        b'"payload": 1, "payloed": 2',
    ],
)
def test_absurd_values_make_no_run(standing, parse, member):
    api, before = standing.api(), position(standing.dsn)
    assert_refused(api.post("/v1/jobs/parse/trigger", content=b"{" + member + b"}"))
    assert position(standing.dsn) == before


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 120 + b"18446744073709551615" + b"]" * 120,
        b'{"a":' * 120 + b"-9223372036854775808" + b"}" * 120,
        b'"18446744073709551616"',
        b"0.12345678901234568",
    ],
    ids=["lists", "objects", "digits in a string", "fraction"],
)
def test_what_is_accepted_is_kept_as_it_is_through_all_of_a_runs_life(api, value):
    job = api.new_job(max_attempts=2)
    run = api.post(f"/v1/jobs/{job['id']}/trigger", content=b'{"payload":%s}' % value).json()
    (claim,) = api.take(run_id=run["id"], start=True)
    worker = api.speaking_as(claim["run_token"])
    path = f"/sdk/v1/runs/{run['id']}"
    assert worker.get(f"{path}/payload").content == value
    assert worker.post(f"{path}/checkpoint", content=b'{"state":%s}' % value).status_code == 201
    failure = b'{"error":{"message":"no","details":%s},"retryable":false}' % value
    assert worker.post(f"{path}/fail", content=failure).status_code == 200
    history = api.get(f"/v1/runs/{run['id']}/history")
    assert history.status_code == 200 and history.content.count(value) == 3
    assert api.get(f"/v1/runs/{run['id']}?version={len(history.json())}").status_code == 200
    assert api.post(f"/v1/runs/{run['id']}/replay?from_checkpoint=1").json()["payload"] == orjson.loads(value)


@pytest.fixture(scope="module")
def tight(standing):
    """A server that takes bodies of 2,000 bytes, on the same database, and what to send it."""
    secret = standing.api().secret
    with TestClient(create_app(load_settings(writers=1, readers=1, max_body_bytes=2000), standing.dsn)) as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        yield client


@named(WITH_BODY)
def test_a_body_beyond_the_limit_is_refused(standing, tight, operation: Operation):
    before = position(standing.dsn)
    path = operation.path.replace(":path", "").format(**NAMES)
    large = orjson.dumps({"x": "y" * 2000 * operation.body_limit_factor})
    for content in (large, iter([large[:100], large[100:]])):
        answer = tight.request(operation.method, path, content=content)
        assert_refused(answer, 413)
        check_answer(operation.method, path, 413, answer.content)
    assert position(standing.dsn) == before


@pytest.mark.parametrize(
    "run_id", ["x", "run_", "job_x", "%00", "run_%00", "a" * 3000, "%F0%9F%90%98", "..", "%ED%A0%80"]
)
def test_an_id_of_nothing_is_not_found(standing, run_id):
    api, before = standing.api(), position(standing.dsn)
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/history", None),
        ("DELETE", "", None),
        ("POST", "/pause", {}),
        ("POST", "/replay", None),
    ):
        assert api.request(method, f"/v1/runs/{run_id}{path}", body).status_code in {404, 405}
    assert position(standing.dsn) == before


@pytest.mark.parametrize("name", ["limit", "cursor", "status", "job_id", "batch_id", "triggered_by"])
def test_a_query_with_nul_or_without_end_is_refused(standing, name):
    api = standing.api()
    assert_refused(api.get(f"/v1/runs?{name}=a%00b"))
    assert_refused(api.get(f"/v1/runs?{name}={'a' * 5000}"))


def test_a_rule_over_several_members_is_told_as_it_is(standing):
    answer = standing.api().post("/v1/jobs/batch-enable", {})
    assert_refused(answer)
    assert answer.json()["message"].startswith("the body is not valid: ids is required, with at least one job")


def test_an_item_that_is_no_object_is_told_so(api):
    (error,) = api.post("/v1/jobs/batch", {"jobs": [None]}).json()["errors"]
    assert error["message"] == "the job is not valid: has to be an object"


def test_a_whole_number_of_too_many_digits_is_told_its_limit(api):
    answer = api.get(f"/v1/runs/{api.working()['run']['id']}/history?version_after={'9' * 400}")
    assert answer.status_code == 200  # nobody knows the parameter
    answer = api.get(f"/v1/runs/{api.working(slug='other')['run']['id']}?version={'9' * 400}")
    assert_refused(answer)
    assert "version" in answer.json()["details"][0]["field"] and "less than or equal" in answer.json()["message"]


@pytest.mark.parametrize("number", [5.0, 5])
def test_a_whole_number_is_one_however_it_is_written(api, number: float):
    assert api.new_job(max_attempts=number)["max_attempts"] == 5
    assert_refused(api.patch("/v1/jobs/parse", {"max_attempts": 5.5}))


def test_an_attempt_that_is_no_number_is_refused_also_where_nothing_asks_for_it(api):
    run_id = api.working()["run"]["id"]
    assert_refused(api.get(f"/sdk/v1/runs/{run_id}/payload", headers={"X-Runcord-Attempt": "x"}))


@pytest.mark.parametrize("attempt", ["0", "-1", "x", "1.0", "9999999999", "٣"])
def test_an_attempt_that_is_no_number_is_refused(api, dsn, attempt):
    run_id = api.working()["run"]["id"]
    before = position(dsn)
    headers = {"X-Runcord-Attempt": attempt.encode()}
    assert_refused(api.post(f"/sdk/v1/runs/{run_id}/complete", {}, headers=headers))
    assert position(dsn) == before
