"""The API reference of Strait, and every point in which Runcord decided otherwise."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from runcord.run.status import Status

_FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "strait_reference.json"

ALWAYS = {
    "JobRun": "id job_id project_id status attempt triggered_by priority job_version debug_mode lineage_depth "
    "created_at",
    "RunEvent": "id run_id type message created_at",
    "RunCheckpoint": "id run_id sequence source state created_at",
    "RunUsage": "id run_id provider model prompt_tokens completion_tokens total_tokens cost_microusd created_at",
    "RunToolCall": "id run_id tool_name status created_at",
    "RunOutput": "id run_id output_key value created_at",
    "ExecutionTrace": "queue_wait_ms dequeue_ms connect_ms ttfb_ms transfer_ms total_ms dispatch_ms",
    "DebugBundle": "run events checkpoints usage tool_calls outputs",
    "JobDependency": "id job_id depends_on_job_id condition created_at",
    "RunDependencyStatusResponse": "run_id job_id status dependencies dependencies_satisfied",
    "BulkCancelResponse": "results total canceled failed",
    "Job": "id project_id name slug endpoint_url max_attempts timeout_secs enabled version created_at updated_at",
    "BulkTriggerResponse": "results total created",
    "BatchOperation": "id project_id job_id item_count created_count created_at",
    "QueueStats": "queued executing delayed",
    "APIKey": "id project_id name key_prefix scopes created_at",
    "RotateAPIKeyResponse": "old_key_id new_key_id project_id name key key_prefix scopes created_at grace_expires_at",
    "EventTrigger": "id event_key project_id source_type trigger_type status",
    "JobHealthStats": "total_runs completed_runs failed_runs success_rate avg_duration_secs p95_duration_secs "
    "health_score",
}
"""The members that every answer has, which the reference itself does not say. All others are absent when empty."""

ANY_JSON: Mapping[str, Any] = {}
NUMBER: Mapping[str, Any] = {"type": "number"}

DECIDED_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    # Payloads, results and what workers report are any JSON, not objects alone.
    "JobRun": {
        "payload": ANY_JSON,
        "result": ANY_JSON,
        # Seconds may have fractions.
        "timeout_secs_override": NUMBER,
        "retry_initial_delay_secs": NUMBER,
        "retry_max_delay_secs": NUMBER,
    },
    "RunEvent": {"data": ANY_JSON},
    "RunCheckpoint": {"state": ANY_JSON},
    "RunOutput": {"value": ANY_JSON},
    "RunToolCall": {"input": ANY_JSON, "output": ANY_JSON},
    "EventTrigger": {"request_payload": ANY_JSON, "response_payload": ANY_JSON, "timeout_secs": NUMBER},
    "Job": {"timeout_secs": NUMBER, "run_ttl_secs": NUMBER},
}

DECIDED_STATUSES = {
    "DELETE /v1/runs/{runID}": (200, "JobRun"),
    "POST /v1/runs/{runID}/replay": (201, "JobRun"),
    "POST /v1/runs/{runID}/dlq-replay": (200, "JobRun"),
    "POST /v1/jobs/{jobID}/trigger": (201, "JobRun"),
    "POST /sdk/v1/runs/{runID}/spawn": (201, "JobRun"),
    "POST /sdk/v1/runs/{runID}/continue": (201, "JobRun"),
    "DELETE /v1/api-keys/{keyID}": (200, None),
    # What is made is answered with 201, as Strait's server does and its reference does not say.
    "POST /sdk/v1/runs/{runID}/log": (201, "RunEvent"),
    "POST /sdk/v1/runs/{runID}/progress": (201, "RunEvent"),
    "POST /sdk/v1/runs/{runID}/checkpoint": (201, "RunCheckpoint"),
    "POST /sdk/v1/runs/{runID}/usage": (201, "RunUsage"),
    "POST /sdk/v1/runs/{runID}/tool-call": (201, "RunToolCall"),
    "POST /sdk/v1/runs/{runID}/output": (201, "RunOutput"),
    "POST /sdk/v1/runs/{runID}/annotate": (200, "JobRun"),
    "POST /sdk/v1/runs/{runID}/complete": (200, "JobRun"),
    "POST /sdk/v1/runs/{runID}/fail": (200, "JobRun"),
    # A payload is any JSON.
    "GET /sdk/v1/runs/{runID}/payload": (200, None),
}
"""The success status, and the schema of the answer, where the reference's is not served."""


