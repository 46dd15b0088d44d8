"""What an operator may do with a run: what follows, what is refused and how."""

import pytest

PAST = "2020-01-01T00:00:00Z"
FUTURE = "2199-01-01T00:00:00+01:00"


def run_in(api, status: str) -> str:
    """Return the id of a run that has this status, by the shortest way there."""
    api.new_job(status, max_attempts=1)
    body = {"delay_secs": 3600} if status == "delayed" else {}
    run_id = api.new_run(status, **body)["id"]
    path, work = f"/v1/runs/{run_id}", f"/sdk/v1/runs/{run_id}"
    if status in {"delayed", "queued"}:
        return run_id
    if status == "canceled":
        api.delete(path)
        return run_id
    api.take(run_id=run_id, start=status != "dequeued")
    match status:
        case "paused":
            api.post(f"{path}/pause")
        case "waiting":
            api.post(f"{work}/wait", {})
        case "completed":
            api.post(f"{work}/complete", {})
        case "failed":
            api.post(f"{work}/fail", {"error": "no", "retryable": False})
        case "dead_letter":
            api.post(f"{work}/fail", {"error": "no"})
    assert api.get(path).json()["status"] == status
    return run_id


ALL = {
    *("delayed", "queued", "dequeued", "executing", "waiting", "paused"),
    *("completed", "failed", "canceled", "dead_letter"),
}
ENDED = {"completed", "failed", "canceled"}

