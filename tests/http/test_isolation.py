"""Who may do what, for every operation there is: made from the list of operations, so that none can be forgotten."""

from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from runcord.http.compat.trigger.trace import span_id
from runcord.http.operation import Operation
from runcord.http.operations import OPERATIONS
from runcord.http.sse import MEDIA_TYPE

PROTECTED = [operation for operation in OPERATIONS if operation.takes_credentials]
OF_EVERYBODY = ("{prefix", "{name}", "{task:", "{packet:")
"""In paths of what every project has one of its own of: of keys with a prefix, a projection, a task, an upload."""
ABOUT_ONE_THING = [
    operation
    for operation in PROTECTED
    if "{" in operation.path and not any(name in operation.path for name in OF_EVERYBODY)
]

# What makes each operation succeed if nothing but the credential stands in its way.
BODIES: Mapping[str, Any] = {
    "create_job": {"name": "n", "slug": "n"},
    "update_job": {"name": "changed"},
    "clone_job": {"name": "n", "slug": "n"},
    "create_jobs": {"jobs": [{"name": "n", "slug": "n"}]},
    "enable_jobs": {"ids": ["parse"]},
    "disable_jobs": {"ids": ["parse"]},
    "create_job_dependency": {"depends_on_job_id": "upstream"},
    "trigger_job": {"payload": 1},
    "bulk_trigger_job": {"items": [{"payload": 1}]},
    "dequeue_runs": {"worker_id": "w"},
    "settle_runs": {"settlements": [{"run_id": "run_x", "attempt": 1, "status": "completed"}]},
    "reschedule_run": {"scheduled_at": "2199-01-01T00:00:00Z"},
    "bulk_cancel_runs": {"run_ids": ["run_x"]},
    "bulk_cancel_all_runs": {"batch_id": "batch_x"},
    "bulk_replay_runs": {"run_ids": ["run_x"]},
    "bulk_replay_dead_letters": {"run_ids": ["run_x"]},
    "create_api_key": {"name": "n", "scopes": ["runs:read"]},
    "purge_event_waits": {"older_than_days": 1},
    "complete_run": {"result": 1},
    "fail_run": {"error": "x"},
    "spawn_run": {"job_slug": "parse"},
    "wait_for_event": {"event_key": "k"},
    "save_checkpoint": {"state": 1},
    "report_progress": {"percent": 1},
    "write_log": {"message": "m"},
    "annotate_run": {"annotations": {"a": "b"}},
    "tag_run": {"tags": {"a": "b"}},
    "record_usage": {"provider": "p", "model": "m"},
    "record_tool_call": {"tool_name": "t"},
    "set_output": {"output_key": "k", "value": 1},
    "set_state": {"key": "k", "value": 1},
    "stream_chunk": {"chunk": "c"},
    "send_trigger_input": {"data": 1},
    "skip_event": {"position": 1, "reason": "r"},
    "trigger_task": {"payload": {}},
    "open_task_batch": {"runCount": 1},
    "send_batch_items": {"index": 0, "task": "parse"},
    "trigger_task_batch": {"items": [{"task": "parse"}]},
    "trigger_counted_batch": {"items": [{"task": "parse"}]},
    "reschedule_task_run": {"delay": "1h"},
    "add_task_run_tags": {"tags": "a"},
    "change_task_run_metadata": {"metadata": {}},
    "reset_task_key": {"taskIdentifier": "parse"},
    "create_bulk_action": {"action": "cancel", "runIds": ["run_x"]},
    "create_public_token": {"scopes": ["read:runs"]},
    "mint_public_token": {"scopes": ["read:runs"]},
}


NAMES = (
    "run_id",
    "job_id",
    "key",
    "event_key",
    "key_id",
    "dependency_id",
    "version_id",
    "operation_id",
    "prefix",
    "batch_id",
    "name",
    "task",
    "packet",
    "grant",
    "target",
    "project_ref",
    "span_id",
)
"""What paths name."""


def named(operations: list[Operation]) -> Any:
    return pytest.mark.parametrize("operation", operations, ids=lambda operation: operation.operation_id)


@pytest.fixture
def things(api) -> Mapping[str, str]:
    return one_of_everything(api)


