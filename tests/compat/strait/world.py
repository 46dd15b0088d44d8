"""Strait's client, as PyPI has it, in one of its two forms, against a project of its own on a real server."""

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import httpx
import psycopg
from strait import AsyncClient, Client

from runcord.http.credentials import create_project
from runcord.http.key_administration import create_key
from runcord.testing.contract import check_answer

from . import reference

Form = Literal["sync", "async"]
FORMS: tuple[Form, ...] = ("sync", "async")

_TIMEOUT = 30.0


@dataclass
class World:
    """What a test says to the server. Every answer is held against our description and against the reference."""

    base_url: str
    project_id: str
    secret: str
    form: Form
    driven: set[str] = field(default_factory=set)
    """The methods of the client that were called, as `service.method`."""
    _clients: dict[str, Any] = field(default_factory=dict)

    async def call(self, method: str, *args: Any, token: str | None = None, **options: Any) -> Any:
        """Call a method of the client, `runs.get` say, with the API key or with a run token."""
        service, _, name = method.partition(".")
        self.driven.add(method)
        return await _value(getattr(getattr(self.client(token), service), name)(*args, **options))

    async def request(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **options: Any
    ) -> Any:
        """Send what the client has no method for, through its `do_request`."""
        return await _value(self.client(token).do_request(method, path, body=body, **options))

    def stream(self, path: str, *, headers: Mapping[str, str] | None = None) -> AsyncIterator[dict[str, Any]]:
        """Follow a stream through the client's `do_stream`."""
        return aiter_of(self.client().do_stream("GET", path, headers=headers))

    def client(self, token: str | None = None) -> Any:
        """Return the client that speaks for the project, or for one run."""
        key = token or self.secret
        if key not in self._clients:
            named = {"run_token": token} if token else {"api_key": self.secret}
            kind = AsyncClient if self.form == "async" else Client
            self._clients[key] = kind(base_url=self.base_url, http_client=self._http(), **named)
        return self._clients[key]

    def _http(self) -> httpx.AsyncClient | httpx.Client:
        if self.form == "sync":
            return httpx.Client(timeout=_TIMEOUT, event_hooks={"response": [_check]})
        return httpx.AsyncClient(timeout=_TIMEOUT, event_hooks={"response": [_check_later]})

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await _value(client._http.close() if self.form == "sync" else client._http.aclose())

    # --- what most tests begin with -------------------------------------------------------------------

    async def new_job(self, slug: str = "work", **settings: Any) -> dict[str, Any]:
        """Return a new job, made as Strait's users make one."""
        body = {"project_id": self.project_id, "name": slug, "slug": slug, "endpoint_url": "", **settings}
        return await self.call("jobs.create", {name: value for name, value in body.items() if value != ""})

    async def new_run(self, job: str = "work", **body: Any) -> dict[str, Any]:
        """Return a new run of a job."""
        return await self.call("jobs.trigger", job, body)

    async def take(self, run_id: str, **body: Any) -> dict[str, Any]:
        """Return the claim of a run."""
        answer = await self.request("POST", "/v1/runs/dequeue", {"worker_id": "w1", "run_id": run_id, **body})
        (claim,) = answer["data"]
        return claim

    async def working(self, payload: Any = None, **job: Any) -> "Work":
        """Return a new run of a new job, taken and begun."""
        made = await self.new_job(**job)
        run = await self.new_run(made["id"], payload=payload)
        claim = await self.take(run["id"], start=True)
        return Work(self, run["id"], claim["run_token"])

    async def dead_letter(self, payload: Any = None, slug: str = "doomed") -> str:
        """Return the id of a run in the dead-letter queue."""
        work = await self.working(payload, slug=slug, max_attempts=1)
        run = await work.say("fail_run", {"error": "boom"})
        assert run["status"] == "dead_letter"
        return work.run_id


@dataclass(frozen=True)
class Work:
    """A worker and its run."""

    world: World
    run_id: str
    token: str

    async def say(self, method: str, *args: Any) -> Any:
        """Call a method of `sdk_runs` about the run, with the run's token."""
        return await self.world.call(f"sdk_runs.{method}", self.run_id, *args, token=self.token)


@contextlib.asynccontextmanager
async def open_world(base_url: str, dsn: str, form: Form) -> AsyncGenerator[World]:
    """Open a project of its own."""
    project_id = f"proj_{uuid4().hex[:12]}"
    with psycopg.connect(dsn, autocommit=True) as conn:
        create_project(conn, project_id, project_id)
    world = World(base_url, project_id, create_key(dsn, project_id, "strait").secret, form)
    try:
        yield world
    finally:
        await world.close()


async def aiter_of(source: Iterator[Any] | AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield what either kind of iterator yields, and close it."""
    if isinstance(source, AsyncIterator):
        async with contextlib.aclosing(source) as items:  # pyright: ignore[reportArgumentType]
            async for item in items:
                yield item
    else:
        with contextlib.closing(source) as items:  # pyright: ignore[reportArgumentType]
            for item in items:
                yield item


async def _value(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _check(response: httpx.Response) -> None:
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        response.read()
        _hold_against_both(response)


async def _check_later(response: httpx.Response) -> None:
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        await response.aread()
        _hold_against_both(response)


def _hold_against_both(response: httpx.Response) -> None:
    request, status = response.request, response.status_code
    check_answer(request.method, request.url.path, status, response.content)
    if response.headers.get("content-type", "").startswith("application/json"):
        reference.check(request.method, request.url.path, status, response.json())
