"""Many runs in one request: by their ids, by a filter, at once or in the background."""

from typing import Any

import pytest

from runcord.http.routes import bulk_runs

OWN = "(the caller's own project)"


def queued(api, count: int, job: str = "parse", **body: Any) -> list[str]:
    """Return the ids of that many new runs of a job."""
    items = [{"payload": {"n": n}, **body} for n in range(count)]
    return [result["id"] for result in api.post(f"/v1/jobs/{job}/trigger/bulk", {"items": items}).json()["results"]]


def dead(api, count: int, job: str = "parse") -> list[str]:
    """Return the ids of that many new dead letters of a job that tries once."""
    run_ids = queued(api, count, job)
    for run_id in run_ids:
        api.take(run_id=run_id, start=True)
        assert api.post(f"/sdk/v1/runs/{run_id}/fail", {"error": "no"}).json()["status"] == "dead_letter"
    return run_ids


def status_of(api, run_id: str) -> str:
    return api.get(f"/v1/runs/{run_id}").json()["status"]


def ended(api, accepted: Any) -> dict[str, Any]:
    """Return the operation that was accepted, as soon as it has ended."""
    assert accepted.status_code == 202, accepted.text
    path = f"/v1/bulk-operations/{accepted.json()['request_id']}"
    assert accepted.headers["location"] == path
    return api.until(path, lambda operation: operation["status"] not in {"pending", "running"})


# --- cancel -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", ["run_ids", "ids"])
def test_each_run_that_is_named_is_canceled_or_told_why_not(api, member):
    api.new_job()
    a, b, c = queued(api, 3)
    api.delete(f"/v1/runs/{b}")
    answer = api.post("/v1/runs/bulk-cancel", {member: [a, "run_nothing", b, c, a], "reason": "wrong file"})
    assert answer.status_code == 200
    assert answer.json() == {
        "results": [
            {"id": a, "status": "canceled"},
            {"id": "run_nothing", "status": "failed", "error": "run not found"},
            {"id": b, "status": "canceled", "error": "run already in terminal state"},
            {"id": c, "status": "canceled"},
        ],
        "total": 4,
        "canceled": 2,
        "failed": 2,
    }
    assert int(answer.headers["runcord-position"]) > 0
    assert [api.get(f"/v1/runs/{run_id}").json()["error"] for run_id in (a, b, c)] == [
        "wrong file",
        "canceled by user",
        "wrong file",
    ]


def test_a_dead_letter_cannot_be_canceled_and_says_so(api):
    api.new_job(max_attempts=1)
    (run_id,) = dead(api, 1)
    (result,) = api.post("/v1/runs/bulk-cancel", {"run_ids": [run_id]}).json()["results"]
    assert result["status"] == "dead_letter" and "dead_letter cannot be canceled" in result["error"]


def test_a_filter_cancels_what_has_not_ended_and_nothing_else(api):
    job, other = api.new_job(), api.new_job("other")
    delayed, done, at_work, waiting = queued(api, 4)
    stranger = queued(api, 1, "other")[0]
    api.post(f"/v1/runs/{delayed}/reschedule", {"scheduled_at": "2199-01-01T00:00:00Z"})
    for run_id in (done, at_work):
        api.take(run_id=run_id, start=True)
    api.post(f"/sdk/v1/runs/{done}/complete", {})
    answer = api.post(f"/v1/runs/bulk-cancel-all?project_id={api.project_id}", {"job_id": job["id"]}).json()
    assert answer["run_ids"] == [delayed, at_work, waiting]
    assert (answer["total"], answer["canceled"], answer["failed"]) == (3, 3, 0)
    assert status_of(api, done) == "completed"
    answer = api.post("/v1/runs/bulk-cancel", {"filter": {"job_id": other["id"], "status": "queued"}}).json()
    assert [result["id"] for result in answer["results"]] == [stranger]
    assert "run_ids" not in answer