@pytest.fixture(scope="module")
def standing_things(standing) -> Mapping[str, str]:
    return one_of_everything(standing.api())


def one_of_everything(api: Any) -> Mapping[str, str]:
    """Return what a path can name, of the project `proj_test`."""
    api.new_job(timeout_secs=3600)
    run_id, waiting = api.new_run()["id"], api.new_run()["id"]
    (claim,) = api.take(run_id=run_id, start=True, lease_secs=3600)
    api.post(f"/sdk/v1/runs/{run_id}/state", {"key": "k", "value": 1})
    api.take(run_id=waiting, start=True, lease_secs=3600)
    api.post(f"/sdk/v1/runs/{waiting}/wait-for-event", {"event_key": "e"})
    api.new_job("before")
    api.new_job("upstream")
    dependency = api.post("/v1/jobs/parse/dependencies", {"depends_on_job_id": "before"}).json()
    operation_id = api.post("/v1/runs/bulk-cancel-all?async=true", {"batch_id": "none"}).json()["request_id"]
    api.until(f"/v1/bulk-operations/{operation_id}", lambda operation: operation["status"] == "completed")
    api.post("/v1/jobs/parse/trigger", {"idempotency_key": "k"})
    return {
        "operation_id": operation_id,
        "dependency_id": dependency["id"],
        "version_id": api.get("/v1/jobs/parse").json()["version_id"],
        "run_id": run_id,
        "job_id": claim["run"]["job_id"],
        "key": "k",
        "event_key": "e",
        "prefix": "e",
        "name": "tag_index",
        "batch_id": api.post("/api/v3/batches", {"runCount": 1}).json()["id"],
        "task": "parse",
        "packet": "a/b.json",
        "target": "self",
        "project_ref": api.project_id,
        "span_id": span_id(run_id),
        "key_id": api.get("/v1/whoami").json()["key_id"],
    }


def path_with(operation: Operation, things: Mapping[str, str]) -> str:
    return operation.path.replace(":path", "").format(**things)


def end_if_followed(api: Any, operation: Operation, things: Mapping[str, str]) -> None:
    """End what the operation follows if it is a stream, which this client could not leave."""
    if operation.is_stream and "{event_key" in operation.path:
        assert api.post(f"/v1/events/{things['event_key']}/send", {}).status_code == 200
    elif operation.is_stream:
        assert api.delete(f"/v1/runs/{things['run_id']}").status_code == 200


def tables(dsn: str) -> Any:
    """Return all that commands and key calls can change."""
    with psycopg.connect(dsn) as conn:
        return [
            conn.execute(statement).fetchall()
            for statement in (
                "select project_id, position, digest from ledger_heads order by 1",
                "select * from runs order by 1, 2",
                "select * from jobs order by 1, 2",
                "select * from job_secrets order by 1, 2, 3",
                "select * from leases order by 1, 2",
                "select * from idempotency_keys order by 1, 2, 3",
                "select * from event_waits order by 1, 2",
                "select * from chunk_heads order by 1, 2",
                "select * from run_chunks order by 1, 2, 3",
                "select * from dependency_waits order by 1, 2, 3, 4, 5",
                "select * from upstream_endings order by 1, 2, 3, 4",
                "select * from bulk_operations order by 1, 2",
                "select * from batches order by 1, 2",
                "select * from uploads order by 1, 2",
                "select * from api_keys order by 1, 2",
                "select * from api_key_hashes order by 1, 2",
                "select * from spent_tokens order by 1, 2",
                "select * from projection_skips order by 1, 2",
                # First generations begin by themselves, and positions move.
                "select project_id, name, generation, status from projections where generation > 1 order by 1, 2, 3",
            )
        ]


@named(PROTECTED)
def test_nobody_comes_in_without_a_credential(standing, operation: Operation):
    path = path_with(operation, dict.fromkeys(NAMES, "x"))
    before = tables(standing.dsn)
    for headers in (
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer strait_" + "0" * 64},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."},
    ):
        body = BODIES.get(operation.operation_id)
        answer = standing.client.request(operation.method, path, headers=headers, json=body)
        # A token is no credential at all where only keys are taken: 403 tells so, and lets nobody in either.
        assert answer.status_code in ({401, 403} if ".eyJ" in str(headers) else {401}), answer.text
        assert answer.headers.get("www-authenticate") == ("Bearer" if answer.status_code == 401 else None)
    assert tables(standing.dsn) == before


