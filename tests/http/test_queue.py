"""Taking runs over HTTP, and settling many at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import orjson
import pytest
from tests.http.conftest import DEADLINE, Api, NewApi

from runcord.http.app import Application

# --- taking -------------------------------------------------------------------------------------------


def test_a_worker_is_given_what_it_needs(api: Api) -> None:
    job = api.new_job()
    run = api.new_run("parse", payload={"file": "a.py"})
    answer = api.post("/v1/runs/dequeue", {"worker_id": "w1", "lease_secs": 30})
    assert answer.status_code == 200
    (claim,) = answer.json()["data"]
    assert claim.keys() == {"run", "run_token", "lease_expires_at"}
    assert (claim["run"]["id"], claim["run"]["status"], claim["run"]["worker_id"]) == (run["id"], "dequeued", "w1")
    assert (claim["run"]["job_id"], claim["run"]["payload"]) == (job["id"], {"file": "a.py"})
    assert claim["lease_expires_at"] > claim["run"]["updated_at"]
    assert api.take() == []


def test_starting_comes_with_taking_if_asked(api: Api) -> None:
    api.new_job()
    api.new_run()
    (claim,) = api.take(start=True)
    assert claim["run"]["status"] == "executing"
    assert claim["run"]["started_at"]


def test_higher_priority_comes_first_then_what_waits_longest(api: Api) -> None:
    api.new_job()
    runs = [api.new_run("parse", priority=priority)["id"] for priority in (0, 5, 0, 10)]
    assert [claim["run"]["id"] for claim in api.take(limit=10)] == [runs[3], runs[1], runs[0], runs[2]]


def test_a_worker_takes_of_the_jobs_and_queues_it_names(api: Api) -> None:
    slow, fast = api.new_job("slow", queue_name="heavy"), api.new_job("fast")
    for slug in ("slow", "fast"):
        api.new_run(slug)
        api.new_run(slug)
    taken = [
        api.take(jobs=["slow"])[0]["run"]["job_id"],
        api.take(jobs=[fast["id"], "fast"], limit=1)[0]["run"]["job_id"],
        api.take(queues=["heavy"], limit=10)[0]["run"]["job_id"],
    ]
    assert taken == [slow["id"], fast["id"], slow["id"]]
    assert api.take(jobs=["slow"], queues=["default"]) == []


def test_one_named_run_can_be_taken(api: Api) -> None:
    api.new_job()
    api.new_run("parse", priority=10)
    wanted = api.new_run("parse")["id"]
    (claim,) = api.take(run_id=wanted, limit=5)
    assert claim["run"]["id"] == wanted
    assert api.take(run_id=wanted) == []
    assert api.take(run_id="run_unknown") == []


def test_no_more_runs_are_given_than_the_job_allows(api: Api) -> None:
    api.new_job(max_concurrency=2)
    for _ in range(4):
        api.new_run()
    taken = api.take(limit=10, start=True)
    assert len(taken) == 2
    assert api.take(limit=10) == []
    api.post(f"/sdk/v1/runs/{taken[0]['run']['id']}/complete")
    assert len(api.take(limit=10)) == 1


def test_runs_of_another_project_are_never_given(api: Api, new_api: NewApi) -> None:
    api.new_job()
    run = api.new_run()
    stranger = new_api("proj_other")
    assert stranger.take(limit=10) == []
    assert stranger.take(run_id=run["id"]) == []
    answer = stranger.post("/v1/runs/dequeue", {"worker_id": "w", "jobs": ["parse"]})
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
    assert "parse" in answer.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"worker_id": ""},
        {"worker_id": "w" * 129},
        {"worker_id": 7},
        {"worker_id": "w", "limit": 0},
        {"worker_id": "w", "limit": 1001},
        {"worker_id": "w", "limit": "1"},
        {"worker_id": "w", "wait_secs": 61},
        {"worker_id": "w", "lease_secs": 0},
        {"worker_id": "w", "lease_secs": 86_401},
        {"worker_id": "w", "jobs": "parse"},
        {"worker_id": "w", "jobs": ["nobody"]},
        {"worker_id": "w", "start": "yes"},
        {"worker_id": "w", "wait": 1},
    ],
)
def test_a_request_for_runs_that_makes_no_sense_is_refused(api: Api, body: dict[str, Any]) -> None:
    answer = api.post("/v1/runs/dequeue", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed"), answer.text


# --- waiting ------------------------------------------------------------------------------------------


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.asynccontextmanager
async def serving(app: Application, secret: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Run the application in this event loop."""
    async with (
        app.lifespan(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app),
            base_url="http://test",
            headers={"Authorization": f"Bearer {secret}"},
            timeout=DEADLINE,
        ) as client,
    ):
        yield client


