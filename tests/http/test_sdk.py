"""What a worker says about the one run it works on."""

from typing import Any

import pytest
from tests.http.conftest import Api, NewApi


def sdk(claim: dict[str, Any], call: str) -> str:
    return f"/sdk/v1/runs/{claim['run']['id']}/{call}"


@pytest.fixture
def claim(api: Api) -> dict[str, Any]:
    """A run that is worked on."""
    return api.working()


@pytest.fixture
def worker(api: Api, claim: dict[str, Any]) -> Api:
    """A client with that run's token."""
    return api.speaking_as(claim["run_token"])


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"code": 7}, {"code": 7}),
        ({"code": 7, "details": {"line": 3}}, {"code": 7, "line": 3}),
        ({"code": 7, "details": "late"}, {"code": 7, "details": "late"}),
    ],
)
def test_what_an_error_says_beyond_the_known_members_is_kept_as_its_details(
    api: Api, claim: dict[str, Any], said: dict[str, Any], kept: Any
) -> None:
    error = {"message": "no", "type": "Refused", "stack": "…", **said}
    failed = api.post(sdk(claim, "fail"), {"error": error, "retry_after_secs": 0})
    assert failed.status_code == 200, failed.text
    (second,) = api.take()
    assert second["previous_error"] == {"message": "no", "type": "Refused", "stack": "…", "details": kept}


# --- the life of an attempt ---------------------------------------------------------------------------


def test_a_run_goes_from_its_trigger_to_its_end(api: Api) -> None:
    job = api.new_job()
    run = api.new_run("parse", payload={"file": "a.py"})
    (claim,) = api.take(jobs=["parse"])
    assert claim["run"]["id"] == run["id"]
    assert claim["run"]["payload"] == {"file": "a.py"}
    worker = api.speaking_as(claim["run_token"])
    started = worker.post(sdk(claim, "start"))
    assert (started.status_code, started.json()["status"], started.json()["attempt"]) == (200, "executing", 1)
    ended = worker.post(sdk(claim, "complete"), {"result": {"lines": 3}})
    assert ended.status_code == 200
    assert ended.json()["status"] == "completed"
    assert ended.json()["result"] == {"lines": 3}
    assert ended.json()["job_id"] == job["id"]
    assert int(ended.headers["Runcord-Position"]) > int(started.headers["Runcord-Position"])


def test_starting_twice_begins_one_attempt(api: Api) -> None:
    job = api.new_job()
    api.new_run(job["id"])
    (claim,) = api.take()
    worker = api.speaking_as(claim["run_token"])
    first, second = worker.post(sdk(claim, "start")), worker.post(sdk(claim, "start"))
    assert second.status_code == 200
    assert second.json()["version"] == first.json()["version"]


