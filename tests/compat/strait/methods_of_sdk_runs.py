"""`client.sdk_runs`: what a worker says about its run, with the run's token."""

import pytest
from strait import NotFoundError

from .table import drives
from .world import World


@drives("sdk_runs.annotate_run")
async def annotations_become_metadata(w: World) -> None:
    work = await w.working()
    assert (await work.say("annotate_run", {"annotations": {"a": "1"}}))["metadata"] == {"a": "1"}
    assert (await work.say("annotate_run", {"b": "2"}))["metadata"] == {"a": "1", "b": "2"}


@drives("sdk_runs.checkpoint_run")
async def checkpoints_are_numbered(w: World) -> None:
    work = await w.working()
    first = await work.say("checkpoint_run", {"state": {"step": 1}, "source": "sdk"})
    second = await work.say("checkpoint_run", {"state": {"step": 2}})
    assert [(row["sequence"], row["source"], row["state"]["step"]) for row in (first, second)] == [
        (1, "sdk", 1),
        (2, "sdk", 2),
    ]


@drives("sdk_runs.complete_run")
async def complete_ends_the_run_and_may_be_said_twice(w: World) -> None:
    work = await w.working()
    run = await work.say("complete_run", {"result": {"rows": 3}})
    assert (run["status"], run["result"]) == ("completed", {"rows": 3})
    assert await work.say("complete_run", {"result": {"rows": 3}}) == run
    empty = await w.new_run()
    claim = await w.take(empty["id"], start=True)
    # What the client sends for None is a request without a body.
    done = await w.call("sdk_runs.complete_run", empty["id"], None, token=claim["run_token"])
    assert done["status"] == "completed" and "result" not in done


@drives("sdk_runs.continue_run")
async def continue_makes_the_next_run_of_the_chain(w: World) -> None:
    work = await w.working({"n": 1})
    same = await work.say("continue_run")
    other = await work.say("continue_run", {"payload": {"n": 2}})
    assert [run["payload"] for run in (same, other)] == [{"n": 1}, {"n": 2}]
    assert {(run["continuation_of"], run["lineage_depth"]) for run in (same, other)} == {(work.run_id, 1)}


@drives("sdk_runs.fail_run")
async def fail_retries_while_attempts_are_left(w: World) -> None:
    work = await w.working(max_attempts=2, retry_strategy="fixed", retry_initial_delay_secs=0)
    run = await work.say("fail_run", {"error": "no luck"})
    assert (run["status"], run["attempt"], run["error"]) == ("queued", 2, "no luck")
    claim = await w.take(work.run_id, start=True)
    last = await w.call("sdk_runs.fail_run", work.run_id, {"error": "again"}, token=claim["run_token"])
    assert (last["status"], last["error"]) == ("dead_letter", "again")


@drives("sdk_runs.heartbeat_run")
async def a_heartbeat_moves_the_lease(w: World) -> None:
    work = await w.working()
    beat = await work.say("heartbeat_run")
    assert (beat["status"], beat["cancel_requested"], beat["pause_requested"]) == ("ok", False, False)
    assert (await work.say("heartbeat_run"))["lease_expires_at"] > beat["lease_expires_at"]


@drives("sdk_runs.log_run")
async def a_log_line_is_an_event(w: World) -> None:
    work = await w.working()
    line = await work.say("log_run", {"message": "hello", "level": "warn", "type": "custom", "data": [1]})
    assert (line["message"], line["level"], line["type"], line["data"]) == ("hello", "warn", "custom", [1])
    plain = await work.say("log_run", {"message": "hello"})
    assert (plain["level"], plain["type"], "data" in plain) == ("info", "log", False)


@drives("sdk_runs.output_run")
async def an_output_goes_by_either_name_of_its_key(w: World) -> None:
    work = await w.working()
    schema = {"type": "integer"}
    first = await work.say("output_run", {"key": "answer", "value": 42, "schema": schema})
    assert (first["output_key"], first["value"], first["schema"]) == ("answer", 42, schema)
    second = await work.say("output_run", {"output_key": "answer", "value": 43})
    assert second["value"] == 43


@drives("sdk_runs.progress_run")
async def progress_needs_no_message(w: World) -> None:
    work = await w.working()
    event = await work.say("progress_run", {"percent": 50})
    assert (event["type"], event["data"]["percent"]) == ("progress", 50)
    told = await work.say("progress_run", {"percent": 60.5, "message": "on", "step": "two", "eta_secs": 3})
    assert (told["message"], told["data"]) == ("on", {"percent": 60.5, "step": "two", "eta_seconds": 3})