def test_a_filter_that_picks_nothing_answers_so(api):
    answer = api.post("/v1/runs/bulk-cancel-all", {"batch_id": "none"})
    assert (answer.status_code, answer.json()) == (
        200,
        {"results": [], "total": 0, "canceled": 0, "failed": 0, "run_ids": []},
    )


def test_a_filter_of_a_batch_and_a_status_takes_these_runs_alone(api):
    api.new_job()
    first = queued(api, 3)
    queued(api, 3)
    batch = api.get(f"/v1/runs/{first[0]}").json()["batch_id"]
    api.take(run_id=first[1])
    answer = api.post("/v1/runs/bulk-cancel-all", {"batch_id": batch, "status": "queued", "triggered_by": "manual"})
    assert answer.json()["run_ids"] == [first[0], first[2]]


def test_descendants_are_canceled_with_their_parents(api):
    parent = api.working()["run"]["id"]
    child = api.post(f"/sdk/v1/runs/{parent}/spawn", {"job_slug": "parse", "project_id": api.project_id}).json()["id"]
    api.post("/v1/runs/bulk-cancel", {"run_ids": [parent]})
    assert status_of(api, child) == "canceled"


# --- replay -------------------------------------------------------------------------------------------


def test_replays_answer_the_new_runs_with_their_payloads(api):
    api.new_job(max_attempts=1)
    old = dead(api, 2)
    alive = queued(api, 1)[0]
    answer = api.post("/v1/runs/bulk-replay", {"run_ids": [*old, alive, "run_nothing"]})
    assert answer.status_code == 200
    new = answer.json()
    assert [(run["replay_of"], run["payload"], run["status"]) for run in new] == [
        (old[0], {"n": 0}, "queued"),
        (old[1], {"n": 1}, "queued"),
    ]
    assert [api.get(f"/v1/runs/{run_id}").json()["replayed_as"] for run_id in old] == [run["id"] for run in new]


def test_the_envelope_says_what_became_of_each_run(api):
    api.new_job(max_attempts=1)
    (old,) = dead(api, 1)
    alive = queued(api, 1)[0]
    answer = api.post("/v1/runs/bulk-replay?envelope=true", {"run_ids": [alive, old, "run_nothing"]}).json()
    skipped, replayed, failed = answer["results"]
    assert (answer["total"], answer["replayed"]) == (3, 1)
    assert (skipped["original_run_id"], skipped["status"]) == (alive, "skipped")
    assert "queued cannot be replayed" in skipped["error"]
    assert replayed == {
        "original_run_id": old,
        "status": "replayed",
        "new_run_id": api.get(f"/v1/runs/{old}").json()["replayed_as"],
    }
    assert (failed["original_run_id"], failed["status"]) == ("run_nothing", "failed")


def test_a_filter_without_a_status_replays_what_failed_for_good(api):
    job = api.new_job()
    failed, done, canceled = queued(api, 3)
    for run_id in (failed, done):
        api.take(run_id=run_id, start=True)
    api.post(f"/sdk/v1/runs/{failed}/fail", {"error": "no", "retryable": False})
    api.post(f"/sdk/v1/runs/{done}/complete", {})
    api.delete(f"/v1/runs/{canceled}")
    (new,) = api.post("/v1/runs/bulk-replay", {"filter": {"job_id": job["id"]}}).json()
    assert new["replay_of"] == failed
    (new,) = api.post("/v1/runs/bulk-replay", {"filter": {"status": "completed"}}).json()
    assert new["replay_of"] == done


# --- dead letters -------------------------------------------------------------------------------------


def test_dead_letters_that_are_named_are_queued_again_and_others_passed_over(api):
    api.new_job(max_attempts=1)
    a, b = dead(api, 2)
    alive = queued(api, 1)[0]
    answer = api.post("/v1/runs/bulk-dlq-replay", {"run_ids": [b, alive, "run_nothing", a]})
    assert answer.status_code == 200
    replayed = answer.json()["replayed"]
    assert answer.json()["count"] == 2
    assert [(run["id"], run["status"], run["round"], run["payload"]["n"]) for run in replayed] == [
        (b, "queued", 2, 1),
        (a, "queued", 2, 0),
    ]
    types = [event["type"] for event in api.get(f"/v1/runs/{a}/history").json()]
    assert types[-2:] == ["run.replay_staged.v1", "run.dead_letter_replayed.v1"]
    again = api.post("/v1/runs/bulk-dlq-replay", {"run_ids": [a, b]})
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_replay")


