"""Batches by the real SDK: each major in its own protocol."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest
from tests.compat.trigger.conftest import Hand
from tests.compat.trigger.sdk import Sdk, SdkError

from runcord.testing.server import ServerProcess


def names(count: int = 2) -> list[str]:
    return [f"{letter}-{uuid4().hex[:8]}" for letter in "abcdef"[:count]]


def ids(sdk: Sdk, handle: Any) -> list[str]:
    """Return the ids of a batch's runs, in the order of its items: 3.x has them in its handle, 4.x asks for them."""
    if not sdk.is_new:
        return [run["id"] for run in handle["runs"]]
    return sdk("batch.retrieve", handle["batchId"])["runs"]


def test_a_batch_of_one_task_is_triggered_worked_on_and_retrieved(sdk: Sdk, worker: Hand):
    (slug,) = names(1)
    items = [{"payload": {"n": n}, "options": {"tags": [f"n{n}"]}} for n in range(3)]
    handle = sdk("tasks.batchTrigger", slug, items)
    assert handle["publicAccessToken"].startswith("eyJ")
    batch = sdk("batch.retrieve", handle["batchId"])
    run_ids = ids(sdk, handle)
    assert (batch["runCount"], len(set(run_ids))) == (3, 3)
    assert batch["status"] == ("PROCESSING" if sdk.is_new else "PENDING")
    payloads = [worker.complete(run_id).run.payload for run_id in run_ids]
    assert payloads == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert sdk("batch.retrieve", handle["batchId"])["status"] == "COMPLETED"
    assert {run["id"] for run in sdk("runs.list", {"batch": handle["batchId"]}, collect=10)} == set(run_ids)
    assert sdk("runs.retrieve", run_ids[0])["batchId"] == handle["batchId"]


def test_a_batch_of_several_tasks(sdk: Sdk):
    first, second = names()
    items = [{"id": first, "payload": 1}, {"id": second, "payload": 2}, {"id": first, "payload": 3}]
    handle = sdk("batch.trigger", items)
    found = [sdk("runs.retrieve", run_id) for run_id in ids(sdk, handle)]
    assert [(run["taskIdentifier"], run["payload"]) for run in found] == [(first, 1), (second, 2), (first, 3)]


def test_a_key_of_the_batch_finds_it(sdk: Sdk):
    (slug,) = names(1)
    key = sdk("idempotencyKeys.create", f"batch-{uuid4()}", {"scope": "global"})
    first = sdk("tasks.batchTrigger", slug, [{"payload": 1}], {"idempotencyKey": key})
    second = sdk("tasks.batchTrigger", slug, [{"payload": 1}], {"idempotencyKey": key})
    assert second["batchId"] == first["batchId"]
    assert len(ids(sdk, first)) == 1


def test_a_key_of_an_item_finds_its_run(sdk: Sdk, worker: Hand):
    (slug,) = names(1)
    key = sdk("idempotencyKeys.create", "item", {"scope": "global"})
    run_id = sdk("tasks.trigger", slug, 1, {"idempotencyKey": key})["id"]
    items = [{"payload": 1, "options": {"idempotencyKey": key}}, {"payload": 2}]
    found = ids(sdk, sdk("tasks.batchTrigger", slug, items))
    assert found[0] == run_id
    worker.fail(run_id)
    assert ids(sdk, sdk("tasks.batchTrigger", slug, items))[0] != run_id


def test_a_thousand_items(sdk4: Sdk):
    (slug,) = names(1)
    handle = sdk4("tasks.batchTrigger", slug, [{"payload": n} for n in range(1000)])
    assert len(set(ids(sdk4, handle))) == 1000


def test_a_batch_that_is_not_there_is_404(sdk: Sdk):
    with pytest.raises(SdkError) as refused:
        sdk("batch.retrieve", "batch_never")
    assert refused.value.status == 404


def test_items_that_are_sent_again_are_taken_once(server: ServerProcess):
    (slug,) = names(1)
    with httpx2.Client(base_url=server.base_url, headers=server.headers) as http:
        batch_id = http.post("/api/v3/batches", json={"runCount": 3}).json()["id"]
        lines = [f'{{"index": {n}, "task": "{slug}", "payload": {n}}}\n' for n in range(3)]
        path = f"/api/v3/batches/{batch_id}/items"
        first = http.post(path, content="".join(lines[:2])).json()
        assert (first["sealed"], first["itemsAccepted"], first["itemsDeduplicated"]) == (False, 2, 0)
        second = http.post(path, content="".join(lines)).json()
        assert (second["sealed"], second["itemsAccepted"], second["itemsDeduplicated"]) == (True, 1, 2)
        assert len(http.get(f"/api/v2/batches/{batch_id}").json()["runs"]) == 3


def test_a_batch_that_was_left_open_is_not_cached(server: ServerProcess):
    (slug,) = names(1)
    with httpx2.Client(base_url=server.base_url, headers=server.headers) as http:
        body = {"runCount": 1, "idempotencyKey": f"open-{slug}"}
        first = http.post("/api/v3/batches", json=body).json()
        again = http.post("/api/v3/batches", json=body).json()
        assert (again["id"], again["isCached"]) == (first["id"], False)
        http.post(f"/api/v3/batches/{first['id']}/items", content=f'{{"index":0,"task":"{slug}"}}')
        assert http.post("/api/v3/batches", json=body).json()["isCached"] is True
        assert http.post("/api/v3/batches", json={**body, "runCount": 2}).status_code == 422


def test_a_whole_batch_of_early_4x_and_its_results(server: ServerProcess, worker: Hand):
    first, second = names()
    with httpx2.Client(base_url=server.base_url, headers=server.headers) as http:
        items = [{"task": first, "payload": "1"}, {"task": second, "payload": "2"}]
        answer = http.post("/api/v2/tasks/batch", json={"items": items})
        batch_id = answer.json()["id"]
        assert (answer.status_code, answer.json()["runCount"]) == (202, 2)
        assert answer.headers["x-trigger-jwt"]
        one, two = http.get(f"/api/v1/batches/{batch_id}").json()["runs"]
        worker.complete(one, {"done": 1})
        assert http.get(f"/api/v1/batches/{batch_id}/results").status_code == 404
        worker.fail(two, "broken")
        results = http.get(f"/api/v1/batches/{batch_id}/results").json()["items"]
        assert [result["ok"] for result in results] == [True, False]
        assert (results[0]["output"], results[0]["outputType"]) == ('{"done":1}', "application/json")
        assert results[1]["error"]["message"] == "broken"