@drives("sdk_runs.spawn_run")
async def spawn_makes_a_child(w: World) -> None:
    work = await w.working()
    body = {"job_slug": "work", "project_id": w.project_id, "payload": {"n": 2}, "priority": 7}
    child = await work.say("spawn_run", body)
    assert (child["parent_run_id"], child["payload"], child["priority"]) == (work.run_id, {"n": 2}, 7)
    by_id = await work.say("spawn_run", {"job_id": child["job_id"]})
    assert by_id["job_id"] == child["job_id"]
    assert (await w.call("runs.get", work.run_id))["status"] == "executing"


@drives("sdk_runs.tool_call_run")
async def a_tool_call_is_kept(w: World) -> None:
    work = await w.working()
    body = {"tool_name": "search", "input": {"q": "x"}, "output": ["y"], "duration_ms": 12, "status": "ok"}
    call = await work.say("tool_call_run", body)
    assert {name: call[name] for name in body} == body


@drives("sdk_runs.usage_run")
async def usage_is_added_up(w: World) -> None:
    work = await w.working()
    body = {"provider": "openai", "model": "gpt", "prompt_tokens": 3, "completion_tokens": 4, "cost_microusd": 5}
    used = await work.say("usage_run", body)
    assert {name: used[name] for name in body} == body
    assert used["total_tokens"] == 7


@drives("sdk_runs.wait_for_event_run")
async def a_run_waits_for_an_event_and_is_queued_by_it(w: World) -> None:
    work = await w.working()
    key = f"paid/{work.run_id}"
    wait = await work.say("wait_for_event_run", {"event_key": key, "timeout_secs": 60})
    assert (wait["status"], wait["event_key"]) == ("waiting", key)
    assert (await w.call("runs.get", work.run_id))["status"] == "waiting"
    await w.call("event_triggers.send_event", key, {"payload": {"amount": 3}})
    claim = await w.take(work.run_id)
    assert claim["event"] == {"event_key": key, "payload": {"amount": 3}}


@drives("sdk_runs.set_state")
async def a_state_key_is_set_over(w: World) -> None:
    work = await w.working()
    await work.say("set_state", {"key": "cursor", "value": 1})
    state = await work.say("set_state", {"key": "cursor", "value": {"page": 2}})
    assert (state["run_id"], state["state_key"], state["value"]) == (work.run_id, "cursor", {"page": 2})


@drives("sdk_runs.list_state")
async def the_state_is_listed_by_key(w: World) -> None:
    work = await w.working()
    for key in ("b", "a"):
        await work.say("set_state", {"key": key, "value": key})
    assert [row["state_key"] for row in await work.say("list_state")] == ["a", "b"]


@drives("sdk_runs.get_state")
async def a_state_key_may_hold_slashes(w: World) -> None:
    work = await w.working()
    made = await work.say("set_state", {"key": "a/b/c", "value": None})
    assert await work.say("get_state", "a/b/c") == made
    with pytest.raises(NotFoundError, match="a/b"):
        await work.say("get_state", "a/b")


@drives("sdk_runs.delete_state")
async def a_state_key_can_be_removed_twice(w: World) -> None:
    work = await w.working()
    await work.say("set_state", {"key": "a/b", "value": 1})
    assert await work.say("delete_state", "a/b") == {}
    assert await work.say("delete_state", "a/b") == {}
    assert await work.say("list_state") == []


@drives("sdk_runs.stream_run")
async def chunks_are_stored_and_can_be_read_again(w: World) -> None:
    work = await w.working()
    for chunk in ("Hello\x1b[0m\u2028", "world"):
        assert (await work.say("stream_run", {"chunk": chunk, "stream_id": "llm"}))["status"] == "ok"
    await work.say("stream_run", {"chunk": "", "stream_id": "llm", "done": True})
    await work.say("complete_run", {})
    for _ in range(2):
        frames = [frame async for frame in w.stream(f"/v1/runs/{work.run_id}/stream/chunks")]
        chunks = [frame for frame in frames if frame.get("type") == "stream_chunk"]
        assert "".join(frame["chunk"] for frame in chunks) == "Hello\x1b[0m\u2028world"
        assert {frame["stream_id"] for frame in chunks} == {"llm"}


@drives("sdk_runs.get_payload")
async def the_payload_is_any_json(w: World) -> None:
    await w.new_job()
    for payload in ({"n": [1.5, None, "ü"]}, [1, 2], "text", None):
        run = await w.new_run(payload=payload)
        found = await w.call("sdk_runs.get_payload", run["id"], token=run["run_token"])
        assert found == payload
