"""What the settings of a job make of its triggers, over HTTP."""

import hashlib
from datetime import datetime
from typing import Any

import pytest
from tests.http.conftest import Api


def trigger(api: Api, **body: Any) -> Any:
    return api.post("/v1/jobs/parse/trigger", body)


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def test_a_debounced_trigger_says_when_the_run_fires(api: Api) -> None:
    api.new_job(debounce_window_secs=60)
    first = trigger(api, payload={"n": 1}, debounce_key="k")
    second = trigger(api, payload={"n": 2}, debounce_key="k", tags={"a": "b"})
    assert (first.status_code, second.status_code) == (202, 202)
    run = second.json()
    assert (run["debounced"], run["id"], run["run_id"]) == (True, first.json()["id"], first.json()["id"])
    assert (run["payload"], run["tags"]) == ({"n": 2}, {"a": "b"})
    assert (run["status"], run["triggered_by"]) == ("delayed", "debounce")
    assert run["payload_hash"] == hashlib.sha256(b'{"n":2}').hexdigest()
    assert run["fire_at"] == run["scheduled_at"] > first.json()["fire_at"]
    assert run["window"] == {"kind": "debounce", "key": "k", "size": 2}
    shown = api.get(f"/v1/runs/{run['id']}").json()
    assert (shown["payload"], shown["version"], shown["window"]) == ({"n": 2}, 2, run["window"])
    history = api.get(f"/v1/runs/{run['id']}/history").json()
    assert [event["type"] for event in history] == ["run.triggered.v1", "run.debounced.v1"]
    assert all(event["actor"] for event in history)
    assert trigger(api, debounce_key="other").json()["id"] != run["id"]


def test_a_trigger_may_bring_a_debounce_window_of_its_own(api: Api) -> None:
    api.new_job()
    own = {"debounce_key": "k", "debounce_window_secs": 60, "debounce_mode": "leading", "debounce_max_secs": 90}
    first, second = (trigger(api, payload={"n": n}, **own) for n in (1, 2))
    assert (first.status_code, second.status_code) == (202, 202)
    run = second.json()
    assert (run["debounced"], run["id"], run["window"]["size"]) == (True, first.json()["id"], 2)
    assert (run["payload"], run["payload_hash"]) == ({"n": 1}, hashlib.sha256(b'{"n":1}').hexdigest())
    assert run["fire_at"] > first.json()["fire_at"]
    assert trigger(api, **{**own, "debounce_window_secs": 95}).json()["id"] != run["id"]
    history = api.get(f"/v1/runs/{run['id']}/history").json()
    assert [event["type"] for event in history] == ["run.triggered.v1", "run.postponed.v1"]
    rehearsed = trigger(api, **own, dry_run=True).json()
    assert "validation_warnings" not in rehearsed
    refused = trigger(api, debounce_mode="leading")
    assert (refused.status_code, "need debounce_window_secs" in refused.text) == (400, True)


def test_a_debounced_run_can_be_read_at_each_version(api: Api) -> None:
    api.new_job(debounce_window_secs=60)
    run = [trigger(api, payload=n).json() for n in range(3)][-1]
    payloads = [api.get(f"/v1/runs/{run['id']}?version={version}").json()["payload"] for version in (1, 2, 3)]
    assert payloads == [0, 1, 2]


def test_a_buffered_trigger_is_part_of_a_batch(api: Api) -> None:
    api.new_job(batch_window_secs=60, batch_max_size=3)
    answers = [trigger(api, payload={"n": n}, batch_key="k") for n in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 201]
    first, second, last = (answer.json() for answer in answers)
    assert first["buffered"] is True and "payload" not in first
    assert second["run_id"] == first["run_id"] == last["id"]
    assert second["fire_at"] == first["fire_at"]
    assert second["window"] == {"kind": "batch", "key": "k", "size": 2}
    assert (last["batch"], last["status"], "buffered" in last, "window" in last) == (True, "queued", False, False)
    (claim,) = api.take()
    assert claim["run"]["payload"] == {"items": [{"n": 0}, {"n": 1}, {"n": 2}]}
    assert claim["run"]["triggered_by"] == "batch"
    payload = api.get(f"/v1/runs/{last['id']}?version=2").json()["payload"]
    assert payload == {"items": [{"n": 0}, {"n": 1}]}


def test_each_payload_of_a_batch_has_to_fit_the_schema(api: Api) -> None:
    api.new_job(batch_window_secs=60, payload_schema={"type": "integer"})
    assert trigger(api, payload="x").json()["code"] == "payload_invalid"
    assert trigger(api, payload=1).status_code == 202


def test_a_gathered_trigger_that_is_repeated_finds_its_run(api: Api) -> None:
    api.new_job(batch_window_secs=60)
    body = {"payload": 1, "idempotency_key": "k", "batch_key": "b"}
    first, other = trigger(api, **body), trigger(api, payload=2, idempotency_key="l", batch_key="b")
    again = trigger(api, **body)
    assert (first.status_code, other.status_code, again.status_code) == (202, 202, 200)
    assert (again.json()["id"], again.json()["idempotency_hit"]) == (first.json()["id"], True)
    assert trigger(api, payload=2, idempotency_key="l", batch_key="b").status_code == 200
    assert trigger(api, payload=3, idempotency_key="l", batch_key="b").json()["code"] == "idempotency_key_reused"
    shown = api.get(f"/v1/runs/{first.json()['id']}").json()
    assert shown["payload"] == {"items": [1, 2]}


