"""The document permits the bodies that the models take, and no others, also where a rule is about several members."""

from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError

from runcord.http.openapi import document, path_of
from runcord.http.operation import Operation
from runcord.http.operations import OPERATIONS

BY_ID = {operation.operation_id: operation for operation in OPERATIONS}

JOB = {"name": "Parse", "slug": "parse"}
ENDED = {"run_id": "run_1", "attempt": 1}
RUNS = ["run_1"]

TAKEN: list[tuple[str, Any]] = [
    ("create_jobs", {"jobs": [JOB]}),
    ("create_jobs", [JOB]),
    ("update_job", {"project_id": "proj_test", "description": None}),
    ("enable_jobs", {"ids": ["a"]}),
    ("enable_jobs", {"job_ids": ["a"], "ids": None}),
    ("trigger_job", {}),
    ("trigger_job", {"delay_secs": 1, "delay": None}),
    ("settle_runs", {"settlements": [ENDED | {"status": "completed"}]}),
    ("settle_runs", {"settlements": [ENDED | {"status": "failed", "error": "no"}]}),
    ("fail_run", {"error": "x" * 100_000}),
    ("fail_run", {"error": {"message": "no", "stack": "x" * 1_000_000, "more": [1]}}),
    ("annotate_run", {"annotations": {"a": "1"}}),
    ("annotate_run", {"a": "1"}),
    ("set_output", {"output_key": "a", "value": None}),
    ("set_output", {"key": "a", "value": 1}),
    ("spawn_run", {"job_slug": "a"}),
    ("spawn_run", {"job_id": "a", "job_slug": None}),
    ("reschedule_run", {"scheduled_at": "2199-01-01T00:00:00Z"}),
    ("bulk_cancel_runs", {"run_ids": RUNS}),
    ("bulk_cancel_runs", {"ids": RUNS, "filter": None}),
    ("bulk_cancel_runs", {"filter": {"status": "queued"}}),
    ("bulk_replay_runs", {"filter": {"job_id": "a", "status": None}}),
    ("bulk_cancel_all_runs", {"status": "queued"}),
    ("bulk_replay_dead_letters", {"run_ids": RUNS}),
    ("bulk_replay_dead_letters", {"project_id": "proj_test", "limit": 5}),
    ("bulk_replay_dead_letters", {"status": "dead_letter"}),
]

REFUSED: list[tuple[str, Any]] = [
    ("create_jobs", []),
    ("create_jobs", [None] * 101),
    ("update_job", {}),
    ("update_job", {"project_id": "proj_test"}),
    ("enable_jobs", {}),
    ("enable_jobs", {"ids": []}),
    ("enable_jobs", {"ids": ["a"], "job_ids": ["a"]}),
    ("trigger_job", {"delay_secs": 1, "scheduled_at": "2199-01-01T00:00:00Z"}),
    ("settle_runs", {"settlements": [ENDED | {"status": "failed"}]}),
    ("settle_runs", {"settlements": [ENDED | {"status": "failed", "error": None}]}),
    ("annotate_run", {}),
    ("annotate_run", {"annotations": {}}),
    ("set_output", {"value": 1}),
    ("set_output", {"output_key": "a", "key": "a", "value": 1}),
    ("spawn_run", {}),
    ("spawn_run", {"job_slug": "a", "job_id": "a"}),
    ("reschedule_run", {"scheduled_at": "1850-01-01T00:00:00Z"}),
    ("bulk_cancel_runs", {}),
    ("bulk_cancel_runs", {"run_ids": RUNS, "ids": RUNS}),
    ("bulk_cancel_runs", {"run_ids": RUNS, "filter": {"status": "queued"}}),
    ("bulk_cancel_runs", {"filter": {}}),
    ("bulk_replay_runs", {"filter": {"job_id": None}}),
    ("bulk_cancel_all_runs", {}),
    ("bulk_replay_dead_letters", {}),
    ("bulk_replay_dead_letters", {"run_ids": RUNS, "project_id": "proj_test"}),
    ("bulk_replay_dead_letters", {"run_ids": RUNS, "limit": 5}),
]


