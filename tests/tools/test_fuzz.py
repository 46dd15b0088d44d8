"""What `tools/fuzz` passes over is passed over for its reason alone; everything else is a failure."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hooks, as schemathesis finds them."""
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module("fuzz_parts.hooks")


def failure(kind: str, **members: Any) -> Any:
    return type(kind, (), members)()


def answered(status: int, url: str = "http://x/v1/runs", **problem: Any) -> Any:
    return SimpleNamespace(status_code=status, json=lambda: problem, request=SimpleNamespace(url=url))


def sent(*empty: str, path: str = "/v1/runs", names: Mapping[str, str] | None = None, **headers: str) -> Any:
    query = [SimpleNamespace(name=name, definition={"allowEmptyValue": True}) for name in empty]
    return SimpleNamespace(
        headers=headers, path_parameters=names or {}, operation=SimpleNamespace(query=query, path=path)
    )


FORM = [{"field": "slug", "message": "slug: is required"}]
RULE = [{"field": "", "message": "give one of them"}]


@pytest.mark.parametrize(
    ("status", "problem", "counts"),
    [
        (400, {"message": "the body is not valid: slug: is required", "details": FORM}, True),
        (400, {"message": "the query is not valid: limit: must be a whole number", "details": FORM}, True),
        (400, {"message": "the body is not valid: give one of them", "details": RULE}, True),
        (400, {"message": "the query is not valid: give one of them", "details": RULE}, False),
        (400, {"message": "a run that is queued cannot be paused"}, False),
        (422, {"message": "the idempotency key was used with a different request"}, False),
        (413, {"message": "the body is larger than allowed"}, True),
    ],
)
def test_a_refusal_of_what_is_permitted_counts_unless_it_is_for_the_state(
    hooks: Any, status: int, problem: dict[str, Any], counts: bool
):
    found = failure("RejectedPositiveData")
    assert hooks.filter_failure(None, found, sent(), answered(status, **problem)) is counts


def test_what_is_taken_though_it_is_forbidden_counts_unless_nobody_looks_at_it(hooks: Any):
    found, empty = failure("AcceptedNegativeData"), "http://x/v1/runs?limit="
    assert hooks.filter_failure(None, found, sent("limit"), answered(200))
    assert hooks.filter_failure(None, found, sent("limit"), answered(200, "http://x/v1/runs?limit=x"))
    assert hooks.filter_failure(None, found, sent("cursor"), answered(200, empty))
    assert not hooks.filter_failure(None, found, sent("limit"), answered(200, empty))
    assert not hooks.filter_failure(None, found, sent(**{hooks.UNKNOWN: "42"}), answered(200))


def test_what_is_too_large_counts_as_refused_whatever_it_says(hooks: Any):
    assert not hooks.filter_failure(None, failure("AcceptedNegativeData"), sent(), answered(413))


def test_what_was_just_made_must_be_there_and_what_a_body_names_besides_need_not(hooks: Any):
    def counts(message: str) -> bool:
        made = sent(path="/v1/jobs/{job_id}/trigger", names={"job_id": "job_1"})
        answer = answered(404, "http://x/v1/jobs/job_1/trigger", message=message)
        return hooks.filter_failure(None, failure("EnsureResourceAvailability"), made, answer)

    assert counts("there is no job 'job_1' in this project")
    assert not counts("the parent run 'run_1' is not in this project")


@pytest.mark.parametrize("name", ["", "."])
def test_a_path_that_was_shortened_on_its_way_is_another_operations(hooks: Any, name: str):
    case = sent(path="/v1/jobs/{job_id}/trigger", names={"job_id": name})
    assert not hooks.filter_failure(None, failure("ServerError"), case, answered(405, "http://x/v1/jobs/trigger"))
    assert hooks.filter_failure(None, failure("ServerError"), case, answered(500, "http://x/v1/jobs/a/trigger"))


def test_a_body_of_lines_has_a_value_to_a_line_and_nothing_else_can_be_one(hooks: Any):
    assert hooks.lines(None, [1, {"a": "é"}]) == {"data": b'1\n{"a": "\\u00e9"}\n'}
    with pytest.raises(json.JSONDecodeError):
        json.loads(hooks.lines(None, {"a": 1})["data"])


def test_what_is_deleted_may_be_read_only_where_it_is_called_off_and_not_deleted(hooks: Any):
    def counts(free: str) -> bool:
        return hooks.filter_failure(None, failure("UseAfterFree", free=free), sent(), answered(200))

    assert counts("DELETE /v1/jobs/job_1")
    assert not counts("DELETE /v1/runs/run_1")


@pytest.mark.parametrize("kind", ["ServerError", "JsonSchemaError", "UndefinedStatusCode", "IgnoredAuth"])
def test_everything_else_counts(hooks: Any, kind: str):
    assert hooks.filter_failure(None, failure(kind), sent(), answered(500))
