"""The OpenAPI document: valid, complete, and true."""

import re
from inspect import getdoc

import pytest
from openapi_spec_validator import validate

from runcord.http.app import resources
from runcord.http.models.page import PageQuery
from runcord.http.openapi import TAGS, describe, document, path_of, problem_of
from runcord.http.operation import Operation
from runcord.http.operations import OPERATIONS
from runcord.testing.contract import check_answer

by_name = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.operation_id)


def test_the_document_is_valid():
    validate(document())


def test_the_document_is_served(api):
    served = api.get("/openapi.json").json()
    assert served["openapi"].startswith("3.1")
    assert served["paths"].keys() == document()["paths"].keys()


def test_everything_that_is_served_is_described():
    described = {(path, method.upper()) for path, item in document()["paths"].items() for method in item}
    served = {
        (re.sub(r"{(\w+):\w+}", r"{\1}", path), method)
        for path, resource in resources(OPERATIONS).items()
        for method in resource.by_method
    }
    assert described == served


def test_operations_have_names_of_their_own():
    names = [operation.operation_id for operation in OPERATIONS]
    assert sorted(set(names)) == sorted(names)


@by_name
def test_every_operation_says_what_it_does(operation: Operation):
    text = getdoc(operation.handle)
    assert text is not None and text[0].isupper() and text.endswith(".")
    assert operation.summary and operation.tag in TAGS


@by_name
def test_every_operation_describes_its_answer_and_its_errors(operation: Operation):
    described = document()["paths"][path_of(operation)][operation.method.lower()]
    responses = described["responses"]
    assert ("content" in responses[str(operation.status)]) == (operation.answer is not None)
    expected = {"500", "503"} | ({"401", "403"} if operation.takes_credentials else set())
    assert expected <= responses.keys()
    problem = problem_of(operation).__name__
    assert all(
        response["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{problem}"}
        for status, response in responses.items()
        if int(status) >= 400 and int(status) not in operation.other_answers
    )


@by_name
def test_every_operation_but_public_ones_wants_a_credential(operation: Operation):
    security = document()["paths"][path_of(operation)][operation.method.lower()]["security"]
    assert bool(security) == operation.takes_credentials
    assert ({"runToken": []} in security) == (operation.access == "run")
    assert ({"publicToken": []} in security) == (operation.tokens is not None)


def test_a_new_operation_changes_the_document():
    async def look_around(call):
        """Look around."""

    extra = Operation("GET", "/v1/around/{place:path}", look_around, "Look", "system")
    described = describe((*OPERATIONS, extra))["paths"]["/v1/around/{place}"]["get"]
    assert described["operationId"] == "look_around"
    assert described["parameters"][0]["name"] == "place"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (418, b"{}"),
        (200, b'{"status":"ok","surprise":1}'),
        (200, b'{"status":null}'),
        (200, b"{}"),
        (503, b'{"error":"x"}'),
    ],
)
def test_an_answer_that_is_not_described_is_found_out(status: int, body: bytes):
    with pytest.raises(AssertionError):
        check_answer("GET", "/livez", status, body)


FRAME = (
    b'data: {"type":"stream_chunk","run_id":"r","sequence":1,"stream_id":"default","chunk":"a","done":false,'
    b'"attempt":1,"timestamp":"2026-01-01T00:00:00Z"}\n\n'
)


def test_an_event_of_a_stream_is_described_as_the_wire_carries_it():
    path = "/v1/runs/x/stream/chunks"
    check_answer("GET", path, 200, b"retry: 1000\n\n: keepalive\n\nid: 1\n" + FRAME + b": end\n\n")
    for wrong in (FRAME, b"id: x\n" + FRAME, b"id: 1\n" + FRAME.replace(b'"a"', b"1"), b"id: 1\ndata: 1\n\n"):
        with pytest.raises(AssertionError):
            check_answer("GET", path, 200, wrong)


@by_name
def test_parameters_of_lists_may_be_empty_and_no_others(operation: Operation):
    described = document()["paths"][path_of(operation)][operation.method.lower()]
    is_list = operation.query is not None and issubclass(operation.query, PageQuery)
    for parameter in described.get("parameters", ()):
        assert parameter.get("allowEmptyValue", False) is (is_list and parameter["in"] == "query")


@pytest.mark.parametrize(("last", "fits"), [("", True), ("17", True), ("x", False), ("1" * 19, False)])
def test_the_last_event_id_is_described_as_it_is_taken(api, last: str, fits: bool):
    path = "/v1/runs/{run_id}/stream"
    (header,) = (p for p in document()["paths"][path]["get"]["parameters"] if p["in"] == "header")
    assert bool(re.search(header["schema"]["pattern"], last)) is fits
    claim = api.working()
    api.speaking_as(claim["run_token"]).post(f"/sdk/v1/runs/{claim['run']['id']}/complete", {})
    answer = api.get(path.format(run_id=claim["run"]["id"]), headers={"Last-Event-ID": last})
    assert ("Last-Event-ID" in answer.text) is not fits


def test_an_answer_that_is_described_passes():
    check_answer("GET", "/livez", 200, b'{"status":"ok"}')
