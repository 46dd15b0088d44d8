"""Triggering runs over HTTP."""

import hashlib
from typing import Any

import pytest
from tests.http.conftest import Api


@pytest.fixture(autouse=True)
def job(api: Api) -> dict[str, Any]:
    return api.new_job(tags={"team": "a"}, default_run_metadata={"from": "job"})


def trigger(api: Api, body: Any = None, **options: Any) -> Any:
    return api.post("/v1/jobs/parse/trigger", {} if body is None else body, **options)


def test_a_trigger_answers_the_whole_run(api: Api, job: dict[str, Any]) -> None:
    body = {
        "payload": {"b": 1, "a": [2]},
        "tags": {"file": "x"},
        "metadata": {"k": "v"},
        "priority": 7,
        "concurrency_key": "tenant-1",
        "ttl_secs": 60,
        "debug_mode": True,
        "max_attempts_override": 9,
        "timeout_secs_override": 1.5,
        "retry_backoff": "fixed",
        "retry_initial_delay_secs": 0,
        "retry_max_delay_secs": 2,
    }
    answer = trigger(api, body)
    assert answer.status_code == 201
    run = answer.json()
    assert {name: run[name] for name in body if name not in ("tags", "metadata", "ttl_secs")} == {
        name: value for name, value in body.items() if name not in ("tags", "metadata", "ttl_secs")
    }
    assert run["tags"] == {"team": "a", "file": "x"}
    assert run["metadata"] == {"from": "job", "k": "v"}
    assert (run["status"], run["attempt"], run["job_id"], run["job_version"]) == ("queued", 1, job["id"], 1)
    assert run["expires_at"] > run["created_at"]
    assert run["payload_hash"] == hashlib.sha256(b'{"a":[2],"b":1}').hexdigest()
    assert run["idempotency_hit"] is False
    assert api.speaking_as(run["run_token"]).get(f"/sdk/v1/runs/{run['id']}/payload").json() == body["payload"]


def test_a_trigger_takes_no_body_at_all(api: Api) -> None:
    answer = api.post("/v1/jobs/parse/trigger")
    assert answer.status_code == 201
    assert "payload" not in answer.json()
    assert answer.json()["payload_hash"] == hashlib.sha256(b"{}").hexdigest()


def test_the_token_of_a_trigger_speaks_for_the_first_attempt(api: Api) -> None:
    run = api.new_run()
    (claim,) = api.take(start=True)
    answer = api.speaking_as(run["run_token"]).post(f"/sdk/v1/runs/{run['id']}/complete", {"result": 1})
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert claim["run"]["id"] == run["id"]


@pytest.mark.parametrize("when", [{"delay_secs": 3600}, {"delay": 3600}, {"scheduled_at": "2190-01-01T00:00:00Z"}])
def test_a_run_can_be_put_off(api: Api, when: dict[str, Any]) -> None:
    run = api.new_run(**when)
    assert run["status"] == "delayed"
    assert run["scheduled_at"] > run["created_at"]
    assert api.take() == []


def test_a_time_that_has_passed_is_now(api: Api) -> None:
    assert api.new_run(scheduled_at="2020-01-01T00:00:00+02:00")["status"] == "queued"


def test_the_trace_of_the_caller_is_kept(api: Api) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    run = trigger(api, headers={"traceparent": trace}).json()
    assert run["metadata"]["_trace_parent"] == trace


