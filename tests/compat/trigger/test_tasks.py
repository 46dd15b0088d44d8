"""Triggering tasks and reading their runs, by the real SDK, with a Python worker on the other side."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from tests.compat.trigger.conftest import Hand
from tests.compat.trigger.sdk import Sdk, SdkError, time_of

from runcord.client import Client
from runcord.testing.server import PROJECT, ServerProcess


def task(name: str = "task") -> str:
    return f"{name}-{uuid4().hex[:8]}"


def trigger(sdk: Sdk, slug: str, payload: Any = None, **options: Any) -> str:
    return sdk("tasks.trigger", slug, payload, options)["id"]


def test_a_task_is_triggered_worked_on_and_retrieved(sdk: Sdk, worker: Hand):
    slug = task()
    handle = sdk("tasks.trigger", slug, {"to": "a@example.com", "n": [1, 2.5, None]})
    assert handle["publicAccessToken"].startswith("eyJ")
    queued = sdk("runs.retrieve", handle["id"])
    assert (queued["status"], queued["isQueued"], queued["taskIdentifier"]) == ("QUEUED", True, slug)
    assert queued["payload"] == {"to": "a@example.com", "n": [1, 2.5, None]}

    claim = worker.complete(handle["id"], {"sent": True})
    assert claim.run.payload == {"to": "a@example.com", "n": [1, 2.5, None]}
    done = sdk("runs.retrieve", handle["id"])
    assert (done["status"], done["isCompleted"], done["isSuccess"], done["attemptCount"]) == (
        "COMPLETED",
        True,
        True,
        1,
    )
    assert done["output"] == {"sent": True}
    assert time_of(done["createdAt"]) <= time_of(done["startedAt"]) <= time_of(done["finishedAt"])
    assert sdk("runs.poll", handle["id"], {"pollIntervalMs": 10})["output"] == {"sent": True}


@pytest.mark.parametrize("slug", ["images/resize", "a b", "50%", "päckchen", "x/trigger"])
def test_a_task_may_have_any_name(sdk: Sdk, slug: str):
    slug = f"{slug}-{sdk.major}"
    assert sdk("runs.retrieve", trigger(sdk, slug))["taskIdentifier"] == slug


@pytest.mark.parametrize(
    ("payload", "plain"),
    [
        ("just text", "just text"),
        ({"at": {"$date": "2026-01-01T00:00:00.000Z"}}, {"at": "2026-01-01T00:00:00.000Z"}),
        ({"big": {"$bigint": "12345678901234567890"}}, {"big": "12345678901234567890"}),
        ([1, "ü", {"deep": [{}]}], [1, "ü", {"deep": [{}]}]),
        (7, 7),
        (None, None),
    ],
)
def test_a_worker_sees_plain_json_whatever_the_client_wrote(sdk: Sdk, worker: Hand, payload: Any, plain: Any):
    run_id = trigger(sdk, task(), payload)
    assert worker.take(run_id).run.payload == plain
    assert sdk("runs.retrieve", run_id).get("payload") == plain


def test_a_large_payload_is_triggered(sdk: Sdk, worker: Hand):
    """4.x uploads payloads of 128 KiB and more, 3.x sends them along."""
    payload = {"text": "ü" * 150_000, "at": {"$date": "2026-01-01T00:00:00.000Z"}}
    plain = {**payload, "at": "2026-01-01T00:00:00.000Z"}
    run_id = trigger(sdk, task(), payload)
    assert sdk("runs.retrieve", run_id)["payload"] == plain
    assert worker.take(run_id).run.payload == plain
    batch = sdk("tasks.batchTrigger", task(), [{"payload": payload}, {"payload": 1}])
    run_id = (sdk("batch.retrieve", batch["batchId"])["runs"] if sdk.is_new else [batch["runs"][0]["id"]])[0]
    assert worker.take(run_id).run.payload == plain


def test_what_options_say_has_its_effect(sdk: Sdk, client: Client):
    options = {
        "tags": ["user:1", "user:2", "plain"],
        "metadata": {"n": 1, "nested": {"a": [True]}},
        "maxAttempts": 7,
        "maxDuration": 90,
        "priority": 5,
        "concurrencyKey": "k",
        "queue": "slow" if sdk.is_new else {"name": "slow"},
        "ttl": "1h30m",
        "delay": "10m",
        "machine": "small-2x",
    }
    run_id = trigger(sdk, task(), {}, **options)
    shown = sdk("runs.retrieve", run_id)
    assert shown["tags"] == ["plain", "user:1", "user:2"]
    assert shown["metadata"] == {"n": 1, "nested": {"a": [True]}}
    assert (shown["status"], shown["ttl"]) == ("DELAYED", "1h30m")
    delay = time_of(shown["delayedUntil"]) - time_of(shown["createdAt"])
    assert 595 <= delay.total_seconds() <= 605
    run = client.runs.get(run_id)
    assert run.tags == {"user:1": "", "user:2": "", "plain": ""}
    assert run.metadata == {"n": "1", "nested": '{"a":[true]}'}
    assert (run.queue, run.concurrency_key) == ("slow", "k")
    assert run.priority == (5 if sdk.is_new else 0)  # 3.x knows no priorities


def test_a_failed_run_shows_its_error(sdk: Sdk, worker: Hand):
    run_id = trigger(sdk, task())
    worker.fail(run_id, "no such mailbox")
    run = sdk("runs.retrieve", run_id)
    assert (run["status"], run["isFailed"], run["isCompleted"]) == ("FAILED", True, True)
    assert run["error"]["message"] == "no such mailbox"


def test_an_idempotency_key_finds_its_run(sdk: Sdk, worker: Hand):
    slug = task()
    key = sdk("idempotencyKeys.create", "order-1", {"scope": "global"})
    first = sdk("tasks.trigger", slug, {"n": 1}, {"idempotencyKey": key, "idempotencyKeyTTL": "1h"})
    second = sdk("tasks.trigger", slug, {"n": 2}, {"idempotencyKey": key, "idempotencyKeyTTL": "1h"})
    assert second["id"] == first["id"]
    assert trigger(sdk, task(), idempotencyKey=key) != first["id"]
    worker.fail(first["id"])
    assert trigger(sdk, slug, idempotencyKey=key) != first["id"]


def test_a_key_is_reset(sdk4: Sdk):
    slug = task()
    first = trigger(sdk4, slug, idempotencyKey="order-2")
    assert sdk4("idempotencyKeys.reset", slug, "order-2", {"scope": "global"})["id"]
    assert trigger(sdk4, slug, idempotencyKey="order-2") != first
    with pytest.raises(SdkError, match="holds this idempotency key") as refused:
        sdk4("idempotencyKeys.reset", slug, "never-used", {"scope": "global"})
    assert refused.value.status == 404


def test_the_key_is_shown_as_the_user_wrote_it(sdk4: Sdk):
    key = sdk4("idempotencyKeys.create", "order-3", {"scope": "global"})
    shown = sdk4("runs.retrieve", trigger(sdk4, task(), idempotencyKey=key))["idempotencyKey"]
    assert shown == "order-3"
    written = sdk4("runs.retrieve", trigger(sdk4, task(), idempotencyKey="order-4"))["idempotencyKey"]
    assert written == "order-4"


def test_a_run_is_cancelled_and_cancelling_it_again_does_no_harm(sdk: Sdk, worker: Hand):
    run_id = trigger(sdk, task())
    for _ in range(2):
        assert sdk("runs.cancel", run_id) == {"id": run_id}
    run = sdk("runs.retrieve", run_id)
    assert (run["status"], run["isCancelled"], run["isCompleted"]) == ("CANCELED", True, True)
    done = trigger(sdk, task())
    worker.complete(done)
    sdk("runs.cancel", done)
    assert sdk("runs.retrieve", done)["status"] == "COMPLETED"


def test_a_run_is_replayed_in_any_status(sdk: Sdk, worker: Hand):
    first = trigger(sdk, task(), {"n": 1, "at": {"$date": "2026-01-01T00:00:00.000Z"}}, tags=["a"])
    replayed = sdk("runs.replay", first)["id"]
    worker.complete(first)
    again = sdk("runs.replay", first)["id"]
    assert len({first, replayed, again}) == 3
    run = sdk("runs.retrieve", again)
    assert (run["payload"]["n"], run["tags"], run["status"]) == (1, ["a"], "QUEUED")


def test_a_replay_may_be_given_other_options(sdk4: Sdk, client: Client):
    first = trigger(sdk4, task(), {"n": 1}, tags=["a"], metadata={"m": 1})
    changes = {"payload": {"n": 2}, "tags": ["b"], "queue": "slow", "maxAttempts": 9, "priority": 2}
    run_id = sdk4("runs.replay", first, changes)["id"]
    run = sdk4("runs.retrieve", run_id)
    assert (run["payload"], run["tags"], run["metadata"]) == ({"n": 2}, ["b"], {"m": 1})
    ours = client.runs.get(run_id)
    assert (ours.queue, ours.priority, ours.replay_of) == ("slow", 2, first)


def test_a_delayed_run_is_rescheduled_and_another_is_not(sdk: Sdk):
    run_id = trigger(sdk, task(), delay="1h")
    moved = sdk("runs.reschedule", run_id, {"delay": "2h"})
    assert (time_of(moved["delayedUntil"]) - time_of(moved["createdAt"])).total_seconds() > 7000
    moved = sdk("runs.reschedule", run_id, {"delay": {"$date": "2100-01-01T00:00:00.000Z"}})
    assert time_of(moved["delayedUntil"]).year == 2100
    with pytest.raises(SdkError) as refused:
        sdk("runs.reschedule", trigger(sdk, task()), {"delay": "1h"})
    assert refused.value.status == 400


def test_tags_are_added_up_to_ten(sdk: Sdk):
    run_id = trigger(sdk, task(), tags=["a"])
    assert "message" in sdk("api.addTags", run_id, {"tags": "b"})
    sdk("api.addTags", run_id, {"tags": [f"t{n}" for n in range(8)]})
    with pytest.raises(SdkError, match="at most 10 tags") as refused:
        sdk("api.addTags", run_id, {"tags": ["one-more"]})
    assert refused.value.status == 422
    assert len(sdk("runs.retrieve", run_id)["tags"]) == 10


def test_metadata_is_changed_by_operations(sdk: Sdk):
    run_id = trigger(sdk, task(), metadata={"n": 1})
    operations = [
        {"type": "increment", "key": "n", "value": 2},
        {"type": "append", "key": "steps", "value": "one"},
        {"type": "set", "key": "$.nested.deep", "value": {"a": 1}},
    ]
    changed = sdk("api.updateRunMetadata", run_id, {"operations": operations})
    assert changed["metadata"] == {"n": 3, "steps": ["one"], "nested": {"deep": {"a": 1}}}
    sdk("api.updateRunMetadata", run_id, {"rootOperations": [{"type": "delete", "key": "n"}]})
    assert sdk("api.getRunMetadata", run_id)["metadata"] == {"steps": ["one"], "nested": {"deep": {"a": 1}}}
    assert sdk("api.updateRunMetadata", run_id, {"metadata": {"fresh": True}})["metadata"] == {"fresh": True}
    assert sdk("runs.retrieve", run_id)["metadata"] == {"fresh": True}


def test_a_run_of_the_other_dialect_is_seen_worked_on_and_replayed(sdk: Sdk, client: Client, worker: Hand):
    slug = task()
    client.jobs.create(slug)
    ours = client.jobs.trigger(slug, {"n": 1}, tags={"team": "a", "plain": ""})
    run = sdk("runs.retrieve", ours.id)
    assert (run["taskIdentifier"], run["payload"], run["tags"]) == (slug, {"n": 1}, ["plain", "team:a"])
    worker.complete(ours.id, [1])
    replayed = sdk("runs.replay", ours.id)["id"]
    assert client.runs.get(replayed).replay_of == ours.id
    sdk("runs.cancel", replayed)
    again = client.runs.replay(replayed)
    assert sdk("runs.retrieve", again.id)["payload"] == {"n": 1}


def test_the_family_of_a_run_is_shown(sdk4: Sdk, client: Client, worker: Hand):
    parent = trigger(sdk4, task("parent"))
    claim = worker.take(parent)
    slug = task("child")
    client.jobs.create(slug)
    child = client.worker.attempt(parent, claim.run_token).spawn(slug, {"n": 1}, project_id=PROJECT).id
    related = sdk4("runs.retrieve", parent)["relatedRuns"]
    assert [one["id"] for one in related["children"]] == [child]
    run = sdk4("runs.retrieve", child)
    assert (run["relatedRuns"]["parent"]["id"], run["relatedRuns"]["root"]["id"], run["depth"]) == (parent, parent, 1)


def test_a_run_that_is_not_there_is_404_at_once(sdk: Sdk):
    with pytest.raises(SdkError) as refused:
        sdk("runs.retrieve", "run_never")
    assert (refused.value.status, refused.value.name) == (404, "NotFoundError")


def test_more_than_ten_tags_are_refused_by_both(sdk: Sdk):
    with pytest.raises(SdkError) as refused:
        trigger(sdk, task(), tags=[f"t{n}" for n in range(11)])
    assert refused.value.status == 422


def test_a_request_that_is_sent_again_makes_nothing_twice(server: ServerProcess):
    headers = {**server.headers, "x-trigger-request-idempotency-key": str(uuid4())}
    with httpx2.Client(base_url=server.base_url, headers=headers) as http:
        run_id, again = (http.post(f"/api/v1/tasks/{task('twice')}/trigger", json={}).json()["id"] for _ in "ab")
        assert run_id != again  # the key is of a request, and these are two
        path = f"/api/v1/tasks/{task('twice')}/trigger"
        first, second = (http.post(path, json={"payload": 1}) for _ in range(2))
        assert first.json() == second.json() == {"id": first.json()["id"], "isCached": False}
        replays = {http.post(f"/api/v1/runs/{run_id}/replay").json()["id"] for _ in range(2)}
        batches = {http.post("/api/v3/batches", json={"runCount": 1}).json()["id"] for _ in range(2)}
        assert (len(replays), len(batches)) == (1, 1)


def test_the_address_of_an_upload_allows_nothing_else(server: ServerProcess):
    with httpx2.Client(base_url=server.base_url) as http:
        path = f"trigger/{uuid4().hex}/payload.json"
        url = http.put(f"/api/v2/packets/{path}", headers=server.headers).json()["presignedUrl"]
        kind = {"Content-Type": "application/super+json"}
        assert http.put(url, content='{"json":1}', headers=kind).status_code == 200
        assert http.get(url).status_code == 404
        assert http.put(f"{url[:-4]}AAAA", content="2").status_code == 403
        download = http.get(f"/api/v1/packets/{path}", headers=server.headers).json()["presignedUrl"]
        answer = http.get(download)
        assert (answer.text, answer.headers["content-type"]) == ('{"json":1}', "application/super+json")
        assert http.put(download, content="2").status_code == 404
        assert http.get("/api/v1/packets/nowhere", headers=server.headers).status_code == 404
        body = {"payload": "nowhere", "options": {"payloadType": "application/store"}}
        refused = http.post("/api/v1/tasks/upload/trigger", json=body, headers=server.headers)
        assert (refused.status_code, "nowhere" in refused.json()["error"]) == (400, True)


def delayed_until(sdk: Sdk, run_id: str) -> float:
    run = sdk("runs.retrieve", run_id)
    return (time_of(run["delayedUntil"]) - time_of(run["createdAt"])).total_seconds()


def test_a_burst_of_triggers_is_one_run_as_the_first_one_says(sdk4: Sdk):
    slug, key = task(), "user-1" + "x" * 500
    debounce = {"key": key, "delay": "1h"}
    handles = [sdk4("tasks.trigger", slug, n, {"debounce": debounce, "tags": [f"n{n}"]}) for n in range(3)]
    assert len({handle["id"] for handle in handles}) == 1
    run = sdk4("runs.retrieve", handles[0]["id"])
    assert (run["status"], run["payload"], run["tags"]) == ("DELAYED", 0, ["n0"])
    assert delayed_until(sdk4, run["id"]) > 3600
    # Neither a shorter delay, nor another task, nor another key moves it.
    before = run["delayedUntil"]
    assert trigger(sdk4, slug, debounce={"key": key, "delay": "2s"}) == run["id"]
    others = {trigger(sdk4, task(), debounce=debounce), trigger(sdk4, slug, debounce={"key": "2", "delay": "1h"})}
    assert len({*others, run["id"]}) == 3
    assert sdk4("runs.retrieve", run["id"])["delayedUntil"] == before


def test_a_trailing_burst_runs_as_the_last_trigger_says(sdk4: Sdk, worker: Hand):
    slug = task()
    debounce = {"key": "k", "delay": "1s", "mode": "trailing"}
    made = {
        trigger(sdk4, slug, {"n": n}, debounce=debounce, metadata={"n": n}, maxAttempts=n + 1, tags=[f"n{n}"])
        for n in range(3)
    }
    (run_id,) = made
    run = sdk4("runs.retrieve", run_id)
    assert (run["payload"], run["metadata"], run["tags"]) == ({"n": 2}, {"n": 2}, ["n2"])
    shown = sdk4("runs.subscribeToRun", run_id, until=["QUEUED"], collect=10)
    assert shown[-1]["status"] == "QUEUED"
    assert worker.complete(run_id).run.payload == {"n": 2}
    assert trigger(sdk4, slug, debounce=debounce) != run_id


def test_a_burst_is_put_off_to_its_max_delay_and_no_further(sdk4: Sdk):
    slug = task()
    first, second = (
        trigger(sdk4, slug, n, debounce={"key": "k", "delay": "1h", "maxDelay": most})
        for n, most in enumerate(("2h", "3601s"))
    )
    assert first == second or delayed_until(sdk4, second) >= 3600
    third = trigger(sdk4, slug, 3, debounce={"key": "k", "delay": "3h", "maxDelay": "3h1s"})
    fourth = trigger(sdk4, slug, 4, delay="10h", debounce={"key": "k", "delay": "4h", "maxDelay": "5h"})
    assert (third, fourth) == (second, second)
    assert trigger(sdk4, slug, 5, debounce={"key": "k", "delay": "5h", "maxDelay": "5h1s"}) == fourth


def test_an_idempotency_key_of_a_trigger_that_was_debounced_finds_its_run_until_it_is_reset(sdk4: Sdk):
    slug = task()
    debounce = {"key": "k", "delay": "1h"}
    first, second = (trigger(sdk4, slug, idempotencyKey=key, debounce=debounce) for key in ("one", "two"))
    again = sdk4("tasks.trigger", slug, None, {"idempotencyKey": "two"})
    assert (first, again["id"], again["isCached"]) == (second, second, True)
    sdk4("idempotencyKeys.reset", slug, "two", {"scope": "global"})
    assert trigger(sdk4, slug, idempotencyKey="one") == first
    assert trigger(sdk4, slug, idempotencyKey="two") != first


def test_a_token_that_writes_runs_resets_a_key(sdk4: Sdk, node_modules: Path, server: ServerProcess):
    slug = task()
    first = trigger(sdk4, slug, idempotencyKey="k")
    token = sdk4("auth.createPublicToken", {"scopes": {"write": {"runs": True}}})
    with Sdk("sdk4", node_modules, server.base_url, token) as holder:
        holder("idempotencyKeys.reset", slug, "k", {"scope": "global"})
    assert trigger(sdk4, slug, idempotencyKey="k") != first


@pytest.mark.parametrize(
    "debounce",
    [
        {"key": "k", "delay": "2026-01-01T00:00:00Z"},
        {"key": "k", "delay": "0s"},
        {"key": "k", "delay": "5s", "maxDelay": "soon"},
        {"key": "k", "delay": "5s", "maxDelay": "5s"},
        {"key": "k" * 513, "delay": "5s"},
    ],
)
def test_a_debounce_that_cannot_be_is_refused(sdk4: Sdk, debounce: dict[str, str]):
    with pytest.raises(SdkError, match="debounce") as refused:
        trigger(sdk4, task(), debounce=debounce)
    assert refused.value.status in (400, 422)


def test_a_debounce_window_of_the_job_gathers_triggers_that_bring_none(sdk4: Sdk, client: Client):
    slug = task()
    client.jobs.create(slug, debounce_window_secs=60)
    first, second = (trigger(sdk4, slug, n) for n in (1, 2))
    assert (first, sdk4("runs.retrieve", first)["payload"]) == (second, 2)
    assert trigger(sdk4, slug, 3, debounce={"key": "other", "delay": "5s"}) != first
    batch = sdk4("tasks.batchTrigger", slug, [{"payload": 1}, {"payload": 2}])
    assert len(set(sdk4("batch.retrieve", batch["batchId"])["runs"])) == 2


def test_items_of_a_batch_are_debounced_too(sdk4: Sdk):
    slug = task()
    options = {"debounce": {"key": "k", "delay": "1h"}}
    first = trigger(sdk4, slug, 0, **options)
    batch = sdk4("tasks.batchTrigger", slug, [{"payload": n, "options": options} for n in (1, 2)])
    assert set(sdk4("batch.retrieve", batch["batchId"])["runs"]) == {first}
