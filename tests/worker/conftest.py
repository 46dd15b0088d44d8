"""A small server that keeps the rules of the worker's API in memory, spoken to over real sockets."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runcord.worker import Worker

NOW = "2026-11-22T10:00:00Z"
DEADLINE = 10.0


@dataclass
class FakeRun:
    id: str
    job_id: str
    payload: Any
    status: str = "queued"
    attempt: int = 1
    result: Any = None
    error: Any = None
    retryable: bool | None = None
    checkpoint: Any = None
    event: Any = None
    state: dict[str, Any] = field(default_factory=dict)
    said: list[tuple[str, Any]] = field(default_factory=list)
    heartbeats: int = 0

    def json(self) -> dict[str, Any]:
        facts = {"id": self.id, "job_id": self.job_id, "project_id": "p", "created_at": NOW}
        return {**facts, "payload": self.payload, "status": self.status, "attempt": self.attempt}

    @property
    def token(self) -> str:
        return f"token-{self.id}-{self.attempt}"


def refusal(status: int, code: str) -> JSONResponse:
    return JSONResponse({"error": code, "code": code, "message": code, "request_id": "r"}, status)


def refused(code: str) -> dict[str, str]:
    return {"code": code, "message": code}


class FakeServer:
    """Hold runs, hand them out, and take reports; every change can be waited for."""

    def __init__(self) -> None:
        self.runs: dict[str, FakeRun] = {}
        self.slugs: dict[str, str] = {}
        self.calls: list[tuple[str, Any]] = []
        self.faults: dict[str, list[Callable[[], Response]]] = {}
        self.refused_results: dict[str, str] = {}
        self.cancel_requested: set[str] = set()
        self.pause_requested: set[str] = set()
        self.port = 0
        self._changed = threading.Condition()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    # --- what tests say and ask -------------------------------------------------------------------------

    def add(self, payload: Any = None, job: str = "job", **facts: Any) -> FakeRun:
        with self._changed:
            run = FakeRun(f"run_{len(self.runs) + 1}", f"id-of-{job}", payload, **facts)
            self.slugs[run.job_id] = job
            self.runs[run.id] = run
            self._changed.notify_all()
            return run

    def calls_of(self, name: str) -> list[Any]:
        return [body for call, body in self.calls if call == name]

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Return as soon as the condition holds; it is looked at after every call that the server has answered."""
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE), [
                (run.id, run.status, run.attempt, run.error) for run in self.runs.values()
            ]

    def changed(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # --- serving ----------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        routes = [
            Route("/v1/jobs/{job}", self._job),
            Route("/v1/runs/dequeue", self._dequeue, methods=["POST"]),
            Route("/v1/runs/settle", self._settle, methods=["POST"]),
            Route("/sdk/v1/runs/{run}/{call}", self._say, methods=["GET", "POST"]),
            Route("/sdk/v1/runs/{run}/state/{key}", self._state, methods=["GET", "DELETE"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), log_level="error", ws="none", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()

    def stop(self) -> None:
        assert self._server is not None and self._thread is not None
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def _fault(self, name: str, body: Any) -> Response | None:
        """Note the call; return the answer of a scripted fault, if there is one left."""
        self.calls.append((name, body))
        faults = self.faults.get(name)
        return faults.pop(0)() if faults else None

    async def _job(self, request: Request) -> Response:
        job_id = request.path_params["job"]
        self.calls.append(("job", job_id))
        names = {"name": self.slugs[job_id], "slug": self.slugs[job_id]}
        facts = {"id": job_id, "project_id": "p", "version": 1, "created_at": NOW, "updated_at": NOW}
        return JSONResponse({**facts, **names})

    async def _dequeue(self, request: Request) -> Response:
        body = await request.json()
        try:
            if (fault := self._fault("dequeue", body)) is not None:
                return fault
        finally:
            self.changed()
        deadline = asyncio.get_running_loop().time() + body["wait_secs"]
        while not (claims := self._claim(body)) and asyncio.get_running_loop().time() < deadline:
            if await request.is_disconnected():
                break
            await asyncio.sleep(0.005)
        self.changed()
        return JSONResponse({"data": claims})

    def _claim(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        claims: list[dict[str, Any]] = []
        for run in list(self.runs.values()):
            if run.status == "queued" and len(claims) < body["limit"] and self.slugs[run.job_id] in body["jobs"]:
                run.status = "executing" if body["start"] else "dequeued"
                claim: dict[str, Any] = {"run": run.json(), "run_token": run.token, "lease_expires_at": NOW}
                if run.checkpoint is not None:
                    checkpoint = {"id": "c", "run_id": run.id, "sequence": 1, "source": "sdk", "created_at": NOW}
                    claim["checkpoint"] = {**checkpoint, "state": run.checkpoint}
                if run.event is not None:
                    claim["event"] = run.event
                if run.error is not None:
                    claim["previous_error"] = run.error
                claims.append(claim)
        return claims

    async def _settle(self, request: Request) -> Response:
        settlements = (await request.json())["settlements"]
        try:
            if (fault := self._fault("settle", settlements)) is not None:
                return fault
            return JSONResponse({"results": [self._settle_one(settlement) for settlement in settlements]})
        finally:
            self.changed()

    def _settle_one(self, settlement: dict[str, Any]) -> dict[str, Any]:
        run = self.runs[settlement["run_id"]]
        if settlement["run_token"] != run.token or run.status != "executing":
            return {"run_id": run.id, "status": run.status, "error": refused("stale_attempt")}
        if settlement["status"] == "completed":
            if (code := self.refused_results.get(str(settlement.get("result")))) is not None:
                return {"run_id": run.id, "status": run.status, "error": refused(code)}
            run.status, run.result = "completed", settlement.get("result")
        else:
            self._fail(run, settlement["error"], settlement.get("retryable", True))
        return {"run_id": run.id, "status": run.status}

    def _fail(self, run: FakeRun, error: Any, retryable: bool) -> None:
        run.error, run.retryable = error, retryable
        run.status = "queued" if retryable and run.attempt < 3 else "dead_letter" if retryable else "failed"
        run.attempt += run.status == "queued"

    async def _say(self, request: Request) -> Response:
        run, call = self.runs[request.path_params["run"]], request.path_params["call"]
        body = await request.json() if request.method == "POST" else None
        try:
            if (fault := self._fault(call, body)) is not None:
                return fault
            if request.headers["Authorization"] != f"Bearer {run.token}" or run.status == "completed":
                return refusal(409, "stale_attempt")
            run.said.append((call, body))
            return self._answer(run, call, body)
        finally:
            self.changed()

    def _answer(self, run: FakeRun, call: str, body: Any) -> Response:
        facts = {"id": "x", "run_id": run.id, "created_at": NOW}
        match call:
            case "heartbeat":
                run.heartbeats += 1
                stop = {"cancel_requested": run.id in self.cancel_requested}
                return JSONResponse({"status": "ok", **stop, "pause_requested": run.id in self.pause_requested})
            case "checkpoint":
                run.checkpoint = body["state"]
                return JSONResponse({**facts, "sequence": 1, "source": "sdk", "state": body["state"]}, 201)
            case "log" | "progress":
                return JSONResponse({**facts, "type": call}, 201)
            case "usage":
                return JSONResponse({**facts, **body}, 201)
            case "tool-call" | "output":
                return JSONResponse({**facts, **body}, 201)
            case "state" if body is None:
                return JSONResponse([self._entry(run, key) for key in run.state])
            case "state":
                run.state[body["key"]] = body["value"]
                return JSONResponse(self._entry(run, body["key"]), 201)
            case "fail":
                self._fail(run, body["error"], body["retryable"])
            case "release":
                run.status = "released"
            case "wait-for-event":
                run.status = "waiting"
                return JSONResponse({"status": "waiting", "event_key": body["event_key"]})
        return JSONResponse(run.json())

    async def _state(self, request: Request) -> Response:
        run, key = self.runs[request.path_params["run"]], request.path_params["key"]
        if request.method == "DELETE":
            run.state.pop(key, None)
            return Response(status_code=204)
        return JSONResponse(self._entry(run, key)) if key in run.state else refusal(404, "state_not_found")

    def _entry(self, run: FakeRun, key: str) -> dict[str, Any]:
        return {"run_id": run.id, "state_key": key, "value": run.state[key], "updated_at": NOW}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    server = FakeServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def refuse() -> Callable[[int, str], Callable[[], Response]]:
    """Return a maker of faults: `server.faults["settle"] = [refuse(503, "service_unavailable")]`."""
    return lambda status, code: lambda: refusal(status, code)


@pytest.fixture
def new_worker(server: FakeServer) -> Callable[..., Worker]:
    def new(**settings: Any) -> Worker:
        return Worker(server.base_url, "key", **{"worker_id": "w", "poll_secs": 0.2, "grace_secs": 5, **settings})

    return new


class RunningWorker:
    """Run a worker in a thread of its own; it must end without an error."""

    def __init__(self, worker: Worker) -> None:
        self.error: BaseException | None = None
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker = worker
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        assert self._ready.wait(DEADLINE)

    def _work(self) -> None:
        async def work() -> None:
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._worker.run_async(self._stop)

        try:
            asyncio.run(work())
        except BaseException as error:
            self.error = error

    def ask_to_stop(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)

    def join(self) -> None:
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        assert self.error is None, self.error


@pytest.fixture
def running() -> Callable[[Worker], contextlib.AbstractContextManager[RunningWorker]]:
    @contextlib.contextmanager
    def run(worker: Worker) -> Iterator[RunningWorker]:
        thread = RunningWorker(worker)
        try:
            yield thread
        finally:
            thread.ask_to_stop()
            thread.join()

    return run
