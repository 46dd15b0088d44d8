"""Debug mode: the commands that reach a run are on its record, with what was decided about them."""

from typing import Any

import pytest

from runcord.handling.debugging import MAX_DEBUGGED, MAX_MEMBER_BYTES


def debugged(api: Any, run_id: str) -> list[dict[str, Any]]:
    answer = api.get(f"/v1/runs/{run_id}/events?type=debug&limit=100")
    assert answer.status_code == 200, answer.text
    return [row["data"] for row in answer.json()]


def decisions(api: Any, run_id: str) -> list[tuple[str, Any]]:
    return [
        (one["command"], one["refusal"]["code"] if "refusal" in one else one.get("events", []))
        for one in debugged(api, run_id)
    ]


def begun(api: Any, **job: Any) -> str:
    """Return a run in debug mode that a worker has begun to work on."""
    api.new_job(**job)
    run_id = api.new_run(debug_mode=True, payload={"n": 1})["id"]
    (claim,) = api.take(start=True)
    assert claim["run"]["id"] == run_id
    return run_id


def test_each_command_of_a_life_is_written_down_after_its_events(api):
    run_id = begun(api)
    assert api.post(f"/sdk/v1/runs/{run_id}/checkpoint", {"state": {"page": 3}}).status_code == 201
    assert api.post(f"/sdk/v1/runs/{run_id}/complete", {"result": "done"}).status_code == 200
    assert decisions(api, run_id) == [
        ("Trigger", ["run.triggered.v1"]),
        ("Dequeue", ["run.dequeued.v1", "run.attempted.v1"]),
        ("Checkpoint", ["run.checkpointed.v1"]),
        ("Complete", ["run.completed.v1"]),
    ]
    inputs = [one["input"] for one in debugged(api, run_id)]
    assert inputs[0]["facts"]["payload"] == {"n": 1}
    assert inputs[1]["worker_id"] == "w1" and inputs[1]["start"] is True
    assert inputs[2]["state"] == {"page": 3}
    assert inputs[3]["result"] == "done"


def test_times_are_told_in_microseconds(api):
    one = debugged(api, begun(api))[1]
    assert 0 < one["decided_us"] < 10_000_000
    assert 0 < one["waited_us"] < 10_000_000


def test_a_refused_command_leaves_its_refusal_and_nothing_else(api):
    run_id = begun(api)
    before = api.get(f"/v1/runs/{run_id}").json()
    refused = api.post(f"/v1/runs/{run_id}/resume")
    assert refused.status_code == 400
    after = api.get(f"/v1/runs/{run_id}").json()
    assert {name for name in after if after[name] != before[name]} == {"version", "updated_at"}
    assert after["version"] == before["version"] + 1
    one = debugged(api, run_id)[-1]
    assert one["command"] == "Resume" and "events" not in one
    assert one["refusal"] == {"code": refused.json()["code"], "message": refused.json()["message"]}


def test_what_a_check_before_the_decision_refuses_is_written_down_once(api):
    run_id = begun(api, result_schema={"type": "object"})
    assert api.post(f"/sdk/v1/runs/{run_id}/complete", {"result": 5}).status_code == 422
    assert decisions(api, run_id)[2:] == [("Complete", "result_invalid")]
    assert debugged(api, run_id)[-1]["input"]["result"] == 5


def test_what_a_check_after_the_decision_refuses_is_a_refusal(api):
    run_id = begun(api, max_attempts=1)
    assert api.post(f"/sdk/v1/runs/{run_id}/fail", {"error": "boom"}).status_code == 200
    assert api.get(f"/v1/runs/{run_id}").json()["status"] == "dead_letter"
    assert api.patch("/v1/jobs/parse", {"enabled": False}).status_code == 200
    assert api.post(f"/v1/runs/{run_id}/dlq-replay").status_code >= 400
    assert decisions(api, run_id)[-1] == ("ReplayDeadLetter", "job_disabled")
    assert api.get(f"/v1/runs/{run_id}").json()["status"] == "dead_letter"


def test_a_command_that_was_heard_before_says_so(api):
    run_id = begun(api)
    for _ in range(2):
        assert api.post(f"/sdk/v1/runs/{run_id}/complete", {"result": 1}).status_code == 200
    assert decisions(api, run_id)[2:] == [("Complete", ["run.completed.v1"]), ("Complete", [])]
    assert "nothing to do" in api.get(f"/v1/runs/{run_id}/events?type=debug").json()[-1]["message"]


