"""The ASGI application."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, cast

from starlette.datastructures import State
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from runcord.errors import NotFound, RuncordError
from runcord.http.backend import open_backend
from runcord.http.cors import preflight_headers
from runcord.http.document import ACROSS_ORIGINS, SECURITY_HEADERS, USUAL, Document
from runcord.http.endpoint import endpoint, refuse, request_id_of
from runcord.http.openapi import document as describe
from runcord.http.operation import Operation
from runcord.http.operations import OPERATIONS
from runcord.http.paths import Paths
from runcord.http.request import Request
from runcord.settings import Settings


class MethodNotAllowed(RuncordError):
    """This path does not take this method."""

    code = "method_not_allowed"


class Application:
    """The ASGI application: finds the operation of a request and has it answer.

    `state` has the `backend` and the `document` while the application lives, which is as long as its `lifespan`.
    """

    def __init__(self, operations: Sequence[Operation], lifespan: Lifespan["Application"]) -> None:
        self.state = State()
        self._resources = Paths(resources(operations).items())
        self.lifespan = lifespan
        self._router = Router(lifespan=cast(Lifespan[Any], lifespan))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Live, or answer a request."""
        scope["app"] = self
        if scope["type"] == "http":
            await self._serving(scope, receive, send)(scope, receive, send)
        else:
            await self._router(scope, receive, send)

    def _serving(self, scope: Scope, receive: Receive, send: Send) -> ASGIApp:
        found = self._resources.find(scope["path"])
        if found is None:
            request_id = request_id_of(Request(scope, receive, send))
            return refuse(NotFound("there is nothing under this path"), request_id, 404)
        scope["path_params"] = found.parameters
        return found.served.serving(scope, receive, send)


def create_app(
    settings: Settings,
    dsn: str,
    on_ready: Callable[[], None] | None = None,
    operations: Sequence[Operation] = OPERATIONS,
) -> Application:
    """Return the application that serves the ledgers of the database at `dsn`.

    Everything behind it is opened at startup and closed in order at shutdown; `on_ready` is called in between.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Application) -> AsyncGenerator[None]:
        async with open_backend(settings, dsn) as backend:
            app.state.backend = backend
            app.state.document = describe
            if on_ready is not None:
                on_ready()
            yield

    return Application(operations, lifespan)


def resources(operations: Sequence[Operation]) -> Mapping[str, "Resource"]:
    """Return what is served under each path.

    A path that is met first is met by all methods, as OpenAPI has it: what it does not take is refused, and not looked
    for at a path further on that matches as well (`/v1/jobs/batch` is no job).
    """
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    return {path: Resource(own) for path, own in by_path.items()}


class Resource:
    """Serves one path: the operation of each method, and to all other methods which ones there are."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.by_method: dict[str, ASGIApp] = {operation.method: endpoint(operation) for operation in operations}
        self._is_for_browsers = any(operation.is_for_browsers for operation in operations)
        self._dialect = next((operation.dialect for operation in operations if operation.dialect is not None), None)
        more = [*(["HEAD"] if "GET" in self.by_method else []), *(["OPTIONS"] if self._is_for_browsers else [])]
        self._allowed = sorted({*self.by_method, *more})

    def serving(self, scope: Scope, receive: Receive, send: Send) -> ASGIApp:
        """Return what answers a request: the endpoint for its method, or a refusal."""
        method = scope["method"]
        serve = self.by_method.get("GET" if method == "HEAD" else method)
        return serve or self._refusal(Request(scope, receive, send))

    def _refusal(self, request: Request) -> Response | Document:
        """Return the answer to what is no operation: a browser's question, or a method that is not there."""
        if request.method == "OPTIONS" and self._is_for_browsers:
            asked = request.fields.get("access-control-request-headers", "")
            return Response(None, 204, {**SECURITY_HEADERS, **preflight_headers(self._allowed, asked)})
        allowed = ", ".join(self._allowed)
        refusal = MethodNotAllowed(f"{request.url.path} does not take {request.method}, only {allowed}")
        standing = ACROSS_ORIGINS if self._is_for_browsers else USUAL
        document = refuse(refusal, request_id_of(request), 405, self._dialect, standing)
        document.headers["allow"] = allowed
        return document
