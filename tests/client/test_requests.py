"""Every call sends what the specification says, and reads what the server answers."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from runcord.client import AsyncClient, Client, Run, UnexpectedAnswerError

NOW = "2026-11-22T10:00:00Z"
JOB = {
    "id": "job_1",
    "project_id": "p",
    "name": "n",
    "slug": "s",
    "version": 1,
    "created_at": NOW,
    "updated_at": NOW,
}
EVENT = {"id": "e", "run_id": "run_1", "type": "log", "message": "m", "created_at": NOW}
CHECKPOINT = {"id": "c", "run_id": "run_1", "sequence": 1, "state": {"n": 1}, "source": "sdk", "created_at": NOW}
STATE = {"run_id": "run_1", "state_key": "a/b", "value": 3, "updated_at": NOW}

RUN_CALLS = [
    (lambda c: c.runs.get("run_1"), "GET", "/v1/runs/run_1", None),
    (lambda c: c.runs.get("run_1", version=3), "GET", "/v1/runs/run_1?version=3", None),
    (lambda c: c.runs.cancel("run_1"), "DELETE", "/v1/runs/run_1", None),
    (lambda c: c.runs.replay("run_1"), "POST", "/v1/runs/run_1/replay", None),
    (lambda c: c.runs.replay("run_1", from_checkpoint=2), "POST", "/v1/runs/run_1/replay?from_checkpoint=2", None),
    (lambda c: c.runs.dlq_replay("run_1"), "POST", "/v1/runs/run_1/dlq-replay", {}),
    (lambda c: c.runs.pause("run_1"), "POST", "/v1/runs/run_1/pause", {}),
    (lambda c: c.runs.resume("run_1"), "POST", "/v1/runs/run_1/resume", {}),
    (
        lambda c: c.runs.restart("run_1", machine_preset="micro"),
        "POST",
        "/v1/runs/run_1/restart",
        {"machine_preset": "micro"},
    ),
    (
        lambda c: c.runs.reschedule("run_1", datetime(2027, 1, 1, tzinfo=UTC), payload=[1]),
        "POST",
        "/v1/runs/run_1/reschedule",
        {"scheduled_at": "2027-01-01T00:00:00+00:00", "payload": [1]},
    ),
]

ATTEMPT_CALLS = [
    (lambda a: a.start(), "start", {}, "run"),
    (lambda a: a.heartbeat(30), "heartbeat", {"lease_secs": 30}, {"status": "ok", "cancel_requested": True}),
    (lambda a: a.complete({"x": 1}), "complete", {"result": {"x": 1}}, "run"),
    (lambda a: a.complete(), "complete", {}, "run"),
    (
        lambda a: a.fail({"type": "E"}, retryable=False, retry_after_secs=2),
        "fail",
        {"error": {"type": "E"}, "retryable": False, "retry_after_secs": 2},
        "run",
    ),
    (lambda a: a.release("later", delay_secs=5), "release", {"reason": "later", "delay_secs": 5}, "run"),
    (lambda a: a.wait("for it"), "wait", {"reason": "for it"}, "run"),
    (lambda a: a.resume(), "resume", {}, "run"),
    (lambda a: a.log("hi", data=[1]), "log", {"message": "hi", "level": "info", "data": [1]}, EVENT),
    (lambda a: a.progress(50), "progress", {"percent": 50}, EVENT),
    (lambda a: a.annotate({"k": "v"}), "annotate", {"annotations": {"k": "v"}}, "run"),
    (lambda a: a.tag({"k": "v"}), "tags", {"tags": {"k": "v"}}, "run"),
    (lambda a: a.checkpoint(None), "checkpoint", {"state": None}, CHECKPOINT),
    (
        lambda a: a.usage("p", "m", prompt_tokens=3),
        "usage",
        {"provider": "p", "model": "m", "prompt_tokens": 3, "completion_tokens": 0},
        {"id": "u", "run_id": "run_1", "provider": "p", "model": "m", "created_at": NOW},
    ),
    (
        lambda a: a.tool_call("grep", input={"q": 1}, duration_ms=4),
        "tool-call",
        {"tool_name": "grep", "input": {"q": 1}, "duration_ms": 4},
        {"id": "t", "run_id": "run_1", "tool_name": "grep", "created_at": NOW},
    ),
    (
        lambda a: a.output("k", None),
        "output",
        {"output_key": "k", "value": None},
        {"id": "o", "run_id": "run_1", "output_key": "k", "value": None, "created_at": NOW},
    ),
    (lambda a: a.set_state("a/b", 3), "state", {"key": "a/b", "value": 3}, STATE),
    (
        lambda a: a.spawn("child", [1], project_id="p", priority=4),
        "spawn",
        {"job_slug": "child", "project_id": "p", "payload": [1], "priority": 4},
        "run",
    ),
    (lambda a: a.continue_run(), "continue", {}, "run"),
    (
        lambda a: a.wait_for_event("key", timeout_secs=9),
        "wait-for-event",
        {"event_key": "key", "timeout_secs": 9},
        {"status": "waiting", "event_key": "key", "expires_at": NOW},
    ),
]


@pytest.mark.parametrize(("call", "method", "target", "body"), RUN_CALLS)
def test_run_calls_send_what_the_specification_says(
    client: Client, server: Any, run_json: dict[str, Any], call: Any, method: str, target: str, body: Any
) -> None:
    server.answer(run_json)
    assert call(client) == Run.model_validate(run_json)
    assert (server.last.method, server.last.url.raw_path.decode()) == (method, target)
    assert server.last.headers["Authorization"] == "Bearer key"
    assert (json.loads(server.last.content) if server.last.content else None) == body


@pytest.mark.parametrize(("call", "verb", "body", "answer"), ATTEMPT_CALLS)
def test_attempt_calls_carry_the_run_token_and_the_attempt(
    client: Client, server: Any, run_json: dict[str, Any], call: Any, verb: str, body: Any, answer: Any
) -> None:
    expected = run_json if answer == "run" else answer
    server.answer(expected)
    read = call(client.worker.attempt("run_1", "token", number=2))
    assert read.model_dump(mode="json", exclude_unset=True) == expected
    assert (server.last.method, server.last.url.path) == ("POST", f"/sdk/v1/runs/run_1/{verb}")
    assert server.last.headers["Authorization"] == "Bearer token"
    assert server.last.headers["X-Runcord-Attempt"] == "2"
    assert server.last_body == body


def test_state_keys_with_slashes_stay_one_segment(client: Client, server: Any) -> None:
    server.answer(STATE)
    assert client.worker.attempt("run_1", "token").get_state("a/b c").value == 3
    assert server.last.url.raw_path == b"/sdk/v1/runs/run_1/state/a%2Fb%20c"


def test_deleting_state_takes_an_empty_answer(client: Client, server: Any) -> None:
    server.answers.append(httpx2.Response(204))
    client.worker.attempt("run_1").delete_state("k")
    assert (server.last.method, server.last.headers["Authorization"]) == ("DELETE", "Bearer key")


def test_a_payload_is_returned_as_it_is(client: Client, server: Any) -> None:
    server.answer([1, {"a": None}])
    assert client.worker.attempt("run_1", "t").payload() == [1, {"a": None}]


def test_a_trigger_sends_only_what_was_given(client: Client, server: Any, run_json: dict[str, Any]) -> None:
    server.answer({**run_json, "run_token": "t", "idempotency_hit": True, "payload_hash": "h"}, 201)
    run = client.jobs.trigger(
        "my job",
        {"when": datetime(2026, 1, 1, tzinfo=UTC)},
        idempotency_key="k",
        tags={"a": "b"},
        ttl_secs=9,
        max_attempts_override=2,
        retry_backoff="linear",
    )
    assert (run.run_token, run.idempotency_hit, run.payload_hash) == ("t", True, "h")
    assert server.last.url.raw_path == b"/v1/jobs/my%20job/trigger"
    assert server.last_body == {
        "payload": {"when": "2026-01-01T00:00:00+00:00"},
        "idempotency_key": "k",
        "tags": {"a": "b"},
        "ttl_secs": 9,
        "max_attempts_override": 2,
        "retry_backoff": "linear",
    }


@pytest.mark.parametrize("delay", [90, timedelta(seconds=90)])
def test_a_delay_is_left_to_the_ledgers_clock(
    client: Client, server: Any, run_json: dict[str, Any], delay: Any
) -> None:
    server.answer(run_json)
    client.jobs.trigger("j", delay=delay)
    assert server.last_body == {"delay_secs": 90}


def test_a_delay_and_a_time_together_are_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="either delay or scheduled_at"):
        client.jobs.trigger("j", delay=1, scheduled_at=datetime(2027, 1, 1, tzinfo=UTC))


def test_many_are_triggered_in_one_call(client: Client, server: Any) -> None:
    results = [{"id": "run_1", "status": "queued"}, {"id": "run_2", "status": "queued", "idempotency_hit": True}]
    server.answer({"batch_id": "b", "results": results, "total": 2, "created": 1}, 201)
    batch = client.jobs.trigger_many("j", [{"payload": 1}, {"payload": None, "idempotency_key": "k"}])
    assert [item.idempotency_hit for item in batch.results] == [False, True]
    assert server.last_body == {"items": [{"payload": 1}, {"payload": None, "idempotency_key": "k"}]}


def test_jobs_are_created_updated_and_deleted(client: Client, server: Any) -> None:
    server.answer(JOB)
    assert client.jobs.create("s", max_attempts=5).slug == "s"
    assert server.last_body == {"name": "s", "slug": "s", "max_attempts": 5}
    client.jobs.update("s", timeout_secs=7)
    assert (server.last.method, server.last_body) == ("PATCH", {"timeout_secs": 7})
    client.jobs.delete("s")
    assert (server.last.method, server.last.url.path) == ("DELETE", "/v1/jobs/s")


DEPENDENCY = {
    "id": "dep_1",
    "job_id": "job_1",
    "depends_on_job_id": "job_2",
    "condition": "completed",
    "created_at": NOW,
}
ENDINGS = ("completed", "failed", "dead_letter", "timed_out", "crashed", "system_failed", "canceled", "expired")
HEALTH = {
    "job_id": "job_1",
    "window": "1h",
    "since": NOW,
    **{f"{name}_runs": 1 for name in ("total", *ENDINGS)},
    **dict.fromkeys(("success_rate", "avg_duration_secs", "p95_duration_secs", "health_score"), 0.5),
}


def test_jobs_are_copied_switched_and_looked_after(client: Client, server: Any) -> None:
    server.answer(JOB)
    client.jobs.clone("s", "copy")
    assert (server.last.url.path, server.last_body) == ("/v1/jobs/s/clone", {"name": "copy", "slug": "copy"})
    server.answers = []
    server.answer(HEALTH)
    assert client.jobs.health("s", "1h").p95_duration_secs == 0.5
    assert str(server.last.url).endswith("/v1/jobs/s/health?window=1h")
    server.answers = []
    server.answer({"updated": 1, "not_found": ["nobody"]})
    assert client.jobs.enable("s", "nobody").not_found == ["nobody"]
    assert (server.last.url.path, server.last_body) == ("/v1/jobs/batch-enable", {"ids": ["s", "nobody"]})
    assert client.jobs.disable("s").updated == 1
    assert (server.last.url.path, server.last_body) == ("/v1/jobs/batch-disable", {"ids": ["s"]})


def test_dependencies_are_made_listed_ended_and_read_for_a_run(client: Client, server: Any) -> None:
    server.answer(DEPENDENCY)
    assert client.jobs.depend("s", "import", "any").id == "dep_1"
    assert server.last.url.path == "/v1/jobs/s/dependencies"
    assert server.last_body == {"depends_on_job_id": "import", "condition": "any"}
    client.jobs.end_dependency("s", "dep_1")
    assert (server.last.method, server.last.url.path) == ("DELETE", "/v1/jobs/s/dependencies/dep_1")
    server.answers = []
    server.answer([DEPENDENCY])
    assert [one.depends_on_job_id for one in client.jobs.dependencies("s")] == ["job_2"]
    server.answers = []
    stands = {**DEPENDENCY, "satisfied": True, "upstream_run_id": "run_2", "upstream_status": "completed"}
    members = {"run_id": "run_1", "job_id": "job_1", "status": "queued", "dependencies_satisfied": True}
    server.answer({**members, "dependencies": [stands]})
    status = client.runs.dependencies("run_1")
    assert status.dependencies_satisfied and status.dependencies[0].upstream_run_id == "run_2"


def test_claims_are_read_with_what_an_earlier_attempt_left(
    client: Client, server: Any, run_json: dict[str, Any]
) -> None:
    claim = {"run": run_json, "run_token": "t", "lease_expires_at": NOW, "checkpoint": CHECKPOINT}
    server.answer({"data": [{**claim, "previous_error": {"type": "E"}}]})
    [read] = client.worker.dequeue("w", jobs=["s"], limit=3, wait_secs=20, start=True)
    assert read.checkpoint is not None and read.checkpoint.state == {"n": 1}
    assert read.previous_error == {"type": "E"}
    assert server.last_body == {
        "worker_id": "w",
        "jobs": ["s"],
        "limit": 3,
        "wait_secs": 20,
        "lease_secs": 60,
        "start": True,
    }
    assert server.last.extensions["timeout"]["read"] == 50  # the answer may take the poll and the usual time


def test_settlements_are_answered_each_on_its_own(client: Client, server: Any) -> None:
    server.answer(
        {
            "results": [
                {"run_id": "run_1", "status": "completed"},
                {"run_id": "x", "status": "error", "error": "no"},
            ]
        }
    )
    results = client.worker.settle([{"run_id": "run_1", "attempt": 1, "status": "completed", "result": 5}])
    assert [result.error for result in results] == [None, "no"]
    assert server.last_body == {"settlements": [{"run_id": "run_1", "attempt": 1, "status": "completed", "result": 5}]}


def test_an_event_is_sent(client: Client, server: Any) -> None:
    server.answer({"id": "trigger_1", "event_key": "a/b", "status": "received", "job_run_id": "run_1"})
    client.events.send("a/b", {"ok": True})
    assert server.last.url.raw_path == b"/v1/events/a%2Fb/send"
    assert server.last_body == {"payload": {"ok": True}}


def test_members_of_newer_servers_are_kept(client: Client, server: Any, run_json: dict[str, Any]) -> None:
    server.answer({**run_json, "invented_later": 7})
    assert client.runs.get("run_1").model_extra == {"invented_later": 7}


@pytest.mark.parametrize("body", [{"id": "run_1"}, [], "hello", None])
def test_an_answer_of_another_shape_is_an_error(client: Client, server: Any, body: object) -> None:
    server.answer(body)
    with pytest.raises(UnexpectedAnswerError, match="GET /v1/runs/run_1"):
        client.runs.get("run_1")


def test_values_that_json_cannot_carry_are_refused_before_anything_is_sent(client: Client, server: Any) -> None:
    with pytest.raises(TypeError):
        client.jobs.trigger("j", {"x": object()})
    assert server.requests == []


def test_the_asynchronous_client_sends_the_same(
    new_async_client: Callable[[], AsyncClient], client: Client, server: Any, run_json: dict[str, Any]
) -> None:
    server.answer(run_json)

    async def scenario() -> Run:
        async with new_async_client() as asynchronous:
            return await asynchronous.jobs.trigger("j", [1], priority=3)

    assert asyncio.run(scenario()) == client.jobs.trigger("j", [1], priority=3)
    first, second = server.requests
    assert (first.method, first.url, first.content) == (second.method, second.url, second.content)
