"""The ASGI application."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import cache

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, request_response
from starlette.types import Receive, Scope, Send

from runcord.errors import InternalError, NotFound, RuncordError
from runcord.http.backend import open_backend
from runcord.http.cors import HEADERS as CORS_HEADERS
from runcord.http.cors import preflight_headers
from runcord.http.endpoint import SECURITY_HEADERS, endpoint, refuse, request_id_of
from runcord.http.openapi import document
from runcord.http.operation import Operation
from runcord.http.operations import OPERATIONS
from runcord.settings import Settings


class MethodNotAllowed(RuncordError):
    """This path does not take this method."""

    code = "method_not_allowed"


def create_app(settings: Settings, dsn: str, on_ready: Callable[[], None] | None = None) -> Starlette:
    """Return the application that serves the ledgers of the database at `dsn`.

    Everything behind it is opened at startup and closed in order at shutdown; `on_ready` is called in between.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with open_backend(settings, dsn) as backend:
            app.state.backend = backend
            app.state.document = document
            if on_ready is not None:
                on_ready()
            yield

    return Starlette(
        routes=_all_routes(),
        lifespan=lifespan,
        exception_handlers={HTTPException: _not_found, Exception: _server_error},
    )


@cache
def _all_routes() -> list[Route]:
    """Return the routes of all operations: they hold nothing of an application, and are dear to make."""
    return routes(OPERATIONS)


def routes(operations: Sequence[Operation]) -> list[Route]:
    """Return the routes: each path with and without a trailing slash, because clients do not follow redirects.

    A path that is met first is met by all methods, as OpenAPI has it: what it does not take is refused, and not looked
    for at a path further on that matches as well (`/v1/jobs/batch` is no job).
    """
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    return [Route(form, Resource(own)) for path, own in by_path.items() for form in (path, f"{path}/")]


class Resource:
    """Serves one path: the operation of each method, and to all other methods which ones there are."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.by_method = {operation.method: request_response(endpoint(operation)) for operation in operations}
        self._is_for_browsers = any(operation.is_for_browsers for operation in operations)
        self._dialect = next((operation.dialect for operation in operations if operation.dialect is not None), None)
        more = [*(["HEAD"] if "GET" in self.by_method else []), *(["OPTIONS"] if self._is_for_browsers else [])]
        self._allowed = sorted({*self.by_method, *more})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        method = scope["method"]
        serve = self.by_method.get("GET" if method == "HEAD" else method) or request_response(self._refuse)
        await serve(scope, receive, send)

    async def _refuse(self, request: Request) -> Response:
        """Answer what is no operation: a browser's question, or a method that is not there."""
        if request.method == "OPTIONS" and self._is_for_browsers:
            asked = request.headers.get("access-control-request-headers", "")
            return Response(None, 204, {**SECURITY_HEADERS, **preflight_headers(self._allowed, asked)})
        allowed = ", ".join(self._allowed)
        refusal = MethodNotAllowed(f"{request.url.path} does not take {request.method}, only {allowed}")
        response = refuse(refusal, request_id_of(request), 405, self._dialect)
        response.headers["Allow"] = allowed
        if self._is_for_browsers:
            response.headers.update(CORS_HEADERS)
        return response


async def _not_found(request: Request, error: Exception) -> Response:
    return refuse(NotFound("there is nothing under this path"), request_id_of(request), 404)


async def _server_error(request: Request, error: Exception) -> Response:
    return refuse(InternalError(), request_id_of(request), 500)
