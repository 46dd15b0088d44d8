"""From an operation to an ASGI endpoint: authenticate, read, validate, call, answer."""

from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runcord.clock import monotonic
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
from runcord.http.callers import authenticate, authorize
from runcord.http.cors import HEADERS as CORS_HEADERS
from runcord.http.dialect import Dialect
from runcord.http.document import ACROSS_ORIGINS, SECURITY_HEADERS, USUAL, Document, Standing, dump
from runcord.http.freshness import MIN_POSITION, position_of_answer
from runcord.http.operation import Answer, Call, Operation, named_attempt
from runcord.http.problems import problem, problem_headers, status_of
from runcord.http.quiet_stream import QuietStream
from runcord.http.request import Request
from runcord.http.sse import EventStream
from runcord.ids import new_id

log = structlog.get_logger(__name__)

_MAX_REQUEST_ID = 128


def endpoint(operation: Operation) -> ASGIApp:
    """Return the ASGI application that answers the requests for an operation."""
    standing = ACROSS_ORIGINS if operation.is_for_browsers else USUAL

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response = await answer(request, request_id_of(request))
        if not (isinstance(response, Document) and response.is_sent_at_once(scope)):
            await response(scope, receive, send)

    async def answer(request: Request, request_id: str) -> Response | Document:
        try:
            call = await _prepare(operation, request, request_id)
            position = None
            if operation.is_read:
                position = await position_of_answer(call.backend, call.project_id, request)
            given = await operation.handle(call)
            if given.position is None and position is not None:
                given = given._replace(position=position)
            if given.blocks is not None or given.source is not None:
                return stream(given, operation, call)
            return render(given, request_id, standing)
        except RuncordError as error:
            return refuse(error, request_id, _status_of(operation, error), operation.dialect, standing)
        except Exception:
            log.exception("request_failed", operation=operation.operation_id, request_id=request_id)
            return refuse(InternalError(), request_id, 500, operation.dialect, standing)

    return serve


def request_id_of(request: Request) -> str:
    """Return the request's id: the caller's own, if it is a sane one, so that logs of both sides meet."""
    given = request.fields.get("x-request-id")
    if given and len(given) <= _MAX_REQUEST_ID and given.isprintable() and given.isascii():
        return given
    return new_id("req")


def render(answer: Answer, request_id: str, standing: Standing) -> Document:
    """Return the response for an answer."""
    headers = {"x-request-id": request_id}
    if answer.headers:
        headers |= {name.lower(): value for name, value in answer.headers.items()}
    if answer.position is not None:
        headers["runcord-position"] = str(answer.position)
    if answer.version is not None:
        headers["etag"] = f'"{answer.version}"'
    body = None if answer.status in {204, 304} else dump(answer.body)
    return Document(answer.status, standing, headers, body)


def stream(answer: Answer, operation: Operation, call: Call) -> Response:
    """Return the response that sends a stream, for as long as the caller's credential is good."""

    async def is_permitted() -> bool:
        try:
            await authenticate(operation, call.request, call.backend)
        except (Unauthenticated, Forbidden):
            return False
        except Unavailable:
            pass  # whoever was permitted a moment ago still is, as far as anybody can tell
        return True

    headers = {**SECURITY_HEADERS, "X-Request-ID": call.request_id}
    if operation.is_for_browsers:
        headers |= CORS_HEADERS
    keepalive_secs = call.backend.settings.stream_keepalive_secs
    if answer.source is not None:
        return QuietStream(answer.source, headers, keepalive_secs=keepalive_secs, is_permitted=is_permitted)
    assert answer.blocks is not None
    return EventStream(answer.blocks, headers, keepalive_secs=keepalive_secs, is_permitted=is_permitted)


def refuse(
    error: RuncordError,
    request_id: str,
    status: int,
    dialect: Dialect | None = None,
    standing: Standing = USUAL,
) -> Document:
    """Return the response for an error, as a dialect has it."""
    own = problem_headers(status, error) if dialect is None else dialect.headers(error, status)
    body = problem(error, request_id, status) if dialect is None else dialect.body(error, status, request_id)
    headers = {"x-request-id": request_id, **{name.lower(): value for name, value in own.items()}}
    return Document(status, standing, headers, dump(body))


def _status_of(operation: Operation, error: RuncordError) -> int:
    if isinstance(error, IllegalTransition):
        return operation.status_of_refusal(error.status)
    return status_of(error) if operation.dialect is None else operation.dialect.status_of(error)


async def _prepare(operation: Operation, request: Request, request_id: str) -> Call:
    backend: Backend = request.app.state.backend
    if "\0" in request.scope["path"]:
        raise NotFound("there is nothing under this path")
    key, token, public = await authenticate(operation, request, backend)
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
    call = Call(request, backend, request_id, monotonic(), key, token, public, body, query)
    await authorize(operation, call)
    return call


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
