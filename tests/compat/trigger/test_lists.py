"""Listing runs by the real SDK: every filter, in pages."""

from typing import Any
from uuid import uuid4

import pytest
from tests.compat.trigger.conftest import Hand
from tests.compat.trigger.sdk import Sdk, SdkError, time_of

from runcord.client import Client
from runcord.testing.server import PROJECT


@pytest.fixture(scope="module")
def tag() -> str:
    return f"tenant:{uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def runs(sdks: dict[str, Sdk], client: Client, tag: str) -> dict[str, str]:
    """Runs of two tasks in several statuses, by what they are called here; oldest first."""
    sdk, worker = sdks["sdk4"], Hand(client)
    slug = tag.replace(":", "-")

    def new(task: str, *tags: str, **options: Any) -> str:
        return sdk("tasks.trigger", f"{task}-{slug}", {}, {"tags": [tag, *tags], **options})["id"]

    made = {
        "queued": new("a"),
        "delayed": new("a", delay="1h"),
        "completed": new("b", "special"),
        "failed": new("b", queue=f"slow-{slug}"),
        "executing": sdk("api.triggerTask", f"b-{slug}", {"payload": {}, "options": {"test": True, "tags": tag}})["id"],
    }
    worker.complete(made["completed"])
    worker.fail(made["failed"])
    worker.take(made["executing"])
    client.jobs.create(f"c-{slug}")
    key, _, value = tag.partition(":")
    made["ours"] = client.jobs.trigger(f"c-{slug}", {}, tags={key: value, "other": ""}).id
    return made


def listed(sdk: Sdk, runs: dict[str, str], **query: Any) -> list[str]:
    """Return the names of the runs that a list shows, and check their order."""
    found = [run["id"] for run in sdk("runs.list", query, collect=200)]
    names = {run_id: name for name, run_id in runs.items()}
    order = list(runs)
    shown = [names[run_id] for run_id in found]
    assert shown == sorted(shown, key=order.index, reverse=True)
    return sorted(shown)


def test_a_tag_finds_its_runs_of_either_dialect(sdk: Sdk, runs: dict[str, str], tag: str):
    assert listed(sdk, runs, tag=tag) == sorted(runs)
    assert listed(sdk, runs, tag=[tag, "special"]) == sorted(runs)


@pytest.mark.parametrize(
    ("status", "names"),
    [
        ("QUEUED", ["ours", "queued"]),
        (["DELAYED", "COMPLETED"], ["completed", "delayed"]),
        ("FAILED", ["failed"]),
        ("EXECUTING", ["executing"]),
        ("CANCELED", []),
        ("PENDING_VERSION", []),
    ],
)
def test_statuses(sdk4: Sdk, runs: dict[str, str], tag: str, status: Any, names: list[str]):
    assert listed(sdk4, runs, tag=tag, status=status) == names


def test_tasks_queues_and_tests(sdk4: Sdk, runs: dict[str, str], tag: str):
    slug = tag.replace(":", "-")
    assert listed(sdk4, runs, tag=tag, taskIdentifier=f"a-{slug}") == ["delayed", "queued"]
    assert listed(sdk4, runs, taskIdentifier=[f"a-{slug}", f"c-{slug}", "never"]) == ["delayed", "ours", "queued"]
    assert listed(sdk4, runs, tag=tag, taskIdentifier="never") == []
    assert listed(sdk4, runs, tag=tag, queue={"type": "custom", "name": f"slow-{slug}"}) == ["failed"]
    assert listed(sdk4, runs, queue={"type": "task", "name": f"a-{slug}"}) == ["delayed", "queued"]
    assert listed(sdk4, runs, tag=tag, isTest=True) == ["executing"]
    assert listed(sdk4, runs, tag=tag, schedule="sched_1") == []


def test_times(sdk: Sdk, runs: dict[str, str], tag: str):
    at = time_of(sdk("runs.retrieve", runs["failed"])["createdAt"])
    milliseconds = at.timestamp() * 1000
    after = listed(sdk, runs, tag=tag, **{"from": milliseconds + 1})
    before = listed(sdk, runs, tag=tag, to=milliseconds)
    assert {"executing", "ours"} <= set(after) | {"executing"}
    assert {"queued", "delayed", "completed"} <= set(before) | {"completed"}
    assert sorted({*after, *before}) == sorted(runs)
    assert listed(sdk, runs, tag=tag, period="1d") == sorted(runs)
    assert listed(sdk, runs, tag=tag, **{"from": 4_000_000_000_000}) == []


def test_pages_follow_each_other_both_ways(sdk4: Sdk, runs: dict[str, str], tag: str):
    first = sdk4("runs.list", {"tag": tag, "limit": 2})
    second = sdk4("runs.list", {"tag": tag, "limit": 2, "after": first["pagination"]["next"]})
    third = sdk4("runs.list", {"tag": tag, "limit": 2, "after": second["pagination"]["next"]})
    assert "next" not in third["pagination"]
    pages = [[run["id"] for run in page["data"]] for page in (first, second, third)]
    assert [run_id for page in pages for run_id in page] == list(reversed(runs.values()))
    back = sdk4("runs.list", {"tag": tag, "limit": 2, "before": third["pagination"]["previous"]})
    assert [run["id"] for run in back["data"]] == pages[1]
    back = sdk4("runs.list", {"tag": tag, "limit": 2, "before": back["pagination"]["previous"]})
    assert [run["id"] for run in back["data"]] == pages[0]
    assert "previous" not in back["pagination"]


def test_a_list_is_iterated_over_by_itself(sdk: Sdk, runs: dict[str, str], tag: str):
    found = sdk("runs.list", {"tag": tag, "limit": 1}, collect=100)
    assert [run["id"] for run in found] == list(reversed(runs.values()))
    assert found[0]["env"]["name"]


def test_what_cannot_be_asked_is_refused(sdk4: Sdk):
    for query in ({"status": "ASLEEP"}, {"period": "soon"}, {"after": "nonsense"}, {"limit": 1000}):
        with pytest.raises(SdkError) as refused:
            sdk4("runs.list", query)
        assert refused.value.status in (400, 422), query


def test_the_runs_of_a_project(sdk: Sdk, runs: dict[str, str], tag: str):
    def listed_of(project: str, **query: Any) -> int:
        return len(sdk("runs.list", project, {"tag": tag, **query}, collect=200))

    assert listed_of(PROJECT) == listed_of(PROJECT, env=["prod", "dev"]) == len(runs)
    assert listed_of(PROJECT, env="dev") == 0
    with pytest.raises(SdkError) as refused:
        listed_of("proj_other")
    assert refused.value.status == 404
