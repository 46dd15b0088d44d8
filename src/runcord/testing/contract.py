"""Holds answers against the OpenAPI document, so that what is served cannot drift from what is described."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import jsonschema_rs
import orjson
from starlette.routing import compile_path

from runcord.http.openapi import document, path_of
from runcord.http.operation import Operation
from runcord.http.operations import OPERATIONS
from runcord.http.sse import BEGINNING, MEDIA_TYPE


def check_answer(method: str, path: str, status: int, body: bytes) -> None:
    """Raise AssertionError unless the answer is one that the document describes.

    Paths that no operation has, and methods that a path does not take, are not described and not checked.
    """
    operation = operation_of(method, path)
    if operation is None:
        return
    responses: Mapping[str, Any] = document()["paths"][path_of(operation)][method.lower()]["responses"]
    described = responses.get(str(status))
    assert described is not None, f"{operation.operation_id} answered {status}, which is not described: {body[:500]!r}"
    if "content" not in described:
        assert body == b"", f"{operation.operation_id} answered {status} with a body that is not described"
        return
    media_type = MEDIA_TYPE if MEDIA_TYPE in described["content"] and is_stream(body) else "application/json"
    values = [orjson.loads(body)] if media_type == "application/json" else list(data_of_frames(body))
    validator = _validator(path_of(operation), method.lower(), str(status), media_type)
    problems = [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}"
        for value in values
        for error in validator.iter_errors(value)
    ]
    assert not problems, f"{operation.operation_id} answered {status} not as described: {problems[:5]}"


def is_stream(body: bytes) -> bool:
    """Tell whether what was received is the beginning of a stream: no JSON begins like it."""
    return BEGINNING.startswith(body[: len(BEGINNING)])


def data_of_frames(body: bytes) -> Iterator[Any]:
    """Yield the data of each server-sent event in what was received of a stream."""
    for line in body.decode().splitlines():
        if line.startswith("data: "):
            yield orjson.loads(line.removeprefix("data: "))


def operation_of(method: str, path: str) -> Operation | None:
    """Return the operation that serves a request, as the router would find it."""
    path = path.rstrip("/")
    return next(
        (
            operation
            for operation in OPERATIONS
            if operation.method == method and compile_path(operation.path)[0].match(path)
        ),
        None,
    )


@cache
def _validator(path: str, method: str, status: str, media_type: str) -> Any:
    content = document()["paths"][path][method]["responses"][status]["content"][media_type]
    schema = {**content["schema"], "components": {"schemas": document()["components"]["schemas"]}}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
