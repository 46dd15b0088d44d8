"""The ASGI application."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from runcord.errors import InternalError, NotFound, RuncordError
from runcord.http.backend import open_backend
from runcord.http.endpoint import endpoint, refuse, request_id_of
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
        routes=routes(OPERATIONS),
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_error, Exception: _server_error},
    )


def routes(operations: Sequence[Operation]) -> list[Route]:
    """Return the routes: each path with and without a trailing slash, because clients do not follow redirects."""
    return [
        Route(form, endpoint(operation), methods=[operation.method], name=operation.operation_id)
        for operation in operations
        for form in (operation.path, f"{operation.path}/")
    ]


def methods_of(request: Request) -> list[str]:
    """Return the methods that a request's path takes: those of all routes of the first that is its own."""
    routes = cast(list[Route], request.app.router.routes)
    own = next(route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in routes if route.path == own.path for method in route.methods or ()})


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        taken = methods_of(request)
        refusal = MethodNotAllowed(f"{request.url.path} does not take {request.method}, only {', '.join(taken)}")
        response = refuse(refusal, request_id_of(request), 405)
        response.headers["Allow"] = ", ".join(taken)
        return response
    return refuse(NotFound("there is nothing under this path"), request_id_of(request), 404)


async def _server_error(request: Request, error: Exception) -> Response:
    return refuse(InternalError(), request_id_of(request), 500)
