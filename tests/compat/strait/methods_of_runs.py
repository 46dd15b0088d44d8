"""`client.runs`: reading runs, and what operators do with them."""

from typing import Any

from .table import drives
from .world import World

FUTURE = "2199-01-01T00:00:00Z"


def ids(rows: list[dict[str, Any]]) -> list[str]:
    """Return the ids of rows, in their order."""
    return [row["id"] for row in rows]


@drives("runs.list")
async def list_filters_and_pages(w: World) -> None:
    await w.new_job()
    made = [await w.new_run(tags={"n": str(n)}) for n in range(3)]
    newest_first = ids(made)[::-1]
    assert ids(await w.call("runs.list")) == newest_first
    assert ids(await w.call("runs.list", query={"status": "queued", "limit": "2"})) == newest_first[:2]
    assert await w.call("runs.list", query={"status": "completed", "project_id": w.project_id}) == []
    page = await w.call("runs.list", query={"limit": "2", "envelope": "true"})
    assert (ids(page["data"]), page["has_more"]) == (newest_first[:2], True)
    rest = await w.call("runs.list", query={"limit": "2", "envelope": "true", "cursor": page["next_cursor"]})
    assert (ids(rest["data"]), rest["has_more"], "next_cursor" in rest) == (newest_first[2:], False, False)
    # Strait's command line pages with the time of the last row.
    assert ids(await w.call("runs.list", query={"cursor": made[1]["created_at"]})) == newest_first[2:]


@drives("runs.get")
async def get_answers_the_run_as_it_is(w: World) -> None:
    await w.new_job()
    made = await w.new_run(payload={"n": 1}, tags={"env": "test"}, metadata={"by": "me"}, priority=3)
    for member in ("payload_hash", "run_token", "idempotency_hit"):
        del made[member]
    run = await w.call("runs.get", made["id"])
    assert run == made
    assert (run["payload"], run["tags"], run["metadata"], run["priority"]) == (
        {"n": 1},
        {"env": "test"},
        {"by": "me"},
        3,
    )


@drives("runs.delete")
async def delete_cancels_the_run_and_its_children(w: World) -> None:
    work = await w.working()
    child = await work.say("spawn_run", {"job_slug": "work", "project_id": w.project_id})
    run = await w.call("runs.delete", work.run_id)
    assert (run["status"], run["error"]) == ("canceled", "canceled by user")
    assert run["finished_at"] == run["updated_at"]
    assert (await w.call("runs.get", child["id"]))["status"] == "canceled"


@drives("runs.list_checkpoints")
async def checkpoints_come_newest_first(w: World) -> None:
    work = await w.working()
    saved = [await work.say("checkpoint_run", {"state": {"step": step}}) for step in (1, 2)]
    assert await w.call("runs.list_checkpoints", work.run_id) == saved[::-1]


@drives("runs.get_children")
async def children_come_oldest_first(w: World) -> None:
    work = await w.working()
    body = {"job_slug": "work", "project_id": w.project_id}
    spawned = [await work.say("spawn_run", body | {"payload": n}) for n in (1, 2)]
    children = await w.call("runs.get_children", work.run_id)
    assert ids(children) == ids(spawned)
    assert {child["parent_run_id"] for child in children} == {work.run_id}


@drives("runs.debug")
async def debug_tells_the_mode(w: World) -> None:
    await w.new_job()
    run = await w.new_run()
    assert await w.call("runs.debug", run["id"]) == {"run_id": run["id"], "debug_mode": False}
    await w.request("POST", f"/v1/runs/{run['id']}/debug", {"debug_mode": True})
    assert await w.call("runs.debug", run["id"]) == {"run_id": run["id"], "debug_mode": True}


