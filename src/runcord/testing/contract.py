"""Holds answers against the OpenAPI document, so that what is served cannot drift from what is described."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import jsonschema_rs
import orjson
from starlette.routing import compile_path

from runcord.client.sse import FrameReader
from runcord.http.openapi import document, path_of
from runcord.http.operation import Operation
from runcord.http.operations import OPERATIONS
from runcord.http.sse import BEGINNING
from runcord.http.sse import MEDIA_TYPE as EVENTS


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
    contents = dict(described["content"])
    media_type = next(iter(contents)) if len(contents) == 1 else EVENTS if is_stream(body) else "application/json"
    content = contents[media_type]
    if media_type == "application/json":
        problems = list(_problems(content["schema"], [orjson.loads(body)]))
    else:
        events = events_of(body)
        data = content["schema"]["properties"]["data"]["contentSchema"]
        problems = [
            *_problems(content["schema"], events),
            *_problems(data, [orjson.loads(event["data"]) for event in events]),
        ]
    assert not problems, f"{operation.operation_id} answered {status} not as described: {problems[:5]}"


def is_stream(body: bytes) -> bool:
    """Tell whether what was received is the beginning of a stream: no JSON begins like it."""
    return BEGINNING.startswith(body[: len(BEGINNING)])


def events_of(body: bytes) -> list[dict[str, str]]:
    """Return the server-sent events, as the document has them, in what was received of a stream."""
    return [{"id": frame.id, "data": frame.data.decode()} for frame in FrameReader().feed(body)]


def operation_of(method: str, path: str) -> Operation | None:
    """Return the operation that serves a request, as the router would find it."""
    path = path.rstrip("/")
    own = next((one.path for one in OPERATIONS if compile_path(one.path)[0].match(path)), None)
    return next((one for one in OPERATIONS if (one.path, one.method) == (own, method)), None)


def _problems(schema: Mapping[str, Any], values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        for error in _validator(orjson.dumps(schema)).iter_errors(value):
            yield f"{'/'.join(map(str, error.instance_path))}: {error.message}"


@cache
def _validator(schema: bytes) -> Any:
    whole = {**orjson.loads(schema), "components": {"schemas": document()["components"]["schemas"]}}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