def test_the_oldest_dead_letters_of_the_project_or_of_a_job_are_queued_again(api):
    api.new_job(max_attempts=1)
    other = api.new_job("other", max_attempts=1)
    first, second = dead(api, 1), dead(api, 2, "other")
    third = dead(api, 2)
    answer = api.post("/v1/runs/bulk-dlq-replay", {"project_id": api.project_id, "limit": 2}).json()
    assert [run["id"] for run in answer["replayed"]] == [first[0], second[0]]
    answer = api.post("/v1/runs/bulk-dlq-replay", {"job_id": other["id"]}).json()
    assert [run["id"] for run in answer["replayed"]] == [second[1]]
    answer = api.post("/v1/runs/bulk-dlq-replay", {"project_id": api.project_id}).json()
    assert [run["id"] for run in answer["replayed"]] == third
    assert api.post("/v1/runs/bulk-dlq-replay", {"project_id": api.project_id}).status_code == 409


def test_a_filter_takes_a_hundred_dead_letters_unless_it_is_told(api):
    api.new_job(max_attempts=1)
    queued(api, 103)
    claims = api.take(limit=103, start=True)
    settlements = [
        {"run_id": claim["run"]["id"], "attempt": 1, "status": "failed", "error": {"message": "no"}} for claim in claims
    ]
    assert api.post("/v1/runs/settle", {"settlements": settlements}).status_code == 200
    assert api.post("/v1/runs/bulk-dlq-replay", {"project_id": api.project_id}).json()["count"] == 100
    assert len(api.get("/v1/runs/dlq").json()) == 3


# --- in the background --------------------------------------------------------------------------------


@pytest.mark.parametrize(("query", "member"), [("?async=true", {}), ("", {"async": True})])
def test_a_request_may_be_left_to_the_background_and_looked_after(api, query, member):
    job = api.new_job()
    run_ids = queued(api, 230)
    accepted = api.post(f"/v1/runs/bulk-cancel-all{query}", {"job_id": job["id"], **member})
    operation = ended(api, accepted)
    assert operation["id"] == operation["request_id"] == accepted.json()["request_id"]
    assert (operation["action"], operation["status"], operation["errors"]) == ("cancel", "completed", [])
    counted = [operation[name] for name in ("total", "done", "succeeded", "skipped", "failed")]
    assert counted == [230, 230, 230, 0, 0]
    assert operation["filter"]["job_id"] == job["id"] and "batch_id" not in operation["filter"]
    assert operation["finished_at"] >= operation["created_at"]
    assert api.get("/v1/runs/stats").json()["by_status"] == {"canceled": 230}
    event = api.get(f"/v1/runs/{run_ids[0]}/history").json()[-1]
    assert event["type"] == "run.canceled.v1" and event["actor"] == operation["created_by"]


def test_what_became_of_each_run_is_listed_page_by_page(api):
    api.new_job()
    run_ids = queued(api, 60)
    api.delete(f"/v1/runs/{run_ids[7]}")
    named = [*run_ids, "run_nothing"]
    operation = ended(api, api.post("/v1/runs/bulk-cancel?async=true", {"run_ids": named}))
    assert [operation[name] for name in ("total", "succeeded", "skipped", "failed")] == [61, 59, 1, 1]
    path = f"/v1/bulk-operations/{operation['id']}/results"
    for size in (7, 61, 100):
        found, cursor = [], ""
        while cursor is not None:
            answer = api.get(f"{path}?limit={size}&cursor={cursor}")
            found += answer.json()
            cursor = answer.headers.get("x-next-cursor")
        assert [outcome["run_id"] for outcome in found] == named
    assert found[0] == {"run_id": run_ids[0], "result": "succeeded"}
    assert (found[7]["result"], found[7]["code"]) == ("skipped", "illegal_transition")
    assert (found[60]["result"], found[60]["code"]) == ("failed", "run_not_found")
    assert operation["errors"] == [found[7], found[60]]


