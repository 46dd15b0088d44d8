"""Batches: what was triggered at once, and what came of it."""

from typing import Any

from tests.http.conftest import Api, NewApi


def trigger(api: Api, *items: dict[str, Any]) -> dict[str, Any]:
    answer = api.post("/v1/jobs/parse/trigger/bulk", {"items": list(items)})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_batch_says_what_was_asked_for_and_what_was_made(api: Api) -> None:
    job = api.new_job()
    api.new_run(idempotency_key="known", payload=1)
    made = trigger(api, {"payload": 1, "idempotency_key": "known"}, {"payload": 2}, {"payload": 3})
    batch = api.get(f"/v1/batch-operations/{made['batch_id']}?project_id={api.project_id}").json()
    assert (batch["id"], batch["job_id"], batch["project_id"]) == (made["batch_id"], job["id"], api.project_id)
    assert (batch["item_count"], batch["created_count"]) == (made["total"], made["created"]) == (3, 2)
    assert batch["created_by"] == f"apikey:{api.get('/v1/whoami').json()['key_id']}"
    runs = api.get(f"/v1/runs?batch_id={made['batch_id']}").json()
    assert {run["created_at"] for run in runs} == {batch["created_at"]} == {batch["finished_at"]}


def test_a_repeated_bulk_trigger_is_the_batch_of_then(api: Api) -> None:
    api.new_job()
    items = [{"payload": n, "idempotency_key": f"k{n}"} for n in range(3)]
    first, again = trigger(api, *items), trigger(api, *items)
    assert again["batch_id"] == first["batch_id"]
    assert [batch["id"] for batch in api.get("/v1/batch-operations").json()] == [first["batch_id"]]


def test_a_key_that_stands_twice_in_a_batch_makes_one_run(api: Api) -> None:
    api.new_job()
    made = trigger(api, {"idempotency_key": "k"}, {"idempotency_key": "k"})
    batch = api.get(f"/v1/batch-operations/{made['batch_id']}").json()
    assert (batch["item_count"], batch["created_count"]) == (2, 1)


def test_equal_payloads_in_a_batch_make_one_run(api: Api) -> None:
    api.new_job(dedup_window_secs=60)
    made = trigger(api, {"payload": 1}, {"payload": 1}, {"payload": 2})
    batch = api.get(f"/v1/batch-operations/{made['batch_id']}").json()
    assert (batch["item_count"], batch["created_count"]) == (made["total"], made["created"]) == (3, 2)
    assert len(api.get(f"/v1/runs?batch_id={made['batch_id']}").json()) == 2


def test_batches_are_listed_newest_first_in_pages(api: Api) -> None:
    api.new_job()
    made = [trigger(api, {}, {})["batch_id"] for _ in range(5)]
    first = api.get(f"/v1/batch-operations?limit=3&project_id={api.project_id}")
    second = api.get(f"/v1/batch-operations?limit=3&cursor={first.headers['x-next-cursor']}")
    assert [batch["id"] for answer in (first, second) for batch in answer.json()] == made[::-1]
    assert "x-next-cursor" not in second.headers
    by_time = api.get("/v1/batch-operations", params={"cursor": first.json()[0]["created_at"]})
    assert [batch["id"] for batch in by_time.json()] == made[-2::-1]


def test_a_batch_that_is_refused_leaves_nothing(api: Api) -> None:
    api.new_job(payload_schema={"type": "integer"})
    answer = api.post("/v1/jobs/parse/trigger/bulk", {"items": [{"payload": 1}, {"payload": "x"}]})
    assert answer.status_code == 400
    assert api.get("/v1/batch-operations").json() == []


def test_single_triggers_are_no_batches_and_other_projects_see_none(api: Api, new_api: NewApi) -> None:
    api.new_job()
    api.new_run()
    assert api.get("/v1/batch-operations").json() == []
    trigger(api, {})
    stranger = new_api("proj_other")
    assert stranger.get("/v1/batch-operations").json() == []
    assert stranger.get(f"/v1/batch-operations?project_id={api.project_id}").status_code == 404
