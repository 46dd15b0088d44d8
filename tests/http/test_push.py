"""Push over HTTP: jobs with endpoints are saved with care, and their runs are sent without a worker."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx2
import psycopg
import pytest
from tests.http.conftest import PROJECT, Api

from runcord.clock import monotonic
from runcord.http.app import Application, create_app
from runcord.http.credentials import create_project
from runcord.settings import load_settings

pytestmark = pytest.mark.own_server

DEADLINE = 15.0


@pytest.fixture
def app(dsn: str) -> Application:
    """The application, with leave to reach some of loopback."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        create_project(conn, PROJECT, "Test")
    return create_app(load_settings(writers=1, readers=2, dispatch_allow="127.0.0.0/24"), dsn)


class Handler(BaseHTTPRequestHandler):
    """Answers what it is told, and keeps the headers that came."""

    status: ClassVar[int] = 200
    seen: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        body = b'{"done": true}'
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an endpoint."""
    monkeypatch.setattr(Handler, "seen", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/run"
        server.shutdown()
        thread.join()


def ended(api: Api, run_id: str) -> dict[str, Any]:
    """Return the run when it has ended."""
    deadline = monotonic() + DEADLINE
    while "finished_at" not in (run := api.get(f"/v1/runs/{run_id}").json()):
        assert monotonic() < deadline, run
    return run


def test_a_run_needs_no_worker_when_its_job_has_an_endpoint(api: Api, endpoint: str) -> None:
    api.new_job(endpoint_url=endpoint, endpoint_signing_secret="hush")
    run = ended(api, api.new_run()["id"])
    assert (run["status"], run["result"]) == ("completed", {"done": True})
    assert set(run["execution_trace"]) == {
        f"{step}_ms" for step in ("queue_wait", "dequeue", "connect", "ttfb", "transfer", "total", "dispatch")
    }
    assert all(isinstance(step, int) and step >= 1 for step in run["execution_trace"].values())
    (headers,) = Handler.seen
    assert headers["webhook-signature"].startswith("v1,")
    (recorded,) = [e for e in api.get(f"/v1/runs/{run['id']}/history").json() if e["type"] == "run.dispatched.v1"]
    assert recorded["data"]["status_code"] == 200


def test_the_run_token_that_is_sent_speaks_for_the_run(
    api: Api, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "status", 202)
    api.new_job(endpoint_url=endpoint)
    run = api.new_run()
    deadline = monotonic() + DEADLINE
    while "execution_trace" not in api.get(f"/v1/runs/{run['id']}").json():
        assert monotonic() < deadline
    worker = api.speaking_as(Handler.seen[0]["x-run-token"])
    answer = worker.post(f"/sdk/v1/runs/{run['id']}/complete", {"result": "later"})
    assert (answer.status_code, answer.json()["result"]) == (200, "later")
    assert answer.json()["execution_trace"]["connect_ms"] >= 1


def test_a_worker_is_given_such_runs_only_if_it_asks_for_them(api: Api, endpoint: str) -> None:
    api.new_job(endpoint_url=endpoint, max_concurrency=1)
    api.new_job("other", endpoint_url=endpoint, execution_mode="worker")
    run = api.new_run("other")
    assert [claim["run"]["id"] for claim in api.take(limit=10)] == [run["id"]]
    assert Handler.seen == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://10.0.0.1/", "10.0.0.1 is private"),
        ("http://169.254.169.254/latest", "link-local"),
        ("http://127.0.1.1/", "loopback"),
        ("http://[::ffff:127.0.0.1]/", "embedded"),
        ("https://user:hush@example.com/", "credentials"),
    ],
)
def test_an_endpoint_that_may_not_be_reached_is_refused_when_the_job_is_saved(api: Api, url: str, says: str) -> None:
    api.new_job()
    for answer in (
        api.post("/v1/jobs", {"name": "other", "slug": "other", "endpoint_url": url}),
        api.post("/v1/jobs", {"name": "other", "slug": "other", "fallback_endpoint_url": url}),
        api.patch("/v1/jobs/parse", {"endpoint_url": url}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
        assert says in answer.json()["message"] and "hush" not in answer.text
    batch = api.post("/v1/jobs/batch", {"jobs": [{"name": "other", "slug": "other", "endpoint_url": url}]}).json()
    assert batch["created"] == [] and says in batch["errors"][0]["message"]
    assert api.get("/v1/jobs/parse").json()["version"] == 1


def test_httpx_and_the_guard_read_hosts_alike() -> None:
    """What is checked when a job is saved is the host that is connected to."""
    from urllib.parse import urlsplit

    for url in ("http://EXAMPLE.com/", "http://127.0.0.1:80/x?y", "http://[::1]:8080/", "http://a.b-c.d/%20"):
        assert urlsplit(url).hostname == httpx2.URL(url).host
