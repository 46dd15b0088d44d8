"""From an operation to an ASGI endpoint: authenticate, read, validate, call, answer."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response

from runcord.errors import (
    Forbidden,
    IllegalTransition,
    InternalError,
    Invalid,
    NotFound,
    RuncordError,
    Unauthenticated,
    Unavailable,
)
from runcord.http.backend import Backend
from runcord.http.body import parse_json, read_body, validate
from runcord.http.credentials import Key
from runcord.http.freshness import MIN_POSITION, position_of_answer
from runcord.http.operation import Answer, Call, Operation, named_attempt
from runcord.http.problems import problem, problem_headers, status_of
from runcord.http.quiet_stream import QuietStream
from runcord.http.run_tokens import RunToken
from runcord.http.sse import EventStream
from runcord.ids import new_id

log = structlog.get_logger(__name__)

_JSON = "application/json"
_MAX_REQUEST_ID = 128

SECURITY_HEADERS = {
    "X-API-Version": "v1",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def endpoint(operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    """Return the ASGI endpoint of an operation."""

    async def respond(request: Request) -> Response:
        request_id = request_id_of(request)
        try:
            call = await _prepare(operation, request, request_id)
            position = None
            if operation.is_read:
                position = await position_of_answer(call.backend, call.project_id, request)
            answer = await operation.handle(call)
            if answer.position is None and position is not None:
                answer = replace(answer, position=position)
            return stream(answer, operation, call) or render(answer, request_id)
        except RuncordError as error:
            refused = isinstance(error, IllegalTransition)
            status = operation.status_of_refusal(error.status) if refused else status_of(error)
            return refuse(error, request_id, status)
        except Exception:
            log.exception("request_failed", operation=operation.operation_id, request_id=request_id)
            return refuse(InternalError(), request_id, 500)

    return respond


def request_id_of(request: Request) -> str:
    """Return the request's id: the caller's own, if it is a sane one, so that logs of both sides meet."""
    given = request.headers.get("x-request-id", "")
    return given if 0 < len(given) <= _MAX_REQUEST_ID and given.isprintable() and given.isascii() else new_id("req")


def render(answer: Answer, request_id: str) -> Response:
    """Return the response for an answer."""
    headers = {**SECURITY_HEADERS, "X-Request-ID": request_id, **answer.headers}
    if answer.position is not None:
        headers["Runcord-Position"] = str(answer.position)
    if answer.version is not None:
        headers["ETag"] = f'"{answer.version}"'
    if answer.status in {204, 304}:
        return Response(None, answer.status, headers)
    return Response(dump(answer.body), answer.status, headers, _JSON)


def stream(answer: Answer, operation: Operation, call: Call) -> Response | None:
    """Return the response that sends a stream, for as long as the caller's credential is good; None if it is none."""

    async def is_permitted() -> bool:
        try:
            await _authenticate(operation, call.request, call.backend)
        except (Unauthenticated, Forbidden):
            return False
        except Unavailable:
            pass  # whoever was permitted a moment ago still is, as far as anybody can tell
        return True

    headers = {**SECURITY_HEADERS, "X-Request-ID": call.request_id}
    keepalive_secs = call.backend.settings.stream_keepalive_secs
    if answer.blocks is not None:
        return EventStream(answer.blocks, headers, keepalive_secs=keepalive_secs, is_permitted=is_permitted)
    if answer.source is not None:
        return QuietStream(answer.source, headers, keepalive_secs=keepalive_secs, is_permitted=is_permitted)
    return None


def refuse(error: RuncordError, request_id: str, status: int) -> Response:
    """Return the response for an error."""
    headers = {**SECURITY_HEADERS, "X-Request-ID": request_id, **problem_headers(status, error)}
    return Response(dump(problem(error, request_id, status)), status, headers, _JSON)


def dump(body: Any) -> bytes:
    """Return JSON bytes; times in RFC 3339, UTC, with `Z`."""
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)


async def _prepare(operation: Operation, request: Request, request_id: str) -> Call:
    backend: Backend = request.app.state.backend
    _refuse_nul_in_path(request)
    key, token = await _authenticate(operation, request, backend)
    if operation.access == "run":
        named_attempt(request)  # refused also where nothing asks for it
    body = query = None
    if operation.query is not None:
        query = validate(operation.query, _query_values(operation, request), "the query")
    if operation.body is not None:
        settings = backend.settings
        limit = settings.max_body_bytes * operation.body_limit_factor
        value = parse_json(await read_body(request, limit, settings.request_timeout_secs))
        body = validate(operation.body, value, "the body")
    return Call(request, backend, request_id, key, token, body, query)


async def _authenticate(operation: Operation, request: Request, backend: Backend) -> tuple[Key | None, RunToken | None]:
    if operation.access == "public":
        return None, None
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated
    secret = secret.strip()
    if secret.startswith("eyJ"):  # the beginning of every JWT
        if operation.access != "run":
            raise Forbidden("a run token speaks for its run under /sdk/v1 only: use an API key here")
        token = backend.run_tokens.read(secret)
        if token.run_id != request.path_params.get("run_id"):
            raise Forbidden("this run token belongs to another run")
        return None, token
    key = await backend.credentials.find(secret)
    if operation.scope is not None:
        key.require(operation.scope, *operation.other_scopes)
    return key, None


def _query_values(operation: Operation, request: Request) -> dict[str, Any]:
    """Return the query as the model wants it: lists for members that are lists, else the last value."""
    assert operation.query is not None
    values: dict[str, Any] = {}
    for name in request.query_params:
        if name == MIN_POSITION and operation.is_read:
            continue
        given = request.query_params.getlist(name)
        if any("\0" in value for value in given):
            raise Invalid(f"the query parameter {name!r} must not contain NUL")
        field = operation.query.model_fields.get(name)
        values[name] = given if field is not None and "list" in str(field.annotation) else given[-1]
    return values


def _refuse_nul_in_path(request: Request) -> None:
    if any("\0" in str(value) for value in request.path_params.values()):
        raise NotFound("there is nothing under this path")
