"""Strait's `RunContext`, which its users' handlers are given, wired to the asynchronous client."""

import pytest
from strait import NotFoundError, RunUsage
from strait.authoring import create_run_context
from strait.composition import with_checkpoint_resume

from runcord.clock import monotonic

from .conftest import RunScenario
from .world import World


async def eventually(count: int, world: World, path: str) -> list[dict]:
    """Return a list once it has so many rows: for what the client sends without waiting for the answer."""
    until = monotonic() + 10
    while len(rows := await world.request("GET", path)) < count:
        assert monotonic() < until, rows
    return rows


def test_a_handler_reports_all_it_can_and_completes(play: RunScenario):
    async def scenario(w: World) -> None:
        work = await w.working({"n": 1})
        context = create_run_context(w.client(work.token).sdk_runs, work.run_id, 1)
        path = f"/v1/runs/{work.run_id}"

        await context.checkpoint({"step": 1})
        await context.report_progress(25)
        await context.report_progress(50, "half")
        await context.heartbeat()
        await context.report_usage("openai", "gpt", prompt_tokens=3, completion_tokens=4, cost_microusd=10)
        await context.log_tool_call("search", input={"q": "x"}, output={"n": 1}, duration_ms=5, status="ok")
        await context.save_output("answer", {"text": "42"}, {"type": "object"})
        await context.annotate({"model": "gpt"})
        context.logger.warning("careful with %s", "that")

        (checkpoint,) = await w.call("runs.list_checkpoints", work.run_id)
        assert (checkpoint["state"], checkpoint["source"]) == ({"step": 1}, "sdk")
        (usage,) = await w.call("runs.get_usage", work.run_id)
        assert {name: usage[name] for name in RunUsage.__annotations__} == {
            "provider": "openai",
            "model": "gpt",
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "cost_microusd": 10,
        }
        (call,) = await w.call("runs.list_tool_calls", work.run_id)
        assert (call["tool_name"], call["input"], call["duration_ms"]) == ("search", {"q": "x"}, 5)
        (output,) = await w.call("runs.list_outputs", work.run_id)
        assert (output["output_key"], output["value"]) == ("answer", {"text": "42"})
        events = await eventually(3, w, f"{path}/events")
        assert [event["data"]["percent"] for event in events if event["type"] == "progress"] == [25, 50]
        (logged,) = (event for event in events if event["type"] == "log")
        assert (logged["level"], logged["message"]) == ("warn", "careful with that")

        await context.complete({"text": "42"})
        run = await w.call("runs.get", work.run_id)
        assert (run["status"], run["result"], run["metadata"]) == ("completed", {"text": "42"}, {"model": "gpt"})

    play("async", scenario)


def test_a_handler_keeps_state(play: RunScenario):
    async def scenario(w: World) -> None:
        work = await w.working()
        state = create_run_context(w.client(work.token).sdk_runs, work.run_id).state
        await state.set("seen/pages", [1, 2])
        assert (await state.get("seen/pages"))["value"] == [1, 2]
        assert [row["state_key"] for row in await state.list()] == ["seen/pages"]
        await state.delete("seen/pages")
        with pytest.raises(NotFoundError):
            await state.get("seen/pages")

    play("async", scenario)


def test_a_handler_makes_other_runs_and_fails(play: RunScenario):
    async def scenario(w: World) -> None:
        work = await w.working({"n": 1}, max_attempts=1)
        context = create_run_context(w.client(work.token).sdk_runs, work.run_id)
        child = await context.spawn("work", w.project_id, {"n": 2}, 4)
        assert (child["parent_run_id"], child["payload"], child["priority"]) == (work.run_id, {"n": 2}, 4)
        # An empty payload is sent as no body at all.
        assert (await context.continue_run({}))["payload"] == {"n": 1}
        assert (await context.continue_run({"n": 3}))["payload"] == {"n": 3}
        await context.fail("no luck")
        run = await w.call("runs.get", work.run_id)
        assert (run["status"], run["error"]) == ("dead_letter", "no luck")

    play("async", scenario)


def test_a_handler_waits_for_an_event(play: RunScenario):
    async def scenario(w: World) -> None:
        work = await w.working()
        context = create_run_context(w.client(work.token).sdk_runs, work.run_id)
        wait = await context.wait_for_event("paid", timeout_secs=60)
        assert wait["status"] == "waiting" and wait["trigger_id"]
        await w.call("event_triggers.send_event", "paid", {"payload": 3})
        assert (await w.take(work.run_id))["event"] == {"event_key": "paid", "payload": 3}

    play("async", scenario)


def test_a_handler_streams_chunks(play: RunScenario):
    async def scenario(w: World) -> None:
        work = await w.working()
        context = create_run_context(w.client(work.token).sdk_runs, work.run_id)
        await context.stream_chunk("Hel")
        await context.stream_chunk("lo", done=True)
        await context.complete()
        frames = [frame async for frame in w.stream(f"/v1/runs/{work.run_id}/stream/chunks")]
        chunks = [frame for frame in frames if frame.get("type") == "stream_chunk"]
        assert "".join(frame["chunk"] for frame in chunks) == "Hello"
        assert {frame["stream_id"] for frame in chunks} == {"default"}
        assert chunks[-1]["done"] is True

    play("async", scenario)


def test_an_attempt_goes_on_from_the_last_checkpoint(play: RunScenario):
    async def scenario(w: World) -> None:
        work = await w.working(retry_strategy="fixed", retry_initial_delay_secs=0)
        first = create_run_context(w.client(work.token).sdk_runs, work.run_id)

        async def count(state, update):
            update({"n": state["n"] + 1})
            return state["n"]

        await with_checkpoint_resume(first, None, count, {"n": 0}, checkpoint_interval=10)
        await first.fail("lost the thread")
        claim = await w.take(work.run_id, start=True)
        assert claim["checkpoint"]["state"] == {"n": 1}
        second = create_run_context(w.client(claim["run_token"]).sdk_runs, work.run_id, claim["run"]["attempt"])
        assert await with_checkpoint_resume(second, claim["checkpoint"]["state"], count, {"n": 0}) == 1

    play("async", scenario)