# --- idempotency --------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["X-Idempotency-Key", "Idempotency-Key", None])
def test_the_same_request_finds_the_run_that_it_made(api: Api, header: str | None) -> None:
    body = {"payload": {"n": 1}, **({} if header else {"idempotency_key": "k"})}
    headers = {header: "k"} if header else {}
    first = trigger(api, body, headers=headers)
    again = trigger(api, body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["idempotency_hit"] is True
    for name in ("id", "payload", "payload_hash", "idempotency_key"):
        assert again.json()[name] == first.json()[name]
    assert len(api.take(limit=10)) == 1


def test_the_header_comes_before_the_body(api: Api) -> None:
    headers = {"X-Idempotency-Key": "x", "Idempotency-Key": "y"}
    assert trigger(api, {"idempotency_key": "z"}, headers=headers).json()["idempotency_key"] == "x"


def test_another_request_with_the_same_key_is_told_apart(api: Api) -> None:
    first = api.new_run(idempotency_key="k", payload=1)
    for other in ({"payload": 2}, {"payload": 1, "priority": 1}, {"payload": 1, "delay_secs": 5}):
        answer = trigger(api, {"idempotency_key": "k", **other})
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
        assert first["id"] in answer.json()["message"]


def test_how_the_caller_is_traced_does_not_make_another_request(api: Api) -> None:
    first = trigger(api, {"idempotency_key": "k"}, headers={"traceparent": "00-a"})
    again = trigger(api, {"idempotency_key": "k"}, headers={"traceparent": "00-b"})
    assert again.json()["id"] == first.json()["id"]


def test_a_key_belongs_to_its_job(api: Api) -> None:
    api.new_job("other")
    assert api.new_run("other", idempotency_key="k")["id"] != api.new_run("parse", idempotency_key="k")["id"]


# --- dry runs -----------------------------------------------------------------------------------------


def test_a_dry_run_makes_nothing(api: Api, job: dict[str, Any]) -> None:
    body = {"dry_run": True, "payload": {"a": 1}, "delay_secs": 60, "ttl_secs": 60}
    answer = trigger(api, body)
    assert answer.status_code == 200
    assert answer.json()["job"] == job
    assert answer.json()["payload"] == {"a": 1}
    assert answer.json()["validation"] == {"valid": True, "problems": []}
    assert answer.json()["expires_at"] > answer.json()["scheduled_at"]
    assert api.get("/v1/runs").json() == []


def test_a_dry_run_says_what_is_wrong_with_the_payload(api: Api) -> None:
    api.patch("/v1/jobs/parse", {"payload_schema": {"required": ["file"]}})
    validation = trigger(api, {"dry_run": True, "payload": {}}).json()["validation"]
    assert validation["valid"] is False
    assert "file" in validation["problems"][0]


# --- bulk ---------------------------------------------------------------------------------------------


def test_many_runs_are_made_at_once(api: Api) -> None:
    items = [{"payload": n, "priority": n % 3} for n in range(500)]
    answer = api.post("/v1/jobs/parse/trigger/bulk", {"items": items})
    assert answer.status_code == 201
    body = answer.json()
    assert (body["total"], body["created"], len({one["id"] for one in body["results"]})) == (500, 500, 500)
    assert {one["status"] for one in body["results"]} == {"queued"}
    run = api.get(f"/v1/runs/{body['results'][7]['id']}").json()
    assert (run["payload"], run["batch_id"]) == (7, body["batch_id"])


def test_one_bad_item_spoils_all(api: Api) -> None:
    api.patch("/v1/jobs/parse", {"payload_schema": {"type": "integer"}})
    answer = api.post("/v1/jobs/parse/trigger/bulk", {"items": [{"payload": 1}, {"payload": "x"}]})
    assert (answer.status_code, answer.json()["code"]) == (400, "payload_invalid")
    assert "items[1]" in answer.json()["message"]
    assert api.get("/v1/runs").json() == []


def test_two_items_with_one_key_are_one_run(api: Api) -> None:
    items = [{"payload": 1, "idempotency_key": "k"}, {"payload": 2}, {"payload": 1, "idempotency_key": "k"}]
    body = api.post("/v1/jobs/parse/trigger/bulk", {"items": items}).json()
    assert body["created"] == 2
    assert [one["idempotency_hit"] for one in body["results"]] == [False, False, True]
    assert body["results"][0]["id"] == body["results"][2]["id"]


def test_a_key_in_the_header_stands_for_the_whole_call(api: Api) -> None:
    items = {"items": [{"payload": 1}, {"payload": 1}]}
    first = api.post("/v1/jobs/parse/trigger/bulk", items, headers={"Idempotency-Key": "k"}).json()
    again = api.post("/v1/jobs/parse/trigger/bulk", items, headers={"Idempotency-Key": "k"}).json()
    assert (first["created"], again["created"]) == (2, 0)
    assert [one["id"] for one in again["results"]] == [one["id"] for one in first["results"]]
    # The batch that is answered is the one where the runs are found.
    assert again["batch_id"] == first["batch_id"]
    assert len(api.get(f"/v1/runs?batch_id={again['batch_id']}").json()) == 2


# --- refusals -----------------------------------------------------------------------------------------

BAD: list[dict[str, Any]] = [
    {"priority": 11},
    {"priority": -1},
    {"priority": "5"},
    {"priority": 1.5},
    {"ttl_secs": 0},
    {"ttl_secs": 1e18},
    {"delay_secs": -1},
    {"delay_secs": 1, "delay": 1},
    {"delay_secs": 1, "scheduled_at": "2030-01-01T00:00:00Z"},
    {"scheduled_at": "2030-01-01T00:00:00"},
    {"scheduled_at": "9999-12-31T00:00:00Z"},
    {"scheduled_at": 1893456000},
    {"scheduled_at": "soon"},
    {"tags": {"": "v"}},
    {"tags": {"k": "v" * 257}},
    {"tags": {str(n): "v" for n in range(20)}},
    {"metadata": {"k": None}},
    {"idempotency_key": ""},
    {"idempotency_key": "k" * 257},
    {"concurrency_key": 7},
    {"payload": {"a": "\x00"}},
    {"max_attempts_override": 0},
    {"retry_backoff": "never"},
    {"debounce_key": "k" * 257},
    {"batch_key": 7},
    {"priorty": 1},
]


@pytest.mark.parametrize("body", BAD, ids=[f"{n}-{next(iter(bad))}" for n, bad in enumerate(BAD)])
def test_what_makes_no_sense_is_refused(api: Api, body: dict[str, Any]) -> None:
    answer = trigger(api, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed"), answer.text
    assert api.post("/v1/jobs/parse/trigger/bulk", {"items": [{}, body]}).status_code == 400
    assert api.get("/v1/runs").json() == []


@pytest.mark.parametrize("items", [[], [{}] * 501, {}, None])
def test_a_bulk_of_no_or_too_many_items_is_refused(api: Api, items: Any) -> None:
    assert api.post("/v1/jobs/parse/trigger/bulk", {"items": items}).status_code == 400


@pytest.mark.parametrize("content", [b"{", b"[]", b'"x"', b'{"payload": NaN}', b"\xff"])
def test_what_is_no_json_object_is_refused(api: Api, content: bytes) -> None:
    assert trigger_raw(api, content).status_code == 400


def trigger_raw(api: Api, content: bytes) -> Any:
    return api.post("/v1/jobs/parse/trigger", content=content)


def test_a_key_in_a_header_has_limits_too(api: Api) -> None:
    for key in ("", "k" * 257):
        assert trigger(api, headers={"Idempotency-Key": key}).status_code == 400


def test_a_payload_that_does_not_fit_is_refused(api: Api) -> None:
    api.patch("/v1/jobs/parse", {"payload_schema": {"required": ["file"]}})
    answer = trigger(api, {"payload": {}})
    assert (answer.status_code, answer.json()["code"]) == (400, "payload_invalid")
    assert answer.json()["details"]


def test_a_disabled_job_takes_no_runs(api: Api) -> None:
    api.patch("/v1/jobs/parse", {"enabled": False})
    assert trigger(api).json()["code"] == "job_disabled"
    assert trigger(api, {"dry_run": True}).json()["code"] == "job_disabled"


def test_an_unknown_job_or_parent_is_refused(api: Api) -> None:
    assert api.post("/v1/jobs/nobody/trigger", {}).json()["code"] == "job_not_found"
    assert api.post("/v1/jobs/nobody/trigger", {"dry_run": True}).json()["code"] == "job_not_found"
    assert trigger(api, {"parent_run_id": "run_unknown"}).json()["code"] == "run_not_found"


@pytest.mark.parametrize("change", [{"enabled": False}, {"payload_schema": {"type": "string"}}])
def test_a_repeated_request_finds_its_run_whatever_became_of_the_job(api, change) -> None:
    body = {"payload": {"n": 1}, "idempotency_key": "once"}
    first = api.post("/v1/jobs/parse/trigger", body)
    assert api.patch("/v1/jobs/parse", change).status_code == 200
    again = api.post("/v1/jobs/parse/trigger", body)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert api.post("/v1/jobs/parse/trigger", {**body, "idempotency_key": "other"}).status_code == 400
