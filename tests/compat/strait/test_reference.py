"""The 28 operations about runs of Strait's API reference: described, served, and answered as the reference says."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runcord.http.openapi import document

from .conftest import RunScenario
from .reference import Reference, operations
from .world import Work, World

RUNS = [operation for operation in operations() if operation.path.startswith("/v1/runs")]

FUTURE = "2199-01-01T00:00:00Z"


def named(operation: Reference) -> str:
    return operation.name


def described(operation: Reference) -> dict[str, Any] | None:
    """Return what our own document says about an operation, whatever it calls the parameters of its path."""
    for path, members in document()["paths"].items():
        ours = Reference(operation.method, path, 0, (), "", None)
        if ours.shape == operation.shape and operation.method.lower() in members:
            return members[operation.method.lower()]
    return None


def test_the_reference_has_28_operations_about_runs():
    assert len(RUNS) == 28


@pytest.mark.parametrize("operation", RUNS, ids=named)
def test_the_operation_is_described_with_its_parameters_and_its_success(operation: Reference):
    found = described(operation)
    assert found is not None, "it is not served"
    query = {parameter["name"] for parameter in found.get("parameters", ()) if parameter["in"] == "query"}
    assert query >= set(operation.query)
    success = found["responses"][str(operation.status)]
    assert operation.media in success["content"]
    required = [p["name"] for p in found.get("parameters", ()) if p["in"] == "query" and p.get("required")]
    assert not required, "the credential says which project"


# --- one real answer of each --------------------------------------------------------------------------


async def get(w: World, path: str, **query: str) -> Any:
    return await w.request("GET", path, query=query or None)


async def eventful(w: World) -> Work:
    """Return a worker whose run has something of everything on record."""
    work = await w.working({"n": 1}, slug="eventful")
    await work.say("log_run", {"message": "hello", "level": "warn"})
    await work.say("checkpoint_run", {"state": {"step": 1}})
    await work.say("usage_run", {"provider": "openai", "model": "gpt", "cost_microusd": 3})
    await work.say("tool_call_run", {"tool_name": "search", "input": {"q": 1}, "duration_ms": 3, "status": "ok"})
    await work.say("output_run", {"output_key": "answer", "value": {"n": 42}})
    await work.say("set_state", {"key": "cursor", "value": 1})
    await work.say("spawn_run", {"job_slug": "eventful", "project_id": w.project_id})
    await work.say("continue_run")
    return work


def listed(path: str) -> Callable[[World], Awaitable[Any]]:
    """Return a scenario that reads a list of a run, which must not be empty, in both of its forms."""

    async def scenario(w: World) -> Any:
        whole = f"/v1/runs/{(await eventful(w)).run_id}/{path}"
        rows = await get(w, whole)
        assert rows, "nothing was held against the reference"
        page = await get(w, whole, limit="1", envelope="true")
        assert page["data"] == rows[:1] and page["has_more"] == (len(rows) > 1)
        return rows

    return scenario


def streamed(path: str) -> Callable[[World], Awaitable[Any]]:
    """Return a scenario that follows a stream of a run to its end."""

    async def scenario(w: World) -> Any:
        work = await w.working()
        await work.say("stream_run", {"chunk": "hello"})
        await work.say("complete_run", {})
        frames = [frame async for frame in w.stream(f"/v1/runs/{work.run_id}/{path}")]
        assert frames
        return frames

    return scenario


async def listed_by_every_parameter(w: World) -> Any:
    await w.new_job()
    batch = await w.call("jobs.bulk_trigger", "work", {"items": [{"payload": {"a": [1, {"b": 2}]}}]})
    run = await w.new_run(metadata={"by": "me"}, payload={"a": 1})
    assert [row["id"] for row in await get(w, "/v1/runs", metadata_key="by", metadata_value="me")] == [run["id"]]
    rows = await get(
        w,
        "/v1/runs",
        project_id=w.project_id,
        status="queued",
        triggered_by="manual",
        batch_id=batch["batch_id"],
        payload_contains='{"a":[{"b":2}]}',
        limit="10",
        cursor=FUTURE,
    )
    assert [row["id"] for row in rows] == [batch["results"][0]["id"]]
    return rows


async def dead_letters(w: World) -> Any:
    await w.dead_letter()
    rows = await get(w, "/v1/runs/dlq", project_id=w.project_id)
    assert len(rows) == 1
    return rows


async def of_a_new_run(w: World, method: str, path: str, body: Any = None) -> Any:
    await w.new_job()
    run = await w.new_run(payload={"n": 1}, idempotency_key="once")
    return await w.request(method, f"/v1/runs/{run['id']}{path}", body)


async def of_a_paused_run(w: World, path: str, body: Any = None) -> Any:
    work = await w.working()
    await w.request("POST", f"/v1/runs/{work.run_id}/pause")
    return await w.request("POST", f"/v1/runs/{work.run_id}{path}", body)


async def restarted(w: World) -> Any:
    run = await of_a_paused_run(w, "/restart", {"machine_preset": "small-1x"})
    assert (run["status"], run["machine_preset"]) == ("queued", "small-1x")
    return run


async def paused(w: World) -> Any:
    work = await w.working()
    first = await w.request("POST", f"/v1/runs/{work.run_id}/pause")
    again = await w.request("POST", f"/v1/runs/{work.run_id}/pause")
    assert (first["status"], again["status"]) == ("paused", "paused")
    return again


async def replayed_from_a_checkpoint(w: World) -> Any:
    work = await w.working({"n": 1})
    await work.say("checkpoint_run", {"state": {"n": 2}})
    await work.say("fail_run", {"error": "no", "retryable": False})
    run = await w.request("POST", f"/v1/runs/{work.run_id}/replay", query={"from_checkpoint": "1"})
    assert (run["payload"], run["debug_mode"]) == ({"n": 2}, True)
    return run


async def depending(w: World) -> Any:
    upstream, downstream = await w.new_job("upstream"), await w.new_job("downstream")
    await w.call("jobs.create_dependency", downstream["id"], {"depends_on_job_id": upstream["id"]})
    run = await w.new_run("downstream")
    found = await get(w, f"/v1/runs/{run['id']}/dependency-status")
    assert len(found["dependencies"]) == 1
    return found


async def bundled(w: World) -> Any:
    bundle = await get(w, f"/v1/runs/{(await eventful(w)).run_id}/debug-bundle")
    assert all(bundle.values())
    return bundle


async def replayed_in_bulk(w: World) -> Any:
    return await w.request("POST", "/v1/runs/bulk-replay", {"run_ids": [await w.dead_letter()]})


async def replayed_from_the_queue_in_bulk(w: World) -> Any:
    await w.dead_letter()
    return await w.request("POST", "/v1/runs/bulk-dlq-replay", {"project_id": w.project_id, "limit": 5})


async def canceled_in_bulk(w: World) -> Any:
    await w.new_job()
    return await w.request("POST", "/v1/runs/bulk-cancel", {"run_ids": [(await w.new_run())["id"], "run_of_nobody"]})


async def canceled_by_filter(w: World) -> Any:
    await w.new_job()
    await w.new_run()
    body = {"triggered_by": "manual", "status": "queued"}
    return await w.request("POST", "/v1/runs/bulk-cancel-all", body, query={"project_id": w.project_id})


async def dlq_replayed(w: World) -> Any:
    return await w.request("POST", f"/v1/runs/{await w.dead_letter()}/dlq-replay")


async def state_keys(w: World) -> Any:
    rows = await get(w, f"/v1/runs/{(await eventful(w)).run_id}/state")
    assert [set(row) for row in rows] == [{"run_id", "state_key", "value", "updated_at"}]
    return rows


ANSWERS: dict[str, Callable[[World], Awaitable[Any]]] = {
    "GET /v1/runs": listed_by_every_parameter,
    "GET /v1/runs/dlq": dead_letters,
    "POST /v1/runs/bulk-cancel": canceled_in_bulk,
    "GET /v1/runs/{runID}": lambda w: of_a_new_run(w, "GET", ""),
    "DELETE /v1/runs/{runID}": lambda w: of_a_new_run(w, "DELETE", ""),
    "POST /v1/runs/{runID}/replay": replayed_from_a_checkpoint,
    "POST /v1/runs/{runID}/dlq-replay": dlq_replayed,
    "POST /v1/runs/bulk-dlq-replay": replayed_from_the_queue_in_bulk,
    "POST /v1/runs/bulk-cancel-all": canceled_by_filter,
    "POST /v1/runs/bulk-replay": replayed_in_bulk,
    "GET /v1/runs/{runID}/stream": streamed("stream"),
    "GET /v1/runs/{runID}/children": listed("children"),
    "GET /v1/runs/{runID}/events": listed("events"),
    "GET /v1/runs/{runID}/checkpoints": listed("checkpoints"),
    "GET /v1/runs/{runID}/usage": listed("usage"),
    "GET /v1/runs/{runID}/tool-calls": listed("tool-calls"),
    "GET /v1/runs/{runID}/outputs": listed("outputs"),
    "GET /v1/runs/{runID}/debug-bundle": bundled,
    "POST /v1/runs/{runID}/debug": lambda w: of_a_new_run(w, "POST", "/debug", {"debug_mode": True}),
    "GET /v1/runs/{runID}/lineage": listed("lineage"),
    "GET /v1/runs/{runID}/dependency-status": depending,
    "DELETE /v1/runs/{runID}/idempotency-key": lambda w: of_a_new_run(w, "DELETE", "/idempotency-key"),
    "POST /v1/runs/{runID}/reschedule": lambda w: of_a_new_run(w, "POST", "/reschedule", {"scheduled_at": FUTURE}),
    "POST /v1/runs/{runID}/pause": paused,
    "POST /v1/runs/{runID}/resume": lambda w: of_a_paused_run(w, "/resume"),
    "POST /v1/runs/{runID}/restart": restarted,
    "GET /v1/runs/{runID}/stream/chunks": streamed("stream/chunks"),
    "GET /v1/runs/{runID}/state": state_keys,
}


@pytest.mark.parametrize("operation", RUNS, ids=named)
def test_a_real_answer_is_what_the_reference_says(play: RunScenario, operation: Reference):
    async def scenario(w: World) -> None:
        # The world holds it against the schemas of the reference.
        assert await ANSWERS[operation.name](w)

    play("sync", scenario)


def test_there_is_an_answer_of_every_operation():
    assert set(ANSWERS) == {operation.name for operation in RUNS}
