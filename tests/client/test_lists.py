"""Lists are walked to their end, however many pages they have."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from runcord.client import AsyncClient, Client, RunNotFinishedError

NOW = "2026-11-22T10:00:00Z"


def paged(run_json: dict[str, Any], pages: int) -> Callable[[httpx2.Request], httpx2.Response]:
    """Answer two runs a page, with cursors p1, p2 …"""

    def answer(request: httpx2.Request) -> httpx2.Response:
        number = int(request.url.params.get("cursor", "p0")[1:])
        runs = [{**run_json, "id": f"run_{number}{letter}"} for letter in "ab"]
        headers = {"X-Next-Cursor": f"p{number + 1}"} if number + 1 < pages else {}
        return httpx2.Response(200, json=runs, headers=headers)

    return answer


def test_all_pages_are_walked_with_the_same_filters(client: Client, server: Any, run_json: dict[str, Any]) -> None:
    server.answers.append(paged(run_json, 3))
    found = [run.id for run in client.runs.list(status="queued", payload_contains={"a": 1}, page_size=2)]
    assert found == ["run_0a", "run_0b", "run_1a", "run_1b", "run_2a", "run_2b"]
    assert [dict(request.url.params) for request in server.requests][1] == {
        "status": "queued",
        "payload_contains": '{"a":1}',
        "limit": "2",
        "cursor": "p1",
    }


def test_filters_of_several_parts_are_written_as_the_server_reads_them(client: Client, server: Any) -> None:
    server.answer([])
    found = client.runs.list(
        statuses=["failed", "crashed"], tags={"env": "prod", "": ""}, metadata={"a[b]": "c&d"}, payload_contains=[]
    )
    assert found.collect() == []
    assert dict(server.last.url.params) == {
        "statuses": "failed,crashed",
        "tags[env]": "prod",
        "tags[]": "",
        "metadata[a[b]]": "c&d",
        "payload_contains": "[]",
    }
    server.answer([])
    assert client.runs.list_dlq(tags={"env": "prod"}, payload_contains=0, job_id="job_1").collect() == []
    assert dict(server.last.url.params) == {"tags[env]": "prod", "payload_contains": "0", "job_id": "job_1"}


def test_lists_of_the_past_say_which_moment(client: Client, server: Any) -> None:
    server.answer([])
    assert client.runs.list(statuses=["queued"], position=7).collect() == []
    assert dict(server.last.url.params) == {"statuses": "queued", "position": "7"}
    server.answer([])
    assert client.runs.list_dlq(at=datetime(2026, 1, 31, 12, tzinfo=UTC)).collect() == []
    assert dict(server.last.url.params) == {"at": "2026-01-31T12:00:00+00:00"}


def test_a_list_can_be_left_and_taken_up_again(client: Client, server: Any, run_json: dict[str, Any]) -> None:
    server.answers.append(paged(run_json, 3))
    page = client.runs.list_dlq().first()
    assert [run.id for run in page.items] == ["run_0a", "run_0b"]
    rest = client.runs.list_dlq(cursor=page.next_cursor).collect()
    assert [run.id for run in rest] == ["run_1a", "run_1b", "run_2a", "run_2b"]
    assert server.last.url.path == "/v1/runs/dlq"


def test_pages_are_fetched_only_when_they_are_reached(client: Client, server: Any, run_json: dict[str, Any]) -> None:
    server.answers.append(paged(run_json, 3))
    runs = iter(client.runs.children("run_1"))
    assert server.requests == []
    next(runs), next(runs)
    assert len(server.requests) == 1
    next(runs)
    assert len(server.requests) == 2


def test_the_asynchronous_list_walks_too(
    new_async_client: Callable[[], AsyncClient], server: Any, run_json: dict[str, Any]
) -> None:
    server.answers.append(paged(run_json, 3))

    async def scenario() -> list[str]:
        async with new_async_client() as client:
            return [run.id async for run in client.runs.list()]

    assert len(asyncio.run(scenario())) == 6


def test_the_history_is_read_event_by_event(client: Client, server: Any) -> None:
    event = {"version": 1, "position": 9, "recorded_at": NOW, "actor": "apikey:k", "type": "run.triggered.v1"}
    server.answer([{**event, "data": {"payload": 1}}])
    [read] = client.runs.history("run_1")
    assert (read.version, read.position, read.type, read.data) == (1, 9, "run.triggered.v1", {"payload": 1})
    assert server.last.url.path == "/v1/runs/run_1/history"


@pytest.mark.parametrize("name", ["events", "checkpoints", "outputs", "usage", "tool_calls", "history", "children"])
def test_what_belongs_to_a_run_is_under_its_path(client: Client, server: Any, name: str) -> None:
    server.answer([])
    assert getattr(client.runs, name)("run_1").collect() == []
    assert server.last.url.path == f"/v1/runs/run_1/{name.replace('_', '-')}"


def test_state_is_read_as_a_dictionary(client: Client, server: Any) -> None:
    server.answer([{"run_id": "run_1", "state_key": "k", "value": [1], "updated_at": NOW}])
    assert client.runs.state("run_1") == {"k": [1]}


def test_waiting_ends_when_the_run_has_finished(client: Client, server: Any, run_json: dict[str, Any]) -> None:
    for status in ("queued", "paused", "executing", "dead_letter"):
        server.answer({**run_json, "status": status})
    assert client.runs.wait("run_1").status == "dead_letter"
    assert len(server.requests) == 4


def test_waiting_ends_when_the_time_is_over(
    client: Client, server: Any, run_json: dict[str, Any], monkeypatch: pytest.MonkeyPatch, waited: list[float]
) -> None:
    monkeypatch.setattr("runcord.clock.monotonic", lambda: sum(waited))
    server.answer(run_json)
    with pytest.raises(RunNotFinishedError, match="still queued after 5 s"):
        client.runs.wait("run_1", timeout=5)
    assert sum(waited) == pytest.approx(5)


def test_the_runs_of_a_job_are_listed(client: Client, server: Any) -> None:
    server.answer([])
    assert client.runs.list(job_id="job_1").collect() == []
    assert dict(server.last.url.params) == {"job_id": "job_1"}


def test_the_runs_of_a_job_are_counted(client: Client, server: Any) -> None:
    server.answer({"by_status": {"completed": 2, "dead_letter": 1, "queued": 4}, "total": 7})
    stats = client.runs.stats(job_id="job_1")
    assert str(server.last.url).endswith("/v1/runs/stats?job_id=job_1")
    assert (stats.finished, stats.total) == (3, 7)