CASES = {
    # name: (method, path, body, statuses that it works in, what becomes of them, status of refusals)
    "delete": ("DELETE", "", None, ALL - ENDED - {"dead_letter"}, "canceled", 400),
    "cancel": ("POST", "/cancel", {}, ALL - ENDED - {"dead_letter"}, "canceled", 400),
    "pause": ("POST", "/pause", {}, {"executing", "paused"}, "paused", 400),
    "resume": ("POST", "/resume", None, {"paused"}, "queued", 400),
    "restart": ("POST", "/restart", {}, {"executing", "paused"}, "queued", 400),
    "reschedule": ("POST", "/reschedule", {"scheduled_at": FUTURE}, {"delayed", "queued"}, "delayed", 404),
    "dlq-replay": ("POST", "/dlq-replay", None, {"dead_letter"}, "queued", 409),
    "replay": ("POST", "/replay", None, ENDED | {"dead_letter"}, None, 400),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("status", sorted(ALL))
def test_a_command_works_where_the_table_allows_it_and_changes_nothing_elsewhere(api, name, status):
    method, verb, body, allowed, becomes, refusal = CASES[name]
    path = f"/v1/runs/{run_in(api, status)}"
    before = api.get(path).json()
    answer = api.request(method, path + verb, body)
    after = api.get(path).json()
    if status in allowed:
        assert answer.status_code == (201 if name == "replay" else 200), answer.text
        assert int(answer.headers["runcord-position"]) > 0
        if becomes is not None:
            assert answer.json() == after
            assert after["status"] == becomes
    else:
        expected = 409 if name in {"delete", "cancel"} and status == "dead_letter" else refusal
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (expected, "illegal_transition")
        assert status in problem["message"]
        assert after == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [(method, f"/v1/runs/run_nothing{verb}", body) for method, verb, body, *_ in CASES.values()]
    + [
        ("POST", "/v1/runs/run_nothing/debug", {"debug_mode": True}),
        ("DELETE", "/v1/runs/run_nothing/idempotency-key", None),
    ],
)
def test_a_run_that_is_not_there_is_not_found(api, method, path, body):
    answer = api.request(method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")


def test_a_canceled_run_shows_why(api):
    api.new_job()
    asked = api.post(f"/v1/runs/{api.new_run()['id']}/cancel", {"reason": "wrong file"}).json()
    deleted = api.delete(f"/v1/runs/{api.new_run()['id']}").json()
    assert (asked["error"], deleted["error"]) == ("wrong file", "canceled by user")


def test_canceling_takes_descendants_along(api):
    claim = api.working()
    parent = claim["run"]["id"]
    child = api.post(f"/sdk/v1/runs/{parent}/spawn", {"job_slug": "parse", "project_id": api.project_id}).json()["id"]
    api.delete(f"/v1/runs/{parent}")
    assert api.get(f"/v1/runs/{child}").json()["error"] == "parent run canceled"


def test_a_replay_and_its_original_name_each_other(api):
    api.new_job()
    old = api.new_run(payload={"n": 1}, tags={"a": "b"})["id"]
    api.delete(f"/v1/runs/{old}")
    new = api.post(f"/v1/runs/{old}/replay").json()
    assert (new["replay_of"], new["payload"], new["tags"], new["status"]) == (old, {"n": 1}, {"a": "b"}, "queued")
    assert api.get(f"/v1/runs/{old}").json()["replayed_as"] == new["id"]


def test_a_replay_may_begin_at_a_checkpoint(api):
    run = api.working()["run"]["id"]
    for page in (1, 2):
        api.post(f"/sdk/v1/runs/{run}/checkpoint", {"state": {"page": page}})
    api.post(f"/sdk/v1/runs/{run}/complete", {})
    new = api.post(f"/v1/runs/{run}/replay?from_checkpoint=1").json()
    assert (new["payload"], new["replay_checkpoint"], new["debug_mode"]) == ({"page": 1}, 1, True)
    assert api.post(f"/v1/runs/{run}/replay?from_checkpoint=3").status_code == 404
    assert api.post(f"/v1/runs/{run}/replay?from_checkpoint=0").status_code == 400


def test_a_job_that_takes_no_runs_takes_no_replays(api):
    job = api.new_job()
    run = api.new_run()["id"]
    api.delete(f"/v1/runs/{run}")
    api.patch(f"/v1/jobs/{job['id']}", {"enabled": False})
    assert api.post(f"/v1/runs/{run}/replay").status_code == 400
    api.delete(f"/v1/jobs/{job['id']}")
    refused = api.post(f"/v1/runs/{run}/replay")
    assert refused.status_code == 400 and "deleted" in refused.json()["message"]
    assert "replayed_as" not in api.get(f"/v1/runs/{run}").json()


def test_a_dead_letter_is_queued_again_as_itself(api):
    run = run_in(api, "dead_letter")
    again = api.post(f"/v1/runs/{run}/dlq-replay").json()
    assert (again["id"], again["attempt"], again["round"]) == (run, 1, 2)
    assert "error" not in again and "finished_at" not in again


@pytest.mark.parametrize(("at", "status"), [(PAST, "queued"), (FUTURE, "delayed")])
def test_a_rescheduled_run_is_due_then(api, at, status):
    run = run_in(api, "queued")
    after = api.post(f"/v1/runs/{run}/reschedule", {"scheduled_at": at}).json()
    assert after["status"] == status


def test_a_rescheduled_run_keeps_its_payload_unless_another_is_given(api):
    api.new_job()
    path = f"/v1/runs/{api.new_run(payload=1)['id']}"
    assert api.post(f"{path}/reschedule", {"scheduled_at": FUTURE}).json()["payload"] == 1
    assert api.post(f"{path}/reschedule", {"scheduled_at": FUTURE, "payload": 2}).json()["payload"] == 2
    assert "payload" not in api.post(f"{path}/reschedule", {"scheduled_at": FUTURE, "payload": None}).json()
    assert api.get(f"{path}?version=2").json()["payload"] == 1


def test_a_new_payload_has_to_fit_the_jobs_schema(api):
    api.new_job(payload_schema={"type": "integer"})
    path = f"/v1/runs/{api.new_run(payload=1)['id']}"
    before = api.get(path).json()
    refused = api.post(f"{path}/reschedule", {"scheduled_at": FUTURE, "payload": "x"})
    assert (refused.status_code, refused.json()["code"]) == (400, "payload_invalid")
    assert api.get(path).json() == before


@pytest.mark.parametrize("at", ["2199-01-01T00:00:00", "tomorrow", 5, None, "9999-12-31T23:59:59Z", "", [], True])
def test_a_run_is_rescheduled_to_a_time_with_a_zone_alone(api, at):
    run = run_in(api, "queued")
    assert api.post(f"/v1/runs/{run}/reschedule", {"scheduled_at": at}).status_code == 400
    assert api.post(f"/v1/runs/{run}/reschedule", {}).status_code == 400


def test_a_restart_puts_the_preset_on_record(api):
    run = run_in(api, "executing")
    assert api.post(f"/v1/runs/{run}/restart", {"machine_preset": "huge"}).status_code == 400
    after = api.post(f"/v1/runs/{run}/restart", {"machine_preset": "medium-1x"}).json()
    assert (after["status"], after["machine_preset"]) == ("queued", "medium-1x")


def test_debug_mode_is_switched_and_shown(api):
    api.new_job()
    run = api.new_run()["id"]
    assert api.post(f"/v1/runs/{run}/debug", {"debug_mode": True}).json() == {"status": "ok", "debug_mode": True}
    assert api.get(f"/v1/runs/{run}/debug").json() == {"run_id": run, "debug_mode": True}
    assert api.post(f"/v1/runs/{run}/debug").json() == {"status": "ok", "debug_mode": False}
    assert api.post(f"/v1/runs/{run}/debug", {"debug_mode": 1}).status_code == 400


def test_a_key_that_was_freed_makes_a_new_run(api):
    api.new_job()
    first = api.new_run(idempotency_key="k")["id"]
    assert api.post("/v1/jobs/parse/trigger", {"idempotency_key": "k"}).json()["id"] == first
    for _ in range(2):
        reset = api.delete(f"/v1/runs/{first}/idempotency-key")
        assert (reset.status_code, reset.json()) == (200, {"status": "reset", "run_id": first})
    assert api.new_run(idempotency_key="k")["id"] != first
    assert "idempotency_key" not in api.get(f"/v1/runs/{first}").json()


def test_paths_answer_with_a_slash_at_their_end_too(api):
    api.new_job()
    run = api.new_run()["id"]
    assert api.delete(f"/v1/runs/{run}/").status_code == 200
    assert api.get(f"/v1/runs/{run}/").json()["status"] == "canceled"


def test_a_dead_letter_of_a_deleted_job_stays_where_it_is(api) -> None:
    run_id = run_in(api, "dead_letter")
    assert api.delete("/v1/jobs/dead_letter").status_code == 204
    refused = api.post(f"/v1/runs/{run_id}/dlq-replay")
    assert (refused.status_code, "deleted" in refused.json()["message"]) == (400, True)
    assert api.get(f"/v1/runs/{run_id}").json()["status"] == "dead_letter"