def test_replays_in_the_background_name_the_new_runs(api):
    api.new_job(max_attempts=1)
    (old,) = dead(api, 1)
    body = {"filter": {"status": "dead_letter"}, "async": True}
    operation = ended(api, api.post("/v1/runs/bulk-replay", body))
    (outcome,) = api.get(f"/v1/bulk-operations/{operation['id']}/results").json()
    assert api.get(f"/v1/runs/{outcome['new_run_id']}").json()["replay_of"] == old


def test_dead_letters_in_the_background_have_no_limit_unless_it_is_given(api):
    api.new_job(max_attempts=1)
    dead(api, 4)
    body = {"project_id": api.project_id, "async": True}
    assert ended(api, api.post("/v1/runs/bulk-dlq-replay", {**body, "limit": 1}))["succeeded"] == 1
    assert ended(api, api.post("/v1/runs/bulk-dlq-replay", body))["succeeded"] == 3


def test_operations_are_listed_newest_first(api):
    made = [api.post("/v1/runs/bulk-cancel?async=true", {"run_ids": ["run_x"]}).json()["request_id"] for _ in range(3)]
    first = api.get("/v1/bulk-operations?limit=2")
    rest = api.get(f"/v1/bulk-operations?limit=2&cursor={first.headers['x-next-cursor']}")
    assert [operation["id"] for operation in first.json() + rest.json()] == made[::-1]