@pytest.mark.parametrize("body", [{"delay_secs": 5}, {"scheduled_at": "2190-01-01T00:00:00Z"}, {"parent": True}])
@pytest.mark.parametrize("window", ["debounce_window_secs", "batch_window_secs"])
def test_a_gathered_trigger_has_no_course_of_its_own(api: Api, window: str, body: dict[str, Any]) -> None:
    api.new_job("other")
    if "parent" in body:
        body = {"parent_run_id": api.new_run("other")["id"]}
    api.new_job(**{window: 60})
    for dry_run in (False, True):
        answer = trigger(api, **body, dry_run=dry_run)
        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
        assert "leave" in answer.json()["message"]


def test_a_bulk_is_not_gathered(api: Api) -> None:
    api.new_job(debounce_window_secs=60)
    made = api.post("/v1/jobs/parse/trigger/bulk", {"items": [{"payload": 1}, {"payload": 2}]}).json()
    assert ([one["status"] for one in made["results"]], made["created"]) == (["queued", "queued"], 2)
    answer = api.post("/v1/jobs/parse/trigger/bulk", {"items": [{"debounce_key": "k"}]})
    assert answer.status_code == 400


def test_keys_without_a_window_have_no_effect(api: Api) -> None:
    api.new_job()
    assert trigger(api, debounce_key="k", batch_key="k").status_code == 201


def test_the_same_payload_finds_the_run_that_it_made(api: Api) -> None:
    api.new_job(dedup_window_secs=60)
    first = trigger(api, payload={"a": 1})
    again = trigger(api, payload={"a": 1}, priority=3)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    assert (again.json()["deduplicated"], again.json()["idempotency_hit"]) == (True, False)
    assert again.json()["payload"] == {"a": 1}
    assert "deduplicated" not in first.json()
    made = api.post("/v1/jobs/parse/trigger/bulk", {"items": [{"payload": 2}, {"payload": {"a": 1}}]}).json()
    assert made["created"] == 1
    assert made["results"][1]["id"] == first.json()["id"]
    assert [one.get("deduplicated", False) for one in made["results"]] == [False, True]


def test_above_its_rate_limit_a_job_refuses_and_says_when_to_come_again(api: Api) -> None:
    api.new_job(rate_limit_max=2, rate_limit_window_secs=3600)
    assert [trigger(api, payload=n).status_code for n in range(3)] == [201, 201, 429]
    answer = trigger(api, payload=3)
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("2", "0")
    assert len(api.get("/v1/runs").json()) == 2
    answer = api.post("/v1/jobs/parse/trigger/bulk", {"items": [{}]})
    assert answer.status_code == 429


def test_a_rate_limit_of_one_is_told_in_the_singular(api: Api) -> None:
    api.new_job(rate_limit_max=1, rate_limit_window_secs=1)
    answer = api.post("/v1/jobs/parse/trigger/bulk", {"items": [{}, {}]})
    assert "takes 1 trigger in 1 second: send no more" in answer.json()["message"]


def test_a_bulk_that_is_larger_than_its_job_ever_takes_is_not_valid(api: Api) -> None:
    api.new_job(rate_limit_max=2, rate_limit_window_secs=3600)
    answer = api.post("/v1/jobs/parse/trigger/bulk", {"items": [{}, {}, {}]})
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
    assert api.post("/v1/jobs/parse/trigger/bulk", {"items": [{}, {}]}).status_code == 201


def test_a_dry_run_says_when_a_gathered_run_would_fire_and_records_nothing(api: Api) -> None:
    job = api.new_job(debounce_window_secs=60, payload_schema={"type": "integer"})
    answer = trigger(api, payload="x", ttl_secs=30, dry_run=True, debounce_key="k", batch_key="k")
    assert answer.status_code == 200
    found = answer.json()
    assert (found["job"], found["payload"]) == (job, "x")
    assert found["payload_hash"] == hashlib.sha256(b'"x"').hexdigest()
    assert seconds_between(found["scheduled_at"], found["expires_at"]) == 30
    assert found["validation"]["valid"] is False
    schema, key = found["validation_warnings"]
    assert "integer" in schema
    assert "batch_key has no effect" in key
    assert api.get("/v1/runs").json() == []
    assert trigger(api, payload=1).json()["version"] == 1


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"rate_limit_max": 1}, "rate_limit_window_secs"),
        ({"batch_max_size": 1}, "batch_window_secs"),
        ({"debounce_window_secs": 1, "batch_window_secs": 1}, "not both"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(api: Api, settings: dict[str, int], missing: str) -> None:
    answer = api.post("/v1/jobs", {"name": "parse", "slug": "parse", **settings})
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
    assert missing in answer.json()["message"]
    api.new_job()
    assert api.patch("/v1/jobs/parse", settings).status_code == 400


def test_a_job_may_change_from_one_window_to_the_other(api: Api) -> None:
    api.new_job(debounce_window_secs=60)
    assert trigger(api).json()["debounced"] is True
    assert api.patch("/v1/jobs/parse", {"batch_window_secs": 60}).status_code == 400
    assert api.patch("/v1/jobs/parse", {"batch_window_secs": 60, "debounce_window_secs": None}).status_code == 200
    assert trigger(api).json()["buffered"] is True
    assert api.patch("/v1/jobs/parse", {"batch_window_secs": 0}).status_code == 200
    assert trigger(api).status_code == 201
