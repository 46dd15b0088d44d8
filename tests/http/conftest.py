"""A server in this process, on a database of its own, and clients that speak to it."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any
from zlib import crc32

import psycopg
import pytest
from starlette.testclient import TestClient

from runcord.clock import monotonic
from runcord.http.app import Application, create_app
from runcord.http.credentials import create_project
from runcord.http.key_administration import create_key
from runcord.settings import load_settings
from runcord.testing.contract import check_answer
from runcord.testing.postgres import TestServer
from runcord.testing.projections import check_rebuilt

PROJECT = "proj_test"
_NUMBERS = count(1)
DEADLINE = 10.0


@dataclass
class Api:
    """A client with a credential. Paths are whole; answers are as they come."""

    client: TestClient
    secret: str
    project_id: str = PROJECT

    def request(self, method: str, path: str, json: Any = None, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.secret}", **options.pop("headers", {})}
        if json is not None:
            options["json"] = json
        return self.client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> Any:
        return self.request("POST", path, json, **options)

    def patch(self, path: str, json: Any = None, **options: Any) -> Any:
        return self.request("PATCH", path, json, **options)

    def delete(self, path: str, **options: Any) -> Any:
        return self.request("DELETE", path, **options)

    def speaking_as(self, secret: str) -> "Api":
        """Return a client that sends another credential: a run token, say."""
        return Api(self.client, secret, self.project_id)

    # --- what most tests begin with -------------------------------------------------------------------

    def new_job(self, slug: str = "parse", **settings: Any) -> dict[str, Any]:
        """Return a new job."""
        answer = self.post("/v1/jobs", {"name": slug, "slug": slug, **settings})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def new_run(self, job: str = "parse", **body: Any) -> dict[str, Any]:
        """Return a new run of a job."""
        answer = self.post(f"/v1/jobs/{job}/trigger", body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def until(self, path: str, is_so: Callable[[Any], bool]) -> Any:
        """Return what a path answers as soon as it is so."""
        deadline = monotonic() + DEADLINE
        while not is_so(body := self.get(path).json()):
            assert monotonic() < deadline, f"{path} is still {body}"
        return body

    def take(self, **body: Any) -> list[dict[str, Any]]:
        """Return what a worker is given."""
        answer = self.post("/v1/runs/dequeue", {"worker_id": "w1", **body})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def working(self, **job: Any) -> dict[str, Any]:
        """Return a claim of a new run of a new job, begun."""
        made = self.new_job(**job)
        run = self.new_run(made["id"])
        (claim,) = self.take(run_id=run["id"], start=True)
        return claim


NewApi = Callable[..., Api]


@pytest.fixture
def app(dsn: str, request: pytest.FixtureRequest) -> Iterator[Application]:
    """The application; it runs while a client or its lifespan does.

    After one test of sixteen, projections that are built anew of what it has left in the ledger are held against the
    live ones; after every test with RUNCORD_CHECK_PROJECTIONS=all.
    """
    yield application(dsn)
    if is_checked(request):
        check_rebuilt(dsn, PROJECT)


def application(dsn: str) -> Application:
    """Return an application on a database that has the project."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        create_project(conn, PROJECT, "Test")
    return create_app(load_settings(writers=1, readers=2), dsn)


@pytest.fixture
def client(app: Application) -> Iterator[TestClient]:
    """A client without a credential; the server runs as long as it. Every answer is held against the description."""
    with served(app) as client:
        yield client


@contextmanager
def served(app: Application) -> Iterator[TestClient]:
    """Serve an application to a client that checks every answer."""
    with TestClient(app, follow_redirects=False) as client:
        client.event_hooks["response"] = [check_response]
        yield client


def check_response(response: Any) -> None:
    """Raise AssertionError unless the answer is as the OpenAPI document says."""
    response.read()
    check_answer(response.request.method, response.request.url.path, response.status_code, response.content)


@pytest.fixture
def new_secret(dsn: str) -> Callable[..., str]:
    """Makes API keys: `new_secret("proj_other", scopes=["runs:read"])`, with their project."""
    return partial(make_secret, dsn)


def make_secret(dsn: str, project_id: str = PROJECT, *, scopes: Sequence[str] = ("*",)) -> str:
    """Return a new API key, made with its project."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        create_project(conn, project_id, project_id)
    return create_key(dsn, project_id, "test", scopes=scopes).secret


@pytest.fixture
def new_api(client: TestClient, new_secret: Callable[..., str]) -> NewApi:
    """Makes clients with keys of their own: `new_api("proj_other", scopes=["runs:read"])`."""

    def new(project_id: str = PROJECT, *, scopes: Sequence[str] = ("*",)) -> Api:
        return Api(client, new_secret(project_id, scopes=scopes), project_id)

    return new


OF_ITS_OWN = {"dsn", "app", "client", "new_api", "new_secret"}
"""Whoever asks for one of these has a server and a database to itself."""


@pytest.fixture
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """A client with a key that may do everything: of a new project, on a server that the module's tests share.

    A test that asks for anything in `OF_ITS_OWN`, or is marked `own_server`, has a server to itself, and the project
    `proj_test`.
    """
    if request.node.get_closest_marker("own_server") or not OF_ITS_OWN.isdisjoint(request.fixturenames):
        new_api: NewApi = request.getfixturevalue("new_api")
        yield new_api()
        return
    standing: Standing = request.getfixturevalue("standing")
    project_id = f"proj_{next(_NUMBERS)}"
    yield standing.api(project_id)
    if is_checked(request):
        check_rebuilt(standing.dsn, project_id)


def is_checked(request: pytest.FixtureRequest) -> bool:
    """Whether projections are held against a build of them after a test: one of sixteen, or all."""
    return os.environ.get("RUNCORD_CHECK_PROJECTIONS") == "all" or crc32(request.node.nodeid.encode()) % 16 == 0


@dataclass
class Standing:
    """A server that stands for a whole module: for tests that show that nothing is changed."""

    dsn: str
    client: TestClient
    _secrets: dict[tuple[str, frozenset[str]], str] = field(default_factory=dict[tuple[str, frozenset[str]], str])

    def api(self, project_id: str = PROJECT, *, scopes: Sequence[str] = ("*",)) -> Api:
        """Return a client with a key that may do so much; of the same, the same."""
        wanted = project_id, frozenset(scopes)
        if wanted not in self._secrets:
            self._secrets[wanted] = make_secret(self.dsn, project_id, scopes=scopes)
        return Api(self.client, self._secrets[wanted], project_id)


@pytest.fixture(scope="module")
def standing(postgres: TestServer, template_database: str) -> Iterator[Standing]:
    """One server, on one database, for all tests of a module."""
    dsn = postgres.create_database(template=template_database)
    with served(application(dsn)) as client:
        yield Standing(dsn, client)
    postgres.drop_database(dsn)
