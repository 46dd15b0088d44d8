"""Subscriptions and streams, by the real SDK: every change arrives, and what ends, ends."""

from pathlib import Path
from uuid import uuid4

import httpx2
from tests.compat.trigger.conftest import Hand
from tests.compat.trigger.sdk import Sdk

from runcord.client import Client
from runcord.testing.server import ServerProcess

FINAL = ["COMPLETED", "FAILED", "CANCELED"]


def name(kind: str) -> str:
    return f"{kind}-{uuid4().hex[:8]}"


def test_a_run_is_followed_to_its_end(sdk: Sdk, worker: Hand) -> None:
    slug = name("task")
    payload = {"at": {"$date": "2026-01-01T00:00:00.000Z"}, "n": 1}
    run_id = sdk("tasks.trigger", slug, payload, {"tags": ["user:1", "vip"], "metadata": {"step": {"n": 0}}})["id"]
    following = sdk.follow("runs.subscribeToRun", run_id, until=FINAL)
    worker.complete(run_id, {"sent": [1, 2]})
    seen = following.all()
    assert {run["id"] for run in seen} == {run_id}
    last = seen[-1]
    assert (last["status"], last["taskIdentifier"], last["output"]) == ("COMPLETED", slug, {"sent": [1, 2]})
    assert (last["payload"], sorted(last["tags"])) == (payload, ["user:1", "vip"])
    assert last["metadata"] == {"step": {"n": 0}}
    assert last["finishedAt"] is not None
    statuses = [run["status"] for run in seen]
    assert set(statuses) <= {"QUEUED", "DEQUEUED", "EXECUTING", "COMPLETED"}
    assert statuses.count("COMPLETED") == 1


def test_a_run_that_is_over_is_told_at_once(sdk: Sdk, worker: Hand) -> None:
    run_id = sdk("tasks.trigger", name("task"), {}, {})["id"]
    worker.fail(run_id, "no route to host")
    [last] = sdk.follow("runs.subscribeToRun", run_id, until=FINAL).all()
    assert (last["status"], last["error"]["message"]) == ("FAILED", "no route to host")


def test_a_canceled_run_ends_its_subscription(sdk: Sdk) -> None:
    run_id = sdk("tasks.trigger", name("task"), {}, {})["id"]
    following = sdk.follow("runs.subscribeToRun", run_id, until=FINAL)
    sdk("runs.cancel", run_id)
    assert following.all()[-1]["status"] == "CANCELED"


def test_runs_with_a_tag_are_followed_as_they_come(sdk: Sdk, client: Client) -> None:
    tag, slug = name("tag"), name("task")
    first = sdk("tasks.trigger", slug, {}, {"tags": [tag]})["id"]
    following = sdk.follow("runs.subscribeToRunsWithTag", tag, collect=2)
    client.jobs.trigger(slug, {}, tags={"other": "tag"})
    second = client.jobs.trigger(slug, {}, tags={tag: ""}).id
    seen = following.all()
    assert [run["id"] for run in seen] == [first, second]


def test_the_runs_of_a_batch_are_followed(sdk: Sdk, worker: Hand) -> None:
    slug = name("task")
    batch = sdk("tasks.batchTrigger", slug, [{"payload": {"n": n}} for n in range(3)])
    seen = sdk("runs.subscribeToBatch", batch["batchId"], collect=3)
    assert sorted(run["payload"]["n"] for run in seen) == [0, 1, 2]


def test_a_token_of_one_run_follows_it_and_no_other(
    sdk: Sdk, node_modules: Path, server: ServerProcess, worker: Hand
) -> None:
    run_id = sdk("tasks.trigger", name("task"), {"n": 1}, {})["id"]
    token = sdk("auth.createPublicToken", {"scopes": {"read": {"runs": [run_id]}}})
    worker.complete(run_id, 1)
    with Sdk(sdk.major, node_modules, server.base_url, token) as holder:
        [last] = holder("runs.subscribeToRun", run_id, collect=1)
        assert (last["status"], last["output"]) == ("COMPLETED", 1)
    other = sdk("tasks.trigger", name("task"), {}, {})["id"]
    refused = httpx2.get(f"{server.base_url}/realtime/v1/runs/{other}?offset=-1", headers=bearer(token))
    assert refused.status_code == 403


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_stream_is_read_by_the_sdk(sdks: dict[str, Sdk], sdk4: Sdk, server: ServerProcess, worker: Hand) -> None:
    run_id = sdk4("tasks.trigger", name("task"), {}, {})["id"]
    path = f"{server.base_url}/realtime/v1/streams/{run_id}/self/tokens"
    assert sdk4("api.createStream", run_id, "self", "tokens")["version"] == "v1"
    written = httpx2.post(path, headers=sdk4.headers, content=b'{"text":"Hel"}\n"lo"\n7\n')
    assert written.status_code == 200, written.text
    worker.complete(run_id)
    for sdk, read in ((sdk4, "streams.read"), (sdk4, "runs.fetchStream"), (sdks["sdk3"], "runs.fetchStream")):
        assert sdk(read, run_id, "tokens", collect=100) == [{"text": "Hel"}, "lo", 7]
    [run] = sdk4("runs.subscribeToRun", run_id, collect=1)
    assert run["realtimeStreams"] == ["tokens"]


def test_what_our_own_worker_streams_is_found_and_read_by_the_sdk(sdk4: Sdk, client: Client, worker: Hand) -> None:
    run_id = sdk4("tasks.trigger", name("task"), {}, {})["id"]
    claim = worker.take(run_id)
    attempt = client.worker.attempt(run_id, claim.run_token)
    for piece in ("Hel", "lo"):
        attempt.stream(piece, stream_id="tokens")
    attempt.complete()
    [run] = sdk4("runs.subscribeToRun", run_id, collect=1)
    assert run["realtimeStreams"] == ["tokens"]
    assert sdk4("streams.read", run_id, run["realtimeStreams"][0], collect=100) == ["Hel", "lo"]