NOT_THE_REFERENCE_S = {
    # A dry run, and a trigger that a window collects, make no run yet: what they answer is Strait's server's.
    "POST /v1/jobs/{jobID}/trigger": lambda value: "id" not in value,
    # What was made and what was not, each with its place: an array could not say which are missing.
    "POST /v1/jobs/batch": lambda value: {"created", "errors"} == value.keys(),
}
"""Answers for which the reference has no schema."""


@dataclass(frozen=True)
class Reference:
    """One operation of the reference, as it was decided."""

    method: str
    path: str
    status: int
    query: tuple[str, ...]
    media: str
    answer: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """Return method and path, as the fixture has them."""
        return f"{self.method} {self.path}"

    @property
    def shape(self) -> str:
        """Return the path with all parameters alike: what two documents have in common."""
        return re.sub(r"{\w+(:\w+)?}", "{}", self.path)

    def serves(self, method: str, path: str) -> bool:
        """Return whether a request is one to this operation."""
        pattern = re.sub(r"{(\w+)}", lambda found: r".+" if found[1] in _WITH_SLASHES else r"[^/]+", self.path)
        return method == self.method and re.fullmatch(pattern, path) is not None


_WITH_SLASHES = {"key", "eventKey", "prefix"}


@cache
def operations() -> tuple[Reference, ...]:
    """Return the operations; those without parameters in the path first, because they are met first."""
    found = [_operation(name, members) for name, members in _document()["operations"].items()]
    return tuple(sorted(found, key=lambda operation: (operation.path.count("{"), -len(operation.path))))


def check(method: str, path: str, status: int, value: Any) -> None:
    """Raise AssertionError unless the answer to a request is what a user of the reference expects."""
    operation = next((operation for operation in operations() if operation.serves(method, path)), None)
    if operation is None:
        return
    if status >= 400:
        problems = list(_problems_of_error(value))
    else:
        # What a repeated POST finds done already, or does not do yet, is no 201.
        repeated = method == "POST" and operation.status == 201 and status in {200, 202}
        assert status == operation.status or repeated, f"{operation.name} answered {status}"
        problems = list(_problems(operation, value))
    assert not problems, f"{operation.name} answered {status} {json.dumps(value)[:300]}: {problems[:5]}"


def _problems(operation: Reference, value: Any) -> Iterator[str]:
    if operation.answer is None or NOT_THE_REFERENCE_S.get(operation.name, lambda value: False)(value):
        return
    is_page = isinstance(value, dict) and {"data", "has_more"} <= value.keys()
    rows = value["data"] if is_page and operation.answer.get("type") == "array" else value
    for error in _validator(operation.name).iter_errors(rows):
        yield f"{'/'.join(map(str, error.instance_path))}: {error.message}"


def _problems_of_error(value: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield "an error is an object"
        return
    for name in ("error", "code", "message", "request_id"):
        if not isinstance(value.get(name), str) or not value[name]:
            yield f"{name} is missing"
    if value.get("error") != value.get("message"):
        yield "error and message differ"


@cache
def _document() -> Any:
    document = json.loads(_FIXTURE.read_text("utf-8"))
    schemas = document["components"]["schemas"]
    for name, members in ALWAYS.items():
        schemas[name]["required"] = sorted(members.split())
        unknown = set(members.split()) - schemas[name]["properties"].keys()
        assert not unknown, f"{name} has no {unknown}"
    for name, members in DECIDED_SCHEMAS.items():
        schemas[name]["properties"].update(members)
    # The reference leaves two of the statuses out that its own server has.
    schemas["RunStatus"]["enum"] = [str(status) for status in Status]
    return document


def _operation(name: str, members: Mapping[str, Any]) -> Reference:
    method, _, path = name.partition(" ")
    status, answer = members["status"], members.get("answer")
    if name in DECIDED_STATUSES:
        status, schema = DECIDED_STATUSES[name]
        answer = schema and {"$ref": f"#/components/schemas/{schema}"}
    media = "text/event-stream" if path.endswith("/stream/chunks") else members.get("media", "application/json")
    return Reference(method, path, status, tuple(members.get("query", ())), media, answer)


@cache
def _validator(name: str) -> Any:
    (operation,) = (operation for operation in operations() if operation.name == name)
    schema = {**(operation.answer or {}), "components": _nullable(_document()["components"])}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def _nullable(schema: Any) -> Any:
    """Return OpenAPI 3.0's way to permit null as JSON Schema's."""
    if isinstance(schema, list):
        return [_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    members = {name: _nullable(value) for name, value in schema.items() if name != "nullable"}
    return {"anyOf": [members, {"type": "null"}]} if schema.get("nullable") is True else members