@cache
def schema_of(name: str) -> Any:
    operation = BY_ID[name]
    body = document()["paths"][path_of(operation)][operation.method.lower()]["requestBody"]
    schema = {**body["content"]["application/json"]["schema"], "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def takes(operation: Operation, body: Any) -> bool:
    assert operation.body is not None
    try:
        operation.body.model_validate(body)
    except ValidationError:
        return False
    return True


def cases(found: list[tuple[str, Any]]) -> Any:
    return pytest.mark.parametrize(("name", "body"), found, ids=[f"{name}-{str(body)[:60]}" for name, body in found])


@cases(TAKEN)
def test_what_the_model_takes_the_document_permits(name: str, body: Any):
    assert takes(BY_ID[name], body)
    assert schema_of(name).is_valid(body)


@cases(REFUSED)
def test_what_the_model_refuses_the_document_forbids(name: str, body: Any):
    assert not takes(BY_ID[name], body)
    assert not schema_of(name).is_valid(body)


@pytest.mark.parametrize(
    ("name", "body", "fits"),
    [
        ("create_job", JOB | {"debounce_window_secs": 1}, True),
        ("create_job", JOB | {"debounce_window_secs": 1, "batch_window_secs": None}, True),
        ("create_job", JOB | {"debounce_window_secs": 0, "batch_window_secs": 1}, True),
        ("create_job", JOB | {"debounce_window_secs": 1, "batch_window_secs": 1}, False),
        ("create_job", JOB | {"batch_max_size": 5, "batch_window_secs": 1}, True),
        ("create_job", JOB | {"batch_max_size": 5, "batch_window_secs": 0}, False),
        ("create_job", JOB | {"rate_limit_max": 5, "rate_limit_window_secs": 1}, True),
        ("create_job", JOB | {"rate_limit_max": 5}, False),
        ("create_job", JOB | {"rate_limit_max": 0, "rate_limit_window_secs": 1}, False),
        ("create_job", JOB | {"endpoint_url": ""}, True),
        ("create_job", JOB | {"endpoint_url": "ftp://x"}, False),
        ("create_job", JOB | {"max_attempts": 5.0}, True),
        ("create_job", JOB | {"max_attempts": 5.5}, False),
        ("create_api_key", {"name": "ci", "scopes": ["runs:read", "*"]}, True),
        ("create_api_key", {"name": "ci", "scopes": ["runs:rule"]}, False),
    ],
    ids=str,
)
def test_what_is_decided_behind_the_models_stands_in_the_document_too(api, name: str, body: Any, fits: bool):
    assert api.post(BY_ID[name].path, body).status_code == (201 if fits else 400)
    assert schema_of(name).is_valid(body) is fits


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bulk_cancel_all_runs", "BulkCancelAllBody"),
        ("bulk_replay_dead_letters", "BulkDeadLettersBody"),
    ],
)
def test_the_document_permits_the_statuses_that_the_action_takes_and_no_others(api, name: str, kind: str):
    (permitted, _) = document()["components"]["schemas"][kind]["properties"]["status"]["anyOf"]
    every = document()["components"]["schemas"]["Status"]["enum"]
    answers = {status: api.post(BY_ID[name].path, {"status": status, "dry_run": True}).status_code for status in every}
    assert {status for status, answer in answers.items() if answer == 200} == set(permitted["enum"])


def test_a_body_is_needed_where_nothing_will_not_do():
    def is_required(name: str) -> bool:
        operation = BY_ID[name]
        return document()["paths"][path_of(operation)][operation.method.lower()]["requestBody"]["required"]

    for operation in OPERATIONS:
        if operation.body is not None:
            assert is_required(operation.operation_id) is not takes(operation, {}), operation.operation_id