def test_the_same_key_with_the_same_request_is_the_same_operation(api, new_api):
    body, headers = {"batch_id": "none"}, {"Idempotency-Key": "k"}
    path = "/v1/runs/bulk-cancel-all?async=true"
    first, again = (api.post(path, body, headers=headers).json()["request_id"] for _ in range(2))
    assert first == again
    refused = api.post(path, {"batch_id": "other"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert new_api("proj_other").post(path, body, headers=headers).json()["request_id"] != first
    assert api.post(path, body).json()["request_id"] != first


def test_an_operation_that_has_ended_cannot_be_stopped(api):
    operation = ended(api, api.post("/v1/runs/bulk-cancel?async=true", {"run_ids": ["run_x"]}))
    refused = api.post(f"/v1/bulk-operations/{operation['id']}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "bulk_operation_ended")
    for path in ("", "/results"):
        assert api.get(f"/v1/bulk-operations/bulk_x{path}").json()["code"] == "bulk_operation_not_found"
    run = api.new_job() and api.new_run()["id"]
    assert api.post(f"/v1/bulk-operations/{run}/cancel").status_code == 404


# --- dry runs -----------------------------------------------------------------------------------------


def test_a_dry_run_counts_and_changes_nothing(api):
    job = api.new_job()
    run_ids = queued(api, 130)
    api.delete(f"/v1/runs/{run_ids[0]}")
    position = api.delete(f"/v1/runs/{run_ids[1]}").headers["runcord-position"]
    rest = run_ids[2:]
    answer = api.post("/v1/runs/bulk-cancel-all?async=true", {"job_id": job["id"], "dry_run": True})
    assert (answer.status_code, answer.json()) == (
        200,
        {"dry_run": True, "action": "cancel", "total": 128, "run_ids": rest[:100]},
    )
    named = api.post("/v1/runs/bulk-cancel", {"run_ids": ["run_x", *run_ids[:4]], "dry_run": True}).json()
    assert (named["total"], named["run_ids"]) == (2, run_ids[2:4])
    replays = api.post("/v1/runs/bulk-replay", {"filter": {"status": "canceled"}, "dry_run": True}).json()
    assert (replays["total"], replays["run_ids"]) == (2, run_ids[:2])
    letters = api.post("/v1/runs/bulk-dlq-replay", {"project_id": api.project_id, "limit": 5, "dry_run": True}).json()
    assert (letters["total"], letters["run_ids"]) == (0, [])
    assert api.get("/v1/bulk-operations").json() == []
    assert int(api.new_run()["version"]) == 1
    assert int(api.delete(f"/v1/runs/{rest[0]}").headers["runcord-position"]) == int(position) + 2


# --- bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("bulk-cancel", {}),
        ("bulk-cancel", {"run_ids": []}),
        ("bulk-cancel", {"run_ids": ["x"] * 101}),
        ("bulk-cancel", {"run_ids": ["x"], "filter": {"status": "queued"}}),
        ("bulk-cancel", {"filter": {}}),
        ("bulk-cancel", {"filter": {"status": "completed"}}),
        ("bulk-cancel", {"filter": {"status": "nonsense"}}),
        ("bulk-cancel", {"run_ids": ["x"], "async": "yes"}),
        ("bulk-cancel", {"run_ids": [1]}),
        ("bulk-cancel-all", {}),
        ("bulk-cancel-all", {"project_id": OWN}),
        ("bulk-cancel-all", {"status": "expired"}),
        ("bulk-replay", {}),
        ("bulk-replay", {"filter": {"status": "queued"}}),
        ("bulk-replay", {"run_ids": ["x"] * 101}),
        ("bulk-dlq-replay", {}),
        ("bulk-dlq-replay", {"run_ids": ["x"], "project_id": OWN}),
        ("bulk-dlq-replay", {"run_ids": ["x"], "limit": 5}),
        ("bulk-dlq-replay", {"run_ids": ["x"] * 501}),
        ("bulk-dlq-replay", {"project_id": OWN, "limit": 0}),
        ("bulk-dlq-replay", {"project_id": OWN, "limit": 501}),
        ("bulk-dlq-replay", {"project_id": OWN, "status": "completed"}),
    ],
)
def test_a_request_that_does_not_say_which_runs_is_refused(api, verb, body):
    named = {"project_id": api.project_id} if body.get("project_id") == OWN else {}
    answer = api.post(f"/v1/runs/{verb}", body | named)
    assert answer.status_code == 400, answer.text
    assert len(answer.json()["message"]) > 20


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("bulk-cancel-all?project_id=proj_other", {"job_id": "j"}),
        ("bulk-cancel-all", {"job_id": "j", "project_id": "proj_other"}),
        ("bulk-dlq-replay", {"project_id": "proj_other"}),
    ],
)
def test_another_project_cannot_be_named(api, path, body):
    assert api.post(f"/v1/runs/{path}", body).status_code == 404


def test_more_runs_than_one_append_takes_are_sent_to_the_background(api, monkeypatch):
    job = api.new_job()
    queued(api, 6)
    monkeypatch.setattr(bulk_runs, "MOST_AT_ONCE", {"cancel": 5, "replay": 5, "dlq_replay": 5})
    refused = api.post("/v1/runs/bulk-cancel-all", {"job_id": job["id"]})
    assert (refused.status_code, refused.json()["code"]) == (400, "too_many_runs")
    assert "async=true" in refused.json()["message"]
    assert api.get("/v1/runs/stats").json()["by_status"] == {"queued": 6}
    assert ended(api, api.post("/v1/runs/bulk-cancel-all?async=true", {"job_id": job["id"]}))["succeeded"] == 6


def test_runs_of_another_project_are_not_there(api, new_api):
    api.new_job()
    (run_id,) = queued(api, 1)
    stranger = new_api("proj_stranger")
    assert stranger.post("/v1/runs/bulk-cancel", {"run_ids": [run_id]}).json()["failed"] == 1
    assert ended(stranger, stranger.post("/v1/runs/bulk-cancel?async=true", {"run_ids": [run_id]}))["failed"] == 1
    assert stranger.post("/v1/runs/bulk-cancel-all", {"status": "queued"}).json()["total"] == 0
    assert status_of(api, run_id) == "queued"