@named([operation for operation in PROTECTED if operation.scope is not None])
def test_a_key_without_the_scope_may_not(standing, standing_things, operation: Operation):
    accepted = {operation.scope, *operation.other_scopes}
    scopes = {scope for other in OPERATIONS for scope in (other.scope, *other.other_scopes) if scope} - accepted
    keyless, others = standing.api(scopes=[]), standing.api(scopes=sorted(scopes))
    path, body = path_with(operation, standing_things), BODIES.get(operation.operation_id)
    before = tables(standing.dsn)
    for caller in (keyless, others):
        answer = caller.request(operation.method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text
        assert operation.scope in answer.json()["message"]
    assert tables(standing.dsn) == before


@named(ABOUT_ONE_THING)
def test_what_belongs_to_another_project_is_not_there(standing, standing_things, operation: Operation):
    stranger = standing.api("proj_stranger")
    path, body = path_with(operation, standing_things), BODIES.get(operation.operation_id)
    before = tables(standing.dsn)
    answer = stranger.request(operation.method, path, body)
    assert answer.status_code == 404, answer.text
    assert tables(standing.dsn) == before
    # It is not told apart from what is nowhere.
    nowhere = stranger.request(operation.method, path_with(operation, dict.fromkeys(standing_things, "x")), body)
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, answer.json()["code"])


LISTS = [
    operation
    for operation in PROTECTED
    # What is nothing but a stream has no end that this client could wait for.
    if operation.method == "GET" and "{" not in operation.path and operation.media_type != MEDIA_TYPE
]


@named(LISTS)
def test_lists_show_nothing_of_another_project(standing, standing_things, operation: Operation):
    seen = standing.api("proj_stranger").get(operation.path).text
    assert not any(value in seen for name, value in standing_things.items() if name.endswith("_id"))


@named([operation for operation in PROTECTED if operation.access == "run"])
def test_a_run_token_speaks_for_its_own_run_alone(standing, standing_things, operation: Operation):
    other = standing.api().new_run()
    before = tables(standing.dsn)
    answer = (
        standing.api()
        .speaking_as(other["run_token"])
        .request(operation.method, path_with(operation, standing_things), BODIES.get(operation.operation_id))
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert tables(standing.dsn) == before


@named([operation for operation in PROTECTED if operation.access == "key"])
def test_a_run_token_opens_nothing_but_the_workers_calls(standing, standing_things, operation: Operation):
    run = standing.api().new_run()
    path = path_with(operation, dict.fromkeys(NAMES, "x") | {"run_id": run["id"], "job_id": run["job_id"]})
    worker, body = standing.api().speaking_as(run["run_token"]), BODIES.get(operation.operation_id)
    before = tables(standing.dsn)
    answer = worker.request(operation.method, path, body)
    assert answer.status_code == 403, answer.text
    assert tables(standing.dsn) == before


@named(ABOUT_ONE_THING)
def test_the_owner_is_let_in_with_the_same_request(api, things, operation: Operation):
    """Without this, the tests above could pass because their requests are no good at all."""
    end_if_followed(api, operation, things)
    answer = api.request(operation.method, path_with(operation, things), BODIES.get(operation.operation_id))
    # The run works: some commands are refused by its status, which is not the same as not being let in.
    by_its_state = {"illegal_transition", "job_has_active_runs", "bulk_operation_ended", "run_not_ended"}
    assert answer.status_code < 300 or answer.json()["code"] in by_its_state, answer.text


def test_a_revoked_key_opens_nothing(new_api, api, dsn, monkeypatch):
    monkeypatch.setattr("runcord.http.remembered.CACHE_SECS", 0)
    other = new_api()
    key_id = other.get("/v1/whoami").json()["key_id"]
    api.delete(f"/v1/api-keys/{key_id}")
    assert other.get("/v1/whoami").status_code == 401
