"""Hooks of schemathesis: real things to speak about, and what is no failure."""

import json
import os
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase

from fuzz_parts.stock import Stock


@cache
def stock() -> Stock:
    """Return what there is to speak about, on the server that `tools/fuzz` has started."""
    return Stock(os.environ["RUNCORD_FUZZ_URL"], os.environ["RUNCORD_FUZZ_KEY"])


def lines(context: Any, value: Any) -> dict[str, Any]:
    """Write a body that has a JSON value to a line: a list has the values; anything else is made wrong on purpose."""
    text = "".join(f"{json.dumps(each)}\n" for each in value) if isinstance(value, list) else "{no JSON"
    return {"data": text.encode()}


schemathesis.serializer("application/x-ndjson")(lines)


UNKNOWN = "x-schemathesis-unknown-property"

STAYS = ("DELETE /v1/runs/", "DELETE /v1/api-keys/", "DELETE /v1/bulk-operations/", "DELETE /v1/events/")
"""What these call off stays readable: nothing is ever taken out of the record."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Name things that are there, in three of four requests, where the request was not made wrong on purpose."""
    label = case.operation.label
    if not _is_chained(case) and _is_well_formed(case, ParameterLocation.PATH):
        for name, value in stock().for_path(label, case.path_parameters).items():
            case.path_parameters[name] = value
    if case.query and "cursor" in case.query and _is_well_formed(case, ParameterLocation.QUERY):
        # A cursor is what the page before said; of a list in general nobody has one.
        del case.query["cursor"]
    if isinstance(case.body, dict) and _is_well_formed(case, ParameterLocation.BODY):
        case.body.update(stock().for_body(label, case.body))


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Return whether a failure is one.

    A request that fits the document may be refused for what it means in the present state, never for its form:
    refusals of a form name the member (`details[].field`).
    """
    if _was_shortened(case, response):
        return False
    match type(failure).__name__:
        case "RejectedPositiveData":
            return response.status_code not in {400, 422} or _names_a_member(response.json())
        case "AcceptedNegativeData":
            # A header that nobody knows is nobody's business, and a parameter without a value may be absent. What is
            # too large is refused before anybody looks what it says.
            return response.status_code != 413 and UNKNOWN not in case.headers and not _left_empty(case, response)
        case "EnsureResourceAvailability":
            # What is missing may be what the body names, and not what the path does.
            return any(str(value) in response.json()["message"] for value in case.path_parameters.values())
        case "UseAfterFree":
            return not failure.free.startswith(STAYS)
        case _:
            return True


def _was_shortened(case: Any, response: Any) -> bool:
    """Return whether another operation was called: whoever sends a request leaves out empty parts and dots."""
    return urlsplit(response.request.url).path.count("/") < case.operation.path.count("/")


def _is_chained(case: Any) -> bool:
    """Return whether the request belongs to a chain, which speaks about what its earlier requests have made."""
    return case.meta is not None and case.meta.phase.name is TestPhase.STATEFUL


def _is_well_formed(case: Any, location: ParameterLocation) -> bool:
    return case.meta is None or not case.meta.is_negative_at(location)


def _left_empty(case: Any, response: Any) -> bool:
    """Return whether a parameter was sent without a value that the document lets be so (`allowEmptyValue`)."""
    sent = parse_qsl(urlsplit(response.request.url).query, keep_blank_values=True)
    permitted = {
        parameter.name for parameter in case.operation.query if parameter.definition.get("allowEmptyValue", False)
    }
    return any(name in permitted and not value for name, value in sent)


def _names_a_member(problem: dict[str, Any]) -> bool:
    fields = [
        detail["field"] for detail in problem.get("details", ()) if isinstance(detail, dict) and "field" in detail
    ]
    # Rules over several members stand in the schema of a body; of a query OpenAPI has no way to say them.
    return any(fields) or (bool(fields) and problem["message"].startswith("the body"))