def test_bulk_commands_are_told_apart(api):
    done, live = begun(api), api.new_run(debug_mode=True)["id"]
    api.post(f"/sdk/v1/runs/{done}/complete", {"result": 1})
    assert api.post("/v1/runs/bulk-cancel", {"run_ids": [done, live]}).status_code == 200
    assert decisions(api, done)[-1] == ("Cancel", "illegal_transition")
    assert decisions(api, live)[-1] == ("Cancel", ["run.canceled.v1"])


def test_a_child_that_goes_down_with_its_parent_shows_who_sent_it(api):
    parent = begun(api)
    spawned = api.post(f"/sdk/v1/runs/{parent}/spawn", {"job_slug": "parse"})
    assert spawned.status_code == 201, spawned.text
    child = spawned.json()["id"]
    api.post(f"/v1/runs/{child}/debug", {"debug_mode": True})
    api.delete(f"/v1/runs/{parent}")
    assert decisions(api, child) == [("Cancel", ["run.canceled.v1"])]
    assert debugged(api, child)[0]["input"]["by_parent"] is True


def test_debug_mode_begins_and_ends_with_its_switch(api):
    api.new_job()
    run_id = api.new_run()["id"]
    api.post(f"/v1/runs/{run_id}/reschedule", {"scheduled_at": "2099-01-01T00:00:00Z"})
    assert debugged(api, run_id) == []
    api.post(f"/v1/runs/{run_id}/debug", {"debug_mode": True})
    api.post(f"/v1/runs/{run_id}/reschedule", {"scheduled_at": "2099-01-02T00:00:00Z"})
    api.post(f"/v1/runs/{run_id}/debug", {"debug_mode": False})
    api.delete(f"/v1/runs/{run_id}")
    assert [command for command, _ in decisions(api, run_id)] == ["Reschedule", "SetDebug"]


def test_a_replay_from_a_checkpoint_is_written_down_from_its_beginning(api):
    run_id = api.working(max_attempts=1)["run"]["id"]
    api.post(f"/sdk/v1/runs/{run_id}/checkpoint", {"state": {"page": 3}})
    api.post(f"/sdk/v1/runs/{run_id}/fail", {"error": "boom", "retryable": False})
    replayed = api.post(f"/v1/runs/{run_id}/replay?from_checkpoint=1")
    assert replayed.status_code == 201, replayed.text
    assert decisions(api, replayed.json()["id"]) == [("Trigger", ["run.triggered.v1"])]
    assert debugged(api, run_id) == []


def test_large_inputs_are_named_by_their_size(api):
    run_id = begun(api)
    state = "x" * MAX_MEMBER_BYTES
    assert api.post(f"/sdk/v1/runs/{run_id}/checkpoint", {"state": state}).status_code == 201
    assert debugged(api, run_id)[-1]["input"]["state"] == {"left_out_bytes": MAX_MEMBER_BYTES + 2}
    assert api.get(f"/v1/runs/{run_id}/checkpoints").json()[0]["state"] == state


def test_a_run_holds_so_many_and_no_more(api, monkeypatch):
    monkeypatch.setattr("runcord.handling.debugging.MAX_DEBUGGED", 4)
    run_id = begun(api)
    for n in range(4):
        assert api.post(f"/sdk/v1/runs/{run_id}/checkpoint", {"state": n}).status_code == 201
    assert len(debugged(api, run_id)) == 4 < MAX_DEBUGGED
    assert len(api.get(f"/v1/runs/{run_id}/checkpoints").json()) == 4


def test_the_bundle_and_the_stream_show_them(api):
    run_id = begun(api)
    api.post(f"/sdk/v1/runs/{run_id}/complete", {"result": 1})
    bundle = api.get(f"/v1/runs/{run_id}/debug-bundle").json()
    assert [event["data"] for event in bundle["events"]] == debugged(api, run_id)
    frames = api.get(f"/v1/runs/{run_id}/stream").text
    assert frames.count('"event_type":"debug"') == 3


@pytest.mark.parametrize("path", ["debug", "pause"])
def test_a_run_that_is_not_there_has_no_record(api, path):
    assert api.post(f"/v1/runs/run_none/{path}", {}).status_code == 404