@drives("runs.get_debug_bundle")
async def a_debug_bundle_has_everything(w: World) -> None:
    work = await w.working({"n": 1})
    await work.say("log_run", {"message": "hello"})
    await work.say("checkpoint_run", {"state": 1})
    await work.say("usage_run", {"provider": "openai", "model": "gpt"})
    await work.say("tool_call_run", {"tool_name": "search"})
    await work.say("output_run", {"key": "answer", "value": 42})
    bundle = await w.call("runs.get_debug_bundle", work.run_id)
    assert bundle["run"] == await w.call("runs.get", work.run_id)
    assert {name: len(rows) for name, rows in bundle.items() if name != "run"} == {
        **dict.fromkeys(("events", "checkpoints", "usage", "tool_calls", "outputs"), 1)
    }


@drives("runs.list_dependency_status")
async def dependency_status_names_what_the_job_depends_on(w: World) -> None:
    upstream, downstream = await w.new_job("upstream"), await w.new_job("downstream")
    edge = await w.call("jobs.create_dependency", downstream["id"], {"depends_on_job_id": upstream["id"]})
    run = await w.new_run("downstream")
    found = await w.call("runs.list_dependency_status", run["id"])
    assert (found["run_id"], found["job_id"]) == (run["id"], downstream["id"])
    assert (ids(found["dependencies"]), found["dependencies_satisfied"]) == ([edge["id"]], False)


@drives("runs.dlq_replay")
async def dlq_replay_queues_the_same_run_again(w: World) -> None:
    run_id = await w.dead_letter({"n": 1})
    run = await w.call("runs.dlq_replay", run_id)
    assert (run["id"], run["status"], run["attempt"], run["round"]) == (run_id, "queued", 1, 2)
    assert run["payload"] == {"n": 1}
    history = await w.request("GET", f"/v1/runs/{run_id}/history")
    assert "run.dead_lettered.v1" in [event["type"] for event in history]


@drives("runs.list_events")
async def events_come_oldest_first(w: World) -> None:
    work = await w.working()
    said = [
        await work.say("log_run", {"message": "hello", "level": "warn", "data": {"a": [1]}}),
        await work.say("progress_run", {"percent": 50}),
    ]
    assert await w.call("runs.list_events", work.run_id) == said
    assert [event["type"] for event in said] == ["log", "progress"]


@drives("runs.delete_idempotency_key")
async def an_idempotency_key_can_be_freed(w: World) -> None:
    await w.new_job()
    run = await w.new_run(idempotency_key="once")
    assert (await w.new_run(idempotency_key="once"))["id"] == run["id"]
    assert await w.call("runs.delete_idempotency_key", run["id"]) == {"status": "reset", "run_id": run["id"]}
    assert "idempotency_key" not in await w.call("runs.get", run["id"])
    assert (await w.new_run(idempotency_key="once"))["id"] != run["id"]


@drives("runs.get_lineage")
async def a_lineage_runs_from_the_root(w: World) -> None:
    work = await w.working({"n": 1})
    following = await work.say("continue_run", {"payload": {"n": 2}})
    chain = [work.run_id, following["id"]]
    assert ids(await w.call("runs.get_lineage", work.run_id)) == chain
    assert ids(await w.call("runs.get_lineage", following["id"])) == chain


@drives("runs.list_outputs")
async def outputs_come_by_their_keys(w: World) -> None:
    work = await w.working()
    for key in ("b", "a", "b"):
        await work.say("output_run", {"output_key": key, "value": {"of": key}})
    found = await w.call("runs.list_outputs", work.run_id)
    assert [(row["output_key"], row["value"]) for row in found] == [("a", {"of": "a"}), ("b", {"of": "b"})]


@drives("runs.replay")
async def replay_makes_a_new_run_linked_both_ways(w: World) -> None:
    work = await w.working({"n": 1})
    await work.say("fail_run", {"error": "no", "retryable": False})
    new = await w.call("runs.replay", work.run_id)
    assert (new["status"], new["attempt"], new["payload"]) == ("queued", 1, {"n": 1})
    assert new["replay_of"] == work.run_id
    assert (await w.call("runs.get", work.run_id))["replayed_as"] == new["id"]


