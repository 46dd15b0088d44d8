"""Traces by the real SDK: 4.x alone has the calls. Their schemas check every answer."""

from typing import Any
from uuid import uuid4

import pytest
from tests.compat.trigger.conftest import Hand
from tests.compat.trigger.sdk import Sdk, SdkError

from runcord.client import Client
from runcord.testing.server import PROJECT


@pytest.fixture(scope="module")
def family(sdks: dict[str, Sdk], client: Client) -> tuple[str, str]:
    """A run that failed once, spawned another one at its second attempt, and completed; and the spawned one."""
    slug = f"traced-{uuid4().hex[:8]}"
    client.jobs.create(slug, max_attempts=2, retry_initial_delay_secs=0)
    run_id = sdks["sdk4"]("tasks.trigger", slug, {})["id"]
    hand = Hand(client)
    claim = hand.take(run_id)
    client.worker.attempt(run_id, claim.run_token).fail("first try", retryable=True)
    claim = hand.take(run_id)
    attempt = client.worker.attempt(run_id, claim.run_token)
    child = attempt.spawn(slug, {}, project_id=PROJECT)
    attempt.complete()
    return run_id, child.id


def test_a_trace_is_the_run_its_attempts_and_what_they_spawned(sdk4: Sdk, family: tuple[str, str]):
    run_id, child_id = family
    root = sdk4("api.retrieveRunTrace", run_id)["trace"]["rootSpan"]
    assert (root["runId"], root["data"]["isPartial"], root["data"]["isError"]) == (run_id, False, False)
    first, second = root["children"]
    assert [span["data"]["message"] for span in (first, second)] == ["Attempt 1", "Attempt 2"]
    assert [span["data"]["isError"] for span in (first, second)] == [True, False]
    assert first["data"]["events"][0]["properties"]["exception"]["message"] == "first try"
    assert (first["children"], [span["runId"] for span in second["children"]]) == ([], [child_id])
    assert second["children"][0]["data"]["isPartial"]
    assert 0 <= first["data"]["duration"] <= root["data"]["duration"]


def test_a_trace_comes_in_pages(sdk4: Sdk, family: tuple[str, str]):
    run_id, _ = family
    spans: list[Any] = []
    options: dict[str, Any] = {"limit": 3}
    for _ in range(2):
        page = sdk4("api.retrieveRunTracePage", run_id, options)
        spans += page["data"]
        options["after"] = page["pagination"].get("next")
    assert options["after"] is None
    assert [span.get("attemptNumber") for span in spans] == [None, 1, 2, None]
    whole = sdk4("api.retrieveRunTracePage", run_id)
    assert [one["attemptNumber"] for one in whole["attemptFailures"]] == [1]
    assert [one["id"] for one in whole["data"]] == [one["id"] for one in spans]
    listed = sdk4("api.listRunEvents", run_id)["events"]
    assert [one["spanId"] for one in listed] == [one["id"] for one in spans]


def test_a_span_tells_what_went_wrong_and_what_it_spawned(sdk4: Sdk, family: tuple[str, str]):
    run_id, child_id = family
    _, first, second, _ = sdk4("api.retrieveRunTracePage", run_id)["data"]
    broken = sdk4("api.retrieveSpan", run_id, first["id"])
    assert (broken["isError"], broken["message"], "triggeredRuns" in broken) == (True, "Attempt 1", False)
    working = sdk4("api.retrieveSpan", run_id, second["id"])
    assert [one["runId"] for one in working["triggeredRuns"]] == [child_id]
    with pytest.raises(SdkError) as missing:
        sdk4("api.retrieveSpan", run_id, "0" * 16)
    assert missing.value.status == 404