def test_completing_takes_no_body_at_all(worker: Api, claim: dict[str, Any]) -> None:
    answer = worker.post(sdk(claim, "complete"), content=b"", headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["status"] == "completed"
    assert "result" not in answer.json()


def test_completing_again_answers_the_same_run(worker: Api, claim: dict[str, Any]) -> None:
    first = worker.post(sdk(claim, "complete"), {"result": 1})
    again = worker.post(sdk(claim, "complete"), {"result": 2})
    assert again.status_code == 200
    assert again.json() == first.json()


def test_a_result_larger_than_allowed_is_refused_and_the_run_goes_on(worker: Api, claim: dict[str, Any]) -> None:
    answer = worker.post(sdk(claim, "complete"), {"result": "x" * (1024 * 1024)})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert worker.post(sdk(claim, "heartbeat")).status_code == 200


def test_a_result_that_its_job_does_not_take_is_refused(api: Api) -> None:
    claim = api.working(result_schema={"type": "object", "required": ["lines"]})
    answer = api.post(sdk(claim, "complete"), {"result": {}})
    assert (answer.status_code, answer.json()["code"]) == (422, "result_invalid")
    assert "lines" in answer.json()["message"]
    assert api.post(sdk(claim, "complete"), {"result": {"lines": 1}}).json()["status"] == "completed"


def test_a_failure_is_retried_until_the_run_is_a_dead_letter(api: Api) -> None:
    claim = api.working(max_attempts=2, retry_strategy="fixed", retry_initial_delay_secs=0)
    failed = api.post(sdk(claim, "fail"), {"error": "no such file"})
    assert (failed.json()["status"], failed.json()["attempt"]) == ("queued", 2)
    (second,) = api.take(start=True)
    assert second["previous_error"] == {"message": "no such file"}
    dead = api.post(sdk(second, "fail"), {"error": {"type": "OSError", "message": "again", "stack": "…"}})
    assert dead.json()["status"] == "dead_letter"
    assert (dead.json()["error"], dead.json()["error_class"]) == ("again", "OSError")


def test_an_error_that_is_not_retryable_fails_the_run(worker: Api, claim: dict[str, Any]) -> None:
    answer = worker.post(sdk(claim, "fail"), {"error": "bad input", "retryable": False})
    assert answer.json()["status"] == "failed"


def test_a_retry_can_be_put_off(worker: Api, claim: dict[str, Any]) -> None:
    answer = worker.post(sdk(claim, "fail"), {"error": "busy", "retry_after_secs": 3600})
    assert answer.json()["next_retry_at"] > claim["lease_expires_at"]


def test_a_released_attempt_is_not_counted(worker: Api, claim: dict[str, Any], api: Api) -> None:
    answer = worker.post(sdk(claim, "release"), {"reason": "shutting down"})
    assert (answer.json()["status"], answer.json()["attempt"]) == ("queued", 1)
    assert api.take()[0]["run"]["attempt"] == 1


def test_an_attempt_waits_and_goes_on(worker: Api, claim: dict[str, Any]) -> None:
    waiting = worker.post(sdk(claim, "wait"), {"reason": "quota", "until": "2100-01-01T00:00:00+01:00"})
    assert waiting.json()["status"] == "waiting"
    assert waiting.json()["wait"]["until"] == "2099-12-31T23:00:00Z"
    assert worker.post(sdk(claim, "heartbeat")).json()["status"] == "ok"
    assert worker.post(sdk(claim, "resume")).json()["status"] == "executing"


# --- who may speak ------------------------------------------------------------------------------------


def test_an_attempt_that_is_over_is_told_so(api: Api, worker: Api, claim: dict[str, Any]) -> None:
    worker.post(sdk(claim, "fail"), {"error": "x", "retry_after_secs": 0})
    (second,) = api.take(start=True)
    answer = worker.post(sdk(claim, "complete"), {"result": "late"})
    assert (answer.status_code, answer.json()["code"]) == (409, "stale_attempt")
    assert api.speaking_as(second["run_token"]).post(sdk(second, "complete")).json()["attempt"] == 2


def test_a_claim_taken_over_is_told_so(api: Api, worker: Api, claim: dict[str, Any]) -> None:
    worker.post(sdk(claim, "release"))
    (second,) = api.take(start=True)
    assert second["run"]["attempt"] == claim["run"]["attempt"]
    assert worker.post(sdk(claim, "log"), {"message": "late"}).json()["code"] == "stale_attempt"
    assert worker.post(sdk(claim, "heartbeat")).json()["code"] == "stale_attempt"


def test_the_attempt_can_be_named_in_a_header(api: Api, claim: dict[str, Any]) -> None:
    stale = api.post(sdk(claim, "log"), {"message": "x"}, headers={"X-Runcord-Attempt": "2"})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_attempt")
    assert api.post(sdk(claim, "log"), {"message": "x"}, headers={"X-Runcord-Attempt": "1"}).status_code == 201
    assert api.post(sdk(claim, "log"), {"message": "x"}, headers={"X-Runcord-Attempt": "one"}).status_code == 400


def test_a_run_token_speaks_for_its_run_alone(api: Api, worker: Api) -> None:
    other = api.new_run("parse")
    answer = worker.post(f"/sdk/v1/runs/{other['id']}/log", {"message": "x"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert worker.get("/v1/jobs").status_code == 403


def test_a_run_token_that_was_changed_opens_nothing(api: Api, claim: dict[str, Any]) -> None:
    head, _, rest = claim["run_token"].rpartition(".")
    forged = api.speaking_as(f"{head}.{'A' * len(rest)}")
    assert forged.post(sdk(claim, "log"), {"message": "x"}).status_code == 401


def test_a_key_needs_the_scope_to_work(new_api: NewApi, claim: dict[str, Any]) -> None:
    answer = new_api(scopes=["runs:read", "runs:write"]).post(sdk(claim, "log"), {"message": "x"})
    assert (answer.status_code, answer.json()["message"]) == (403, "insufficient permissions: requires runs:work")


CALLS: list[tuple[str, str, Any]] = [
    ("POST", "start", {}),
    ("POST", "heartbeat", {}),
    ("POST", "complete", {}),
    ("POST", "fail", {"error": "x"}),
    ("POST", "release", {}),
    ("POST", "wait", {}),
    ("POST", "resume", {}),
    ("POST", "spawn", {"job_slug": "parse"}),
    ("POST", "continue", {}),
    ("POST", "wait-for-event", {"event_key": "k"}),
    ("POST", "checkpoint", {"state": 1}),
    ("POST", "progress", {"percent": 1}),
    ("POST", "log", {"message": "x"}),
    ("POST", "annotate", {"a": "b"}),
    ("POST", "tags", {"tags": {"a": "b"}}),
    ("POST", "usage", {"provider": "p", "model": "m"}),
    ("POST", "tool-call", {"tool_name": "t"}),
    ("POST", "output", {"output_key": "k", "value": 1}),
    ("POST", "state", {"key": "k", "value": 1}),
    ("GET", "state", None),
    ("GET", "state/k", None),
    ("DELETE", "state/k", None),
    ("GET", "payload", None),
]


@pytest.mark.parametrize(("method", "call", "body"), CALLS, ids=[f"{m} {c}" for m, c, _ in CALLS])
def test_a_run_of_another_project_is_not_there(
    new_api: NewApi, claim: dict[str, Any], method: str, call: str, body: Any
) -> None:
    stranger = new_api("proj_other")
    answer = stranger.request(method, sdk(claim, call), body)
    assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")
    unknown = stranger.request(method, f"/sdk/v1/runs/run_unknown/{call}", body)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "run_not_found")


# --- heartbeats ---------------------------------------------------------------------------------------


def test_a_heartbeat_moves_the_lease(worker: Api, claim: dict[str, Any]) -> None:
    short = worker.post(sdk(claim, "heartbeat"), {"lease_secs": 1}).json()
    long = worker.post(sdk(claim, "heartbeat"), {"lease_secs": 600}).json()
    assert short["lease_expires_at"] < claim["lease_expires_at"] < long["lease_expires_at"]
    assert (long["status"], long["cancel_requested"], long["pause_requested"]) == ("ok", False, False)


def test_a_heartbeat_is_no_event(api: Api, claim: dict[str, Any]) -> None:
    before = api.get(f"/v1/runs/{claim['run']['id']}").json()["version"]
    assert api.post(sdk(claim, "heartbeat")).status_code == 200
    assert api.get(f"/v1/runs/{claim['run']['id']}").json()["version"] == before


def test_a_heartbeat_hears_of_a_cancellation(api: Api, worker: Api, claim: dict[str, Any]) -> None:
    assert api.delete(f"/v1/runs/{claim['run']['id']}").status_code == 200
    answer = worker.post(sdk(claim, "heartbeat"))
    assert (answer.status_code, answer.json()["cancel_requested"]) == (200, True)


def test_a_heartbeat_hears_of_a_pause(api: Api, worker: Api, claim: dict[str, Any]) -> None:
    assert api.post(f"/v1/runs/{claim['run']['id']}/pause").status_code == 200
    answer = worker.post(sdk(claim, "heartbeat"), {"lease_secs": 30})
    assert (answer.status_code, answer.json()["pause_requested"]) == (200, True)


def test_a_heartbeat_after_the_end_is_stale(worker: Api, claim: dict[str, Any]) -> None:
    worker.post(sdk(claim, "complete"))
    answer = worker.post(sdk(claim, "heartbeat"), {"lease_secs": 30})
    assert (answer.status_code, answer.json()["code"]) == (409, "stale_attempt")


# --- facts --------------------------------------------------------------------------------------------


def test_a_checkpoint_is_handed_to_the_next_attempt(api: Api, worker: Api, claim: dict[str, Any]) -> None:
    worker.post(sdk(claim, "checkpoint"), {"state": {"line": 1}})
    saved = worker.post(sdk(claim, "checkpoint"), {"state": {"line": 2}, "source": "test"})
    assert saved.status_code == 201
    assert saved.json()["sequence"] == 2
    worker.post(sdk(claim, "release"))
    (second,) = api.take()
    assert second["checkpoint"] == saved.json()


def test_logs_and_progress_are_answered_as_events(worker: Api, claim: dict[str, Any]) -> None:
    logged = worker.post(sdk(claim, "log"), {"message": "reading", "level": "debug", "data": [1]})
    assert logged.status_code == 201
    assert logged.json()["type"] == "log"
    assert (logged.json()["level"], logged.json()["data"]) == ("debug", [1])
    progress = worker.post(sdk(claim, "progress"), {"percent": 50, "eta_secs": 3})
    assert progress.status_code == 201
    assert progress.json()["data"] == {"percent": 50, "eta_seconds": 3}
    assert progress.json()["id"] != logged.json()["id"]


def test_metadata_comes_wrapped_or_flat(worker: Api, claim: dict[str, Any]) -> None:
    assert worker.post(sdk(claim, "annotate"), {"annotations": {"a": "1"}}).json()["metadata"] == {"a": "1"}
    flat = worker.post(sdk(claim, "annotate"), {"annotations": "text", "b": "2"})
    assert flat.json()["metadata"] == {"a": "1", "annotations": "text", "b": "2"}


def test_tags_are_merged(worker: Api, claim: dict[str, Any]) -> None:
    worker.post(sdk(claim, "tags"), {"tags": {"a": "1", "b": "1"}})
    answer = worker.post(sdk(claim, "tags"), {"tags": {"b": "2"}})
    assert answer.json()["tags"] == {"a": "1", "b": "2"}


def test_usage_and_tool_calls_are_recorded(worker: Api, claim: dict[str, Any]) -> None:
    usage = worker.post(
        sdk(claim, "usage"), {"provider": "p", "model": "m", "prompt_tokens": 2, "completion_tokens": 3}
    )
    assert (usage.status_code, usage.json()["total_tokens"]) == (201, 5)
    call = worker.post(sdk(claim, "tool-call"), {"tool_name": "grep", "input": {"q": 1}, "duration_ms": 4})
    assert (call.status_code, call.json()["input"], call.json()["duration_ms"]) == (201, {"q": 1}, 4)


def test_an_output_is_held_against_the_schema_that_comes_with_it(worker: Api, claim: dict[str, Any]) -> None:
    good = worker.post(sdk(claim, "output"), {"key": "n", "value": 1, "schema": {"type": "integer"}})
    assert (good.status_code, good.json()["output_key"]) == (201, "n")
    bad = worker.post(sdk(claim, "output"), {"output_key": "n", "value": "x", "schema": {"type": "integer"}})
    assert (bad.status_code, bad.json()["code"]) == (400, "validation_failed")
    assert "n" in bad.json()["message"]
    useless = worker.post(sdk(claim, "output"), {"output_key": "n", "value": "x", "schema": {"type": "nonsense"}})
    assert useless.status_code == 400


def test_state_keys_are_set_read_and_removed(worker: Api, claim: dict[str, Any]) -> None:
    for key, value in (("b/c", 1), ("a", None), ("b/c", {"n": 2})):
        assert worker.post(sdk(claim, "state"), {"key": key, "value": value}).status_code == 201
    assert [entry["state_key"] for entry in worker.get(sdk(claim, "state")).json()] == ["a", "b/c"]
    assert worker.get(sdk(claim, "state/b/c")).json()["value"] == {"n": 2}
    assert worker.get(sdk(claim, "state/b%2Fc")).json()["value"] == {"n": 2}
    for _ in range(2):
        assert worker.delete(sdk(claim, "state/b/c")).status_code == 204
    gone = worker.get(sdk(claim, "state/b/c"))
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


def test_a_state_value_has_a_limit(worker: Api, claim: dict[str, Any]) -> None:
    answer = worker.post(sdk(claim, "state"), {"key": "k", "value": "x" * 65_536})
    assert answer.status_code == 400
    assert worker.get(sdk(claim, "state")).json() == []


@pytest.mark.parametrize("payload", [None, {"a": [1.5, "é"]}, 7])
def test_the_payload_is_answered_as_it_was_given(api: Api, payload: Any) -> None:
    api.new_job()
    run = api.new_run("parse", payload=payload)
    answer = api.get(f"/sdk/v1/runs/{run['id']}/payload")
    assert answer.status_code == 200
    assert answer.json() == payload


def test_answers_tell_what_an_sdk_may_use(worker: Api, claim: dict[str, Any]) -> None:
    old = worker.get(sdk(claim, "payload"))
    assert old.headers["X-SDK-Version-Accepted"] == "legacy"
    assert old.headers["X-SDK-Capabilities"] == "none"
    new = worker.get(sdk(claim, "payload"), headers={"X-SDK-Version": "2.3.1"})
    assert new.headers["X-SDK-Version-Accepted"] == "2.3.1"
    assert new.headers["X-SDK-Capabilities"] == "progress,checkpoint,usage"


# --- children, continuations, events ------------------------------------------------------------------


def test_a_child_is_made_and_waited_for(api: Api, worker: Api, claim: dict[str, Any]) -> None:
    api.new_job("child")
    body = {"job_slug": "child", "project_id": api.project_id, "payload": [1], "priority": 3, "await_completion": True}
    child = worker.post(sdk(claim, "spawn"), body)
    assert child.status_code == 201
    assert (child.json()["parent_run_id"], child.json()["triggered_by"]) == (claim["run"]["id"], "spawn")
    assert (child.json()["payload"], child.json()["priority"]) == ([1], 3)
    assert api.get(f"/v1/runs/{claim['run']['id']}").json()["status"] == "waiting"
    (taken,) = api.take(jobs=["child"], start=True)
    api.post(sdk(taken, "complete"), {"result": "done"})
    (again,) = api.take(jobs=["parse"])
    assert again["event"]["payload"] == {"run_id": child.json()["id"], "status": "completed", "result": "done"}


def test_a_child_of_an_unknown_job_or_a_foreign_project_is_refused(worker: Api, claim: dict[str, Any]) -> None:
    assert worker.post(sdk(claim, "spawn"), {"job_slug": "nobody"}).json()["code"] == "job_not_found"
    foreign = worker.post(sdk(claim, "spawn"), {"job_slug": "parse", "project_id": "proj_other"})
    assert foreign.status_code == 404
    assert worker.post(sdk(claim, "spawn"), {}).status_code == 400


def test_a_continuation_has_the_payload_unless_another_is_given(api: Api) -> None:
    job = api.new_job()
    api.new_run(job["id"], payload={"page": 1})
    (claim,) = api.take(start=True)
    same = api.post(sdk(claim, "continue"))
    assert same.status_code == 201
    assert (same.json()["payload"], same.json()["lineage_depth"]) == ({"page": 1}, 1)
    assert same.json()["continuation_of"] == claim["run"]["id"]
    nothing = api.post(sdk(claim, "continue"), {"payload": None})
    assert "payload" not in nothing.json()


def test_an_event_wakes_the_run_that_waits_for_it(api: Api, worker: Api, claim: dict[str, Any]) -> None:
    waiting = worker.post(sdk(claim, "wait-for-event"), {"event_key": "order/7 paid", "timeout_secs": 60})
    assert waiting.status_code == 200
    assert (waiting.json()["status"], waiting.json()["event_key"]) == ("waiting", "order/7 paid")
    sent = api.post("/v1/events/order/7 paid/send", {"payload": {"by": "card"}})
    assert sent.status_code == 200
    assert (sent.json()["status"], sent.json()["id"]) == ("received", waiting.json()["trigger_id"])
    assert sent.json()["job_run_id"] == claim["run"]["id"]
    (second,) = api.take(start=True)
    assert second["event"] == {"event_key": "order/7 paid", "payload": {"by": "card"}}
    # Whoever takes the run next is told too, until a checkpoint says that somebody took note.
    api.post(sdk(second, "release"))
    (third,) = api.take(start=True)
    assert third["event"] == second["event"]
    api.post(sdk(third, "checkpoint"), {"state": "paid"})
    api.post(sdk(third, "release"))
    assert "event" not in api.take()[0]


def test_an_event_sent_twice_is_heard_once(api: Api, worker: Api, claim: dict[str, Any]) -> None:
    worker.post(sdk(claim, "wait-for-event"), {"event_key": "k"})
    assert api.post("/v1/events/k/send", {"payload": 1}).status_code == 200
    assert api.post("/v1/events/k/send", {"payload": 1}).status_code == 200
    for payload in (2, True, 1.0, None):
        other = api.post("/v1/events/k/send", {"payload": payload})
        assert (other.status_code, other.json()["code"]) == (409, "conflict")


def test_an_event_that_nobody_waits_for_is_refused(
    api: Api, new_api: NewApi, worker: Api, claim: dict[str, Any]
) -> None:
    worker.post(sdk(claim, "wait-for-event"), {"event_key": "k"})
    assert api.post("/v1/events/other/send").json()["code"] == "event_not_found"
    assert new_api("proj_other").post("/v1/events/k/send").json()["code"] == "event_not_found"
    assert api.post("/v1/events/k/send", {"payloud": 1}).status_code == 400
    for scope, status in (("runs:read", 403), ("events:send", 200), ("runs:write", 200)):
        assert new_api(scopes=[scope]).post("/v1/events/k/send").status_code == status


def test_an_event_key_has_one_run_at_a_time(api: Api, worker: Api, claim: dict[str, Any]) -> None:
    worker.post(sdk(claim, "wait-for-event"), {"event_key": "k"})
    other = api.new_run("parse")
    (second,) = api.take(run_id=other["id"], start=True)
    answer = api.post(sdk(second, "wait-for-event"), {"event_key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (409, "event_key_in_use")


# --- refusals -----------------------------------------------------------------------------------------

BAD: list[tuple[str, Any]] = [
    ("start", {"attempt": 1}),
    ("heartbeat", {"lease_secs": 0}),
    ("heartbeat", {"lease_secs": 86_401}),
    ("complete", {"results": 1}),
    ("complete", []),
    ("fail", {}),
    ("fail", {"error": 7}),
    ("fail", {"error": "x", "retryable": "no"}),
    ("fail", {"error": "x", "retry_after_secs": -1}),
    ("release", {"delay_secs": 1e300}),
    ("wait", {"until": "2030-01-01T00:00:00"}),
    ("wait", {"until": 1893456000}),
    ("checkpoint", {}),
    ("progress", {"percent": 101}),
    ("progress", {"percent": "50"}),
    ("log", {"message": "a\x00b"}),
    ("log", {"message": "x", "level": ""}),
    ("annotate", {}),
    ("annotate", {"annotations": {}}),
    ("annotate", {"annotations": {"k": 1}}),
    ("annotate", {"k": "x" * 1025}),
    ("tags", {"tags": {"k" * 65: "v"}}),
    ("tags", {"tags": {str(n): "v" for n in range(21)}}),
    ("usage", {"provider": "p"}),
    ("usage", {"provider": "p", "model": "m", "prompt_tokens": -1}),
    ("usage", {"provider": "p", "model": "m", "prompt_tokens": 2**63}),
    ("tool-call", {"tool_name": "t", "duration_ms": 1.5}),
    ("output", {"value": 1}),
    ("output", {"output_key": "a", "key": "b", "value": 1}),
    ("output", {"output_key": "a"}),
    ("state", {"key": "k" * 257, "value": 1}),
    ("wait-for-event", {"event_key": "a\nb"}),
    ("wait-for-event", {"event_key": "k", "timeout_secs": 0}),
]


@pytest.mark.parametrize(("call", "body"), BAD, ids=[f"{n}-{call}" for n, (call, _) in enumerate(BAD)])
def test_bad_input_is_refused_and_changes_nothing(
    api: Api, worker: Api, claim: dict[str, Any], call: str, body: Any
) -> None:
    answer = worker.post(sdk(claim, call), body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"]
    assert api.get(f"/v1/runs/{claim['run']['id']}").json()["version"] == claim["run"]["version"]


def test_what_the_status_forbids_is_refused(api: Api, worker: Api, claim: dict[str, Any]) -> None:
    worker.post(sdk(claim, "complete"))
    answer = worker.post(sdk(claim, "checkpoint"), {"state": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")


def test_an_error_that_is_too_long_is_cut_and_recorded(api) -> None:
    run = api.working(max_attempts=1)["run"]
    text = "Traceback\n" + "x" * 70_000
    failed = api.post(f"/sdk/v1/runs/{run['id']}/fail", {"error": text})
    assert (failed.status_code, failed.json()["status"]) == (200, "dead_letter")
    error = api.get(f"/v1/runs/{run['id']}/history").json()[-1]["data"]["error"]
    assert (len(error["message"]), error["message"][-1]) == (10_000, "…")
    assert (len(error["stack"]), error["stack"][:9]) == (64 * 1024, "Traceback")