@drives("runs.reschedule")
async def reschedule_moves_the_time_and_may_replace_the_payload(w: World) -> None:
    await w.new_job()
    run = await w.new_run(payload={"n": 1})
    later = await w.call("runs.reschedule", run["id"], {"scheduled_at": FUTURE})
    assert (later["status"], later["scheduled_at"], later["payload"]) == ("delayed", FUTURE, {"n": 1})
    now = await w.call("runs.reschedule", run["id"], {"scheduled_at": "2020-01-01T00:00:00Z", "payload": {"n": 2}})
    assert (now["status"], now["payload"]) == ("queued", {"n": 2})


@drives("runs.list_tool_calls")
async def tool_calls_come_newest_first(w: World) -> None:
    work = await w.working()
    called = [await work.say("tool_call_run", {"tool_name": name, "status": "ok"}) for name in ("search", "read")]
    assert await w.call("runs.list_tool_calls", work.run_id) == called[::-1]


@drives("runs.get_usage")
async def usage_comes_newest_first(w: World) -> None:
    work = await w.working()
    used = [await work.say("usage_run", {"provider": "openai", "model": model}) for model in ("a", "b")]
    assert await w.call("runs.get_usage", work.run_id) == used[::-1]


@drives("runs.bulk_cancel")
async def bulk_cancel_answers_for_each(w: World) -> None:
    work = await w.working()
    await work.say("complete_run", {"result": 1})
    queued = await w.new_run()
    found = await w.call("runs.bulk_cancel", {"run_ids": [queued["id"], work.run_id, "run_of_nobody"]})
    assert (found["total"], found["canceled"], found["failed"]) == (3, 1, 2)
    by_id = {result["id"]: result for result in found["results"]}
    assert by_id[queued["id"]] == {"id": queued["id"], "status": "canceled"}
    assert by_id[work.run_id]["status"] == "completed" and by_id[work.run_id]["error"]
    assert by_id["run_of_nobody"]["status"] == "failed" and by_id["run_of_nobody"]["error"]


@drives("runs.bulk_cancel_all")
async def bulk_cancel_all_cancels_what_matches(w: World) -> None:
    one, other = await w.new_job("one"), await w.new_job("other")
    doomed, spared = await w.new_run("one"), await w.new_run("other")
    found = await w.call("runs.bulk_cancel_all", {"job_id": one["id"]})
    assert (found["canceled"], found["failed"], found["run_ids"]) == (1, 0, [doomed["id"]])
    assert (await w.call("runs.get", doomed["id"]))["status"] == "canceled"
    assert (await w.call("runs.get", spared["id"]))["status"] == "queued" and other["id"] == spared["job_id"]


@drives("runs.bulk_dlq_replay")
async def bulk_dlq_replay_answers_the_runs(w: World) -> None:
    run_id = await w.dead_letter()
    found = await w.call("runs.bulk_dlq_replay", {"run_ids": [run_id, "run_of_nobody"]})
    assert found["count"] == 1
    (run,) = found["replayed"]
    assert (run["id"], run["status"], run["round"]) == (run_id, "queued", 2)


@drives("runs.bulk_replay")
async def bulk_replay_answers_the_new_runs(w: World) -> None:
    run_id = await w.dead_letter({"n": 1})
    (new,) = await w.call("runs.bulk_replay", {"run_ids": [run_id]})
    assert (new["status"], new["payload"], new["replay_of"]) == ("queued", {"n": 1}, run_id)


@drives("runs.get_dlq")
async def the_dead_letter_queue_has_the_dead_letters(w: World) -> None:
    run_id = await w.dead_letter()
    await w.new_run("doomed")
    assert ids(await w.call("runs.get_dlq")) == [run_id]
    assert ids(await w.call("runs.get_dlq", query={"project_id": w.project_id, "limit": "1"})) == [run_id]
