"""A server that answers from a list and remembers what it was asked; both clients are driven against it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from runcord.client import AsyncClient, Client

RUN = {
    "id": "run_1",
    "job_id": "job_1",
    "project_id": "p",
    "status": "queued",
    "attempt": 1,
    "created_at": "2026-11-22T10:00:00Z",
}

Answer = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]


@dataclass
class ScriptedServer:
    """Give the scripted answers in order; the last one stays."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx2.Response):
            return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return answer(request)

    def answer(self, body: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.answers.append(httpx2.Response(status, json=body, headers=headers))

    def refuse(self, status: int, code: str, headers: dict[str, str] | None = None, **members: object) -> None:
        body = {"error": code, "code": code, "message": f"about {code}", "request_id": "req_1", **members}
        self.answer(body, status, headers)

    def fail(self, error: type[httpx2.TransportError]) -> None:
        self.answers.append(error("the network is down"))

    @property
    def last(self) -> httpx2.Request:
        return self.requests[-1]

    @property
    def last_body(self) -> Any:
        return json.loads(self.last.content)


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer()


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with Client("http://test", "key", transport=httpx2.MockTransport(server)) as client:
        yield client


@pytest.fixture
def new_async_client(server: ScriptedServer) -> Callable[[], AsyncClient]:
    return lambda: AsyncClient("http://test", "key", transport=httpx2.MockTransport(server))


@pytest.fixture
def run_json() -> dict[str, Any]:
    return dict(RUN)


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let retries and polls of the synchronous client go on at once; return the seconds that they were to wait."""
    waited: list[float] = []
    monkeypatch.setattr("runcord.client._sync.connection.time.sleep", waited.append)
    return waited