async def new_job(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/v1/jobs", json={"name": "parse", "slug": "parse"})).status_code == 201


class Line:
    """The line of workers that wait for runs, watched."""

    def __init__(self, app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
        self._arrivals = asyncio.Semaphore(0)
        hub = app.state.backend.hub
        ready = hub.ready

        async def watched(*arguments: Any) -> bool:
            self._arrivals.release()
            return await ready(*arguments)

        monkeypatch.setattr(hub, "ready", watched)

    async def joined(self, count: int = 1) -> None:
        """Return when as many more workers have joined the line."""
        async with asyncio.timeout(DEADLINE):
            for _ in range(count):
                await self._arrivals.acquire()


@pytest.mark.anyio
async def test_nothing_due_is_answered_after_the_wait(app: Application, new_secret: Any) -> None:
    async with serving(app, new_secret()) as client:
        await new_job(client)
        answer = await client.post("/v1/runs/dequeue", json={"worker_id": "w", "wait_secs": 0.05})
        assert (answer.status_code, answer.json()) == (200, {"data": []})


@pytest.mark.anyio
async def test_a_worker_that_waits_is_given_the_next_run(
    app: Application, new_secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(app, new_secret()) as client:
        await new_job(client)
        line = Line(app, monkeypatch)
        waiting = asyncio.create_task(client.post("/v1/runs/dequeue", json={"worker_id": "w", "wait_secs": 60}))
        await line.joined()
        run = (await client.post("/v1/jobs/parse/trigger", json={})).json()
        async with asyncio.timeout(DEADLINE):
            (claim,) = (await waiting).json()["data"]
        assert claim["run"]["id"] == run["id"]


@pytest.mark.anyio
async def test_many_workers_at_once_are_given_each_run_once(
    app: Application, new_secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(app, new_secret()) as client:
        await new_job(client)
        line = Line(app, monkeypatch)
        waiting = [
            asyncio.create_task(client.post("/v1/runs/dequeue", json={"worker_id": f"w{n}", "wait_secs": 60}))
            for n in range(20)
        ]
        await line.joined(20)
        made = await client.post("/v1/jobs/parse/trigger/bulk", json={"items": [{}] * 20})
        async with asyncio.timeout(DEADLINE):
            answers = [(await one).json()["data"] for one in waiting]
        assert all(len(claims) == 1 for claims in answers)
        assert {claims[0]["run"]["id"] for claims in answers} == {one["id"] for one in made.json()["results"]}


class Departing:
    """A worker that asks for runs at the ASGI interface and goes away when told."""

    def __init__(self, app: Application, secret: str, body: dict[str, Any]) -> None:
        self.leave = asyncio.Event()
        self.answered = False
        self._body: bytes | None = orjson.dumps(body)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/runs/dequeue",
            "raw_path": b"/v1/runs/dequeue",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"authorization", f"Bearer {secret}".encode())],
            "server": ("test", 80),
            "client": ("test", 1),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.answered = True


@pytest.mark.anyio
async def test_a_worker_that_left_the_line_is_given_nothing(
    app: Application, new_secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = new_secret()
    async with serving(app, secret) as client:
        await new_job(client)
        line = Line(app, monkeypatch)
        departing = Departing(app, secret, {"worker_id": "gone", "wait_secs": 60})
        await line.joined()
        departing.leave.set()
        async with asyncio.timeout(DEADLINE):
            await departing.task
        await client.post("/v1/jobs/parse/trigger", json={})
        answer = await client.post("/v1/runs/dequeue", json={"worker_id": "w", "wait_secs": 60})
        (claim,) = answer.json()["data"]
        assert (claim["run"]["worker_id"], claim["run"]["attempt"], claim["run"]["version"]) == ("w", 1, 2)


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.anyio
async def test_a_claim_under_way_is_given_back_when_its_worker_leaves(
    app: Application, new_secret: Any, monkeypatch: pytest.MonkeyPatch, start: bool
) -> None:
    secret = new_secret()
    async with serving(app, secret) as client:
        await new_job(client)
        run = (await client.post("/v1/jobs/parse/trigger", json={})).json()
        committer = app.state.backend.committer
        execute, claimed, go_on = committer.execute, asyncio.Event(), asyncio.Event()

        async def slowly(project_id: str, handler: Any) -> Any:
            committed = await execute(project_id, handler)
            if type(handler).__name__ == "ClaimRuns" and handler.worker_id == "gone":
                claimed.set()
                await go_on.wait()
            return committed

        monkeypatch.setattr(committer, "execute", slowly)
        departing = Departing(app, secret, {"worker_id": "gone", "wait_secs": 60, "start": start})
        async with asyncio.timeout(DEADLINE):
            await claimed.wait()
            departing.leave.set()
            await departing.task
            go_on.set()
            answer = await client.post("/v1/runs/dequeue", json={"worker_id": "w", "wait_secs": 60})
        (claim,) = answer.json()["data"]
        assert (claim["run"]["id"], claim["run"]["worker_id"], claim["run"]["attempt"]) == (run["id"], "w", 1)
        history = (await client.get(f"/v1/runs/{run['id']}/history")).json()
        events = history["data"] if isinstance(history, dict) else history
        assert "run.released.v1" in {event["type"] for event in events}


# --- settling -----------------------------------------------------------------------------------------


def settle(api: Api, *settlements: dict[str, Any]) -> list[dict[str, Any]]:
    answer = api.post("/v1/runs/settle", {"settlements": settlements})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def test_many_attempts_are_settled_at_once(api: Api) -> None:
    api.new_job(max_attempts=2, retry_strategy="fixed", retry_initial_delay_secs=0)
    for _ in range(4):
        api.new_run()
    ids = [claim["run"]["id"] for claim in api.take(limit=4, start=True)]
    results = settle(
        api,
        {"run_id": ids[0], "attempt": 1, "status": "completed", "result": {"n": 1}},
        {"run_id": ids[1], "attempt": 1, "status": "failed", "error": "no such file"},
        {"run_id": ids[2], "attempt": 1, "status": "failed", "error": {"message": "bad"}, "retryable": False},
        {"run_id": ids[3], "attempt": 2, "status": "completed"},
        {"run_id": "run_unknown", "attempt": 1, "status": "completed"},
    )
    assert [result["run_id"] for result in results] == [*ids, "run_unknown"]
    assert [result["status"] for result in results] == ["completed", "queued", "failed", "executing", "not_found"]
    codes = [result["error"]["code"] if "error" in result else None for result in results]
    assert codes == [None, None, None, "stale_attempt", "run_not_found"]
    assert api.get(f"/v1/runs/{ids[0]}").json()["result"] == {"n": 1}


def test_a_settlement_is_held_to_its_claim(api: Api) -> None:
    first = api.working()
    run_id = first["run"]["id"]
    api.post(f"/sdk/v1/runs/{run_id}/release")
    (second,) = api.take(start=True)
    late = {"run_id": run_id, "attempt": 1, "status": "completed"}
    for proof in ({"run_token": first["run_token"]}, {"fence": 1}):
        (result,) = settle(api, {**late, **proof})
        assert result["error"]["code"] == "stale_attempt"
    (result,) = settle(api, {**late, "run_token": second["run_token"]})
    assert result == {"run_id": run_id, "status": "completed"}


def test_a_token_of_another_run_settles_nothing(api: Api) -> None:
    claim = api.working()
    other = api.new_run("parse")
    settlement = {"run_id": claim["run"]["id"], "attempt": 1, "status": "completed"}
    foreign, forged = settle(
        api, {**settlement, "run_token": other["run_token"]}, {**settlement, "run_token": "eyJ.x.y"}
    )
    assert (foreign["status"], foreign["error"]["code"]) == ("executing", "forbidden")
    assert (forged["status"], forged["error"]["code"]) == ("executing", "authentication_required")


def test_settling_again_is_told_apart_from_the_first_time(api: Api) -> None:
    claim = api.working()
    done = {"run_id": claim["run"]["id"], "attempt": 1, "status": "completed", "result": 1}
    assert settle(api, done, done) == [{"run_id": claim["run"]["id"], "status": "completed"}] * 2
    failed = {**done, "status": "failed", "error": "x"}
    del failed["result"]
    (result,) = settle(api, failed)
    assert (result["status"], "error" in result) == ("completed", True)


def test_a_result_that_its_job_does_not_take_is_refused_alone(api: Api) -> None:
    good, bad = api.working(slug="any"), api.working(slug="strict", result_schema={"type": "integer"})
    results = settle(
        api,
        {"run_id": bad["run"]["id"], "attempt": 1, "status": "completed", "result": "x"},
        {"run_id": good["run"]["id"], "attempt": 1, "status": "completed", "result": "x"},
    )
    assert results[0]["error"]["code"] == "result_invalid"
    assert [result["status"] for result in results] == ["executing", "completed"]


def test_a_result_that_is_too_large_is_refused_alone(api: Api) -> None:
    large, small = api.working(slug="large"), api.working(slug="small")
    results = settle(
        api,
        {"run_id": large["run"]["id"], "attempt": 1, "status": "completed", "result": "x" * 1024 * 1024},
        {"run_id": small["run"]["id"], "attempt": 1, "status": "completed", "result": "x" * 1024 * 512},
    )
    assert [result["status"] for result in results] == ["executing", "completed"]
    assert results[0]["error"]["code"] == "body_too_large"


def test_runs_of_another_project_are_not_settled(api: Api, new_api: NewApi) -> None:
    claim = api.working()
    settlement = {"run_id": claim["run"]["id"], "attempt": 1, "status": "completed"}
    (result,) = settle(new_api("proj_other"), settlement)
    assert (result["status"], result["error"]["code"]) == ("not_found", "run_not_found")
    (with_token,) = settle(new_api("proj_other"), {**settlement, "run_token": claim["run_token"]})
    assert (with_token["status"], with_token["error"]["code"]) == ("not_found", "forbidden")
    assert api.get(f"/v1/runs/{claim['run']['id']}").json()["status"] == "executing"


@pytest.mark.parametrize(
    "settlement",
    [
        {"run_id": "r", "status": "completed"},
        {"run_id": "r", "attempt": 0, "status": "completed"},
        {"run_id": "r", "attempt": 2**31, "status": "completed"},
        {"run_id": "r", "attempt": 1, "status": "canceled"},
        {"run_id": "r", "attempt": 1, "status": "failed"},
        {"run_id": "r", "attempt": 1, "status": "completed", "results": 1},
    ],
)
def test_a_settlement_that_makes_no_sense_spoils_the_call(api: Api, settlement: dict[str, Any]) -> None:
    assert api.post("/v1/runs/settle", {"settlements": [settlement]}).status_code == 400
    assert api.post("/v1/runs/settle", {"settlements": []}).status_code == 400
