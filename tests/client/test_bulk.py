"""Calls about many runs: what is sent for each way of saying which, and how an operation is waited for."""

from typing import Any

import httpx2
import pytest

from runcord.client import BulkNotFinishedError, Client

NOW = "2026-11-22T10:00:00Z"
OPERATION = {"id": "bulk_1", "action": "cancel", "status": "running", "created_at": NOW, "updated_at": NOW, "done": 1}
CANCELED = {"results": [{"id": "run_1", "status": "canceled"}], "total": 1, "canceled": 1, "failed": 0}
REPLAYED = {"results": [{"original_run_id": "run_1", "status": "skipped", "error": "no"}], "total": 1, "replayed": 0}
TARGETS = {"dry_run": True, "action": "cancel", "total": 2, "run_ids": ["run_1", "run_2"]}

CALLS = [
    (lambda b: b.cancel(["run_1"], reason="why"), "bulk-cancel", {"run_ids": ["run_1"], "reason": "why"}, CANCELED),
    (lambda b: b.cancel(batch_id="b"), "bulk-cancel", {"filter": {"batch_id": "b"}}, CANCELED),
    (lambda b: b.replay(["run_1"]), "bulk-replay?envelope=true", {"run_ids": ["run_1"]}, REPLAYED),
    (
        lambda b: b.replay(job_id="j", status="failed"),
        "bulk-replay?envelope=true",
        {"filter": {"job_id": "j", "status": "failed"}},
        REPLAYED,
    ),
    (
        lambda b: b.count("cancel", triggered_by="cron"),
        "bulk-cancel",
        {"filter": {"triggered_by": "cron"}, "dry_run": True},
        TARGETS,
    ),
    (
        lambda b: b.count("dlq_replay", limit=9),
        "bulk-dlq-replay",
        {"status": "dead_letter", "limit": 9, "dry_run": True},
        TARGETS,
    ),
]


@pytest.mark.parametrize(("call", "target", "body", "answer"), CALLS)
def test_a_call_says_which_runs_it_means(
    client: Client, server: Any, call: Any, target: str, body: Any, answer: Any
) -> None:
    server.answer(answer)
    assert call(client.bulk).model_dump(exclude_unset=True) == answer
    assert (server.last.method, server.last.url.raw_path.decode()) == ("POST", f"/v1/runs/{target}")
    assert server.last_body == body


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (lambda b: b.dlq_replay(["run_1"]), {"run_ids": ["run_1"]}),
        (lambda b: b.dlq_replay(limit=3), {"status": "dead_letter", "limit": 3}),
        (lambda b: b.dlq_replay(job_id="j"), {"status": "dead_letter", "job_id": "j"}),
    ],
)
def test_dead_letters_come_back_as_runs(client: Client, server: Any, run_json: Any, call: Any, body: Any) -> None:
    server.answer({"replayed": [run_json], "count": 1})
    assert [run.id for run in call(client.bulk)] == ["run_1"]
    assert server.last.url.path == "/v1/runs/bulk-dlq-replay"
    assert server.last_body == body


@pytest.mark.parametrize("action", ["cancel", "replay"])
def test_a_call_that_does_not_say_which_runs_is_not_sent(client: Client, server: Any, action: Any) -> None:
    for wrong in (
        lambda: client.bulk.start(action),
        lambda: client.bulk.start(action, ["run_1"], job_id="j"),
        lambda: client.bulk.start("dlq_replay", ["run_1"], job_id="j"),
    ):
        with pytest.raises(ValueError, match="either run_ids or"):
            wrong()
    assert server.requests == []


def test_an_operation_is_begun_once_also_when_its_answer_is_lost(client: Client, server: Any) -> None:
    server.fail(httpx2.ReadTimeout)
    server.answer({"request_id": "bulk_1"}, 202)
    assert client.bulk.start("cancel", job_id="j", reason="why") == "bulk_1"
    assert server.last_body == {"filter": {"job_id": "j"}, "reason": "why", "async": True}
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert len(keys) == 2 and len(set(keys)) == 1
    client.bulk.start("cancel", job_id="j")
    assert server.last.headers["Idempotency-Key"] != keys[0]
    client.bulk.start("cancel", job_id="j", idempotency_key="mine")
    assert server.last.headers["Idempotency-Key"] == "mine"


def test_an_operation_is_read_listed_and_stopped(client: Client, server: Any) -> None:
    server.answer(OPERATION)
    assert (client.bulk.get("bulk_1").done, server.last.url.path) == (1, "/v1/bulk-operations/bulk_1")
    assert client.bulk.stop("bulk_1").status == "running"
    assert (server.last.method, server.last.url.path) == ("POST", "/v1/bulk-operations/bulk_1/cancel")
    server.answers.clear()
    server.answer([OPERATION])
    assert [operation.id for operation in client.bulk.list()] == ["bulk_1"]
    server.answers.clear()
    server.answer([{"run_id": "run_1", "result": "skipped", "code": "illegal_transition"}])
    (outcome,) = client.bulk.results("bulk_1", page_size=5)
    assert (outcome.result, server.last.url.raw_path) == ("skipped", b"/v1/bulk-operations/bulk_1/results?limit=5")


def test_waiting_ends_when_the_operation_has(client: Client, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda secs: None)
    for status in ("pending", "running", "canceled"):
        server.answer({**OPERATION, "status": status})
    assert client.bulk.wait("bulk_1").status == "canceled"
    assert len(server.requests) == 3


def test_waiting_ends_when_its_time_is_over(client: Client, server: Any) -> None:
    server.answer(OPERATION)
    with pytest.raises(BulkNotFinishedError, match="still running after 0 s"):
        client.bulk.wait("bulk_1", timeout=0)
