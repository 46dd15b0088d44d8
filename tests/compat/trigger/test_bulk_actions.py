"""Actions on many runs by the real SDK: 4.x alone has them."""

from uuid import uuid4

import pytest
from tests.compat.trigger.conftest import Hand
from tests.compat.trigger.sdk import Sdk, SdkError


def made(sdk: Sdk, count: int, tag: str) -> list[str]:
    return [sdk("tasks.trigger", "bulk-task", n, {"tags": [tag]})["id"] for n in range(count)]


def test_runs_are_cancelled_by_a_filter(sdk4: Sdk):
    tag = f"bulk-{uuid4().hex[:8]}"
    run_ids = made(sdk4, 4, tag)
    action = sdk4("runs.bulk.cancel", {"filter": {"tag": tag, "status": ["QUEUED"]}, "name": "stop them"})
    done = sdk4("runs.bulk.poll", action["id"], {"pollIntervalMs": 50})
    assert (done["type"], done["status"], done["name"]) == ("CANCEL", "COMPLETED", "stop them")
    assert done["counts"] == {"total": 4, "success": 4, "failure": 0}
    assert {sdk4("runs.retrieve", run_id)["status"] for run_id in run_ids} == {"CANCELED"}


def test_runs_are_replayed_by_their_ids_whatever_their_status(sdk4: Sdk, worker: Hand):
    tag = f"bulk-{uuid4().hex[:8]}"
    run_ids = made(sdk4, 2, tag)
    worker.fail(run_ids[0])
    action = sdk4("runs.bulk.replay", {"runIds": [*run_ids, "run_never"]})
    done = sdk4("runs.bulk.poll", action["id"], {"pollIntervalMs": 50})
    assert (done["type"], done["counts"]) == ("REPLAY", {"total": 3, "success": 2, "failure": 1})
    assert [sdk4("runs.retrieve", run_id)["status"] for run_id in run_ids] == ["FAILED", "QUEUED"]
    replays = [run["id"] for run in sdk4("runs.list", {"bulkAction": action["id"]}, collect=10)]
    assert sorted([*replays, *run_ids]) == sorted(run["id"] for run in sdk4("runs.list", {"tag": tag}, collect=10))
    assert sorted(sdk4("runs.retrieve", run_id)["payload"] for run_id in replays) == [0, 1]


def test_what_an_action_has_touched_is_found_by_it(sdk4: Sdk):
    tag = f"bulk-{uuid4().hex[:8]}"
    run_ids = made(sdk4, 3, tag)
    stopped = sdk4("runs.bulk.cancel", {"runIds": run_ids[:2]})["id"]
    sdk4("runs.bulk.poll", stopped, {"pollIntervalMs": 50})
    wanted = {"bulkAction": stopped, "tag": [tag, "other"], "status": "CANCELED", "taskIdentifier": "bulk-task"}
    assert [run["id"] for run in sdk4("runs.list", {**wanted, "limit": 1}, collect=10)] == run_ids[1::-1]
    for other in ({"tag": "other"}, {"status": "QUEUED"}, {"taskIdentifier": "never"}, {"bulkAction": "bulk_never"}):
        assert sdk4("runs.list", wanted | other, collect=10) == []
    again = sdk4("runs.bulk.replay", {"filter": {"bulkAction": stopped}})["id"]
    assert sdk4("runs.bulk.poll", again, {"pollIntervalMs": 50})["counts"] == {"total": 2, "success": 2, "failure": 0}


def test_actions_are_listed_and_aborted(sdk4: Sdk):
    tag = f"bulk-{uuid4().hex[:8]}"
    made(sdk4, 1, tag)
    action = sdk4("runs.bulk.cancel", {"filter": {"tag": tag}})
    sdk4("runs.bulk.poll", action["id"], {"pollIntervalMs": 50})
    assert sdk4("runs.bulk.abort", action["id"])["id"] == action["id"]
    assert sdk4("runs.bulk.retrieve", action["id"])["status"] == "COMPLETED"
    assert action["id"] in {one["id"] for one in sdk4("runs.bulk.list", {"limit": 1}, collect=50)}


def test_a_filter_that_finds_nothing_or_means_everything_is_refused(sdk4: Sdk):
    for body in ({"filter": {"tag": "nobody-has-this"}}, {"filter": {}}):
        with pytest.raises(SdkError) as refused:
            sdk4("runs.bulk.cancel", body)
        assert refused.value.status == 400
    with pytest.raises(SdkError) as missing:
        sdk4("runs.bulk.retrieve", "bulk_never")
    assert missing.value.status == 404
