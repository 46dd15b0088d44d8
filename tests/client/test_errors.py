"""Errors say what happened; what is safe to repeat is repeated, and nothing else."""

from typing import Any

import httpx2
import pytest

from runcord.client import (
    AuthenticationError,
    Client,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RuncordClientError,
    ServerError,
    StaleAttemptError,
    TooLargeError,
    TransportError,
    UnavailableError,
    UnprocessableError,
    ValidationError,
)
from runcord.errors import ConfigurationError


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "validation_failed", ValidationError),
        (401, "authentication_required", AuthenticationError),
        (403, "forbidden", PermissionDeniedError),
        (404, "run_not_found", NotFoundError),
        (409, "illegal_transition", ConflictError),
        (409, "stale_attempt", StaleAttemptError),
        (413, "body_too_large", TooLargeError),
        (422, "idempotency_key_reused", UnprocessableError),
        (429, "rate_limited", RateLimitedError),
        (500, "internal_error", ServerError),
        (503, "service_unavailable", UnavailableError),
        (418, "teapot", RuncordClientError),
    ],
)
def test_each_status_has_its_error(
    client: Client, server: Any, status: int, code: str, kind: type[RuncordClientError]
) -> None:
    server.refuse(status, code, details=[{"field": "x"}])
    with pytest.raises(RuncordClientError) as caught:
        client.runs.get("run_1")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, code, "req_1")
    assert caught.value.details == [{"field": "x"}]
    assert str(caught.value) == f"about {code} [{status} {code} req_1]"


def test_an_error_page_of_something_else_still_is_an_error(client: Client, server: Any) -> None:
    server.answers.append(httpx2.Response(404, text="<html>nginx</html>"))
    with pytest.raises(NotFoundError, match="GET /v1/runs/run_1 was answered with status 404"):
        client.runs.get("run_1")


@pytest.mark.parametrize("failure", [502, 503, httpx2.ReadError, httpx2.ReadTimeout, httpx2.RemoteProtocolError])
def test_a_read_is_repeated(client: Client, server: Any, run_json: dict[str, Any], failure: Any) -> None:
    server.fail(failure) if isinstance(failure, type) else server.refuse(failure, "x")
    server.answer(run_json)
    assert client.runs.get("run_1").id == "run_1"
    assert len(server.requests) == 2


@pytest.mark.parametrize("failure", [500, 503, httpx2.ReadError, httpx2.WriteTimeout])
def test_a_trigger_without_a_key_is_not_repeated(client: Client, server: Any, failure: Any) -> None:
    server.fail(failure) if isinstance(failure, type) else server.refuse(failure, "x")
    with pytest.raises((ServerError, TransportError)):
        client.jobs.trigger("j", 1)
    assert len(server.requests) == 1


@pytest.mark.parametrize("failure", [500, httpx2.ReadError])
def test_a_trigger_with_a_key_is_repeated_with_the_same_content(
    client: Client, server: Any, run_json: dict[str, Any], failure: Any
) -> None:
    server.fail(failure) if isinstance(failure, type) else server.refuse(failure, "x")
    server.answer(run_json)
    client.jobs.trigger("j", 1, idempotency_key="k", delay=5)
    first, second = server.requests
    assert first.content == second.content


def test_many_are_repeated_only_when_every_item_has_a_key(client: Client, server: Any) -> None:
    server.refuse(500, "x")
    server.answer({"batch_id": "b", "results": [], "total": 0, "created": 0})
    with pytest.raises(ServerError):
        client.jobs.trigger_many("j", [{"idempotency_key": "a"}, {}])
    server.answers.insert(0, httpx2.Response(500))
    client.jobs.trigger_many("j", [{"idempotency_key": "a"}, {"idempotency_key": "b"}])
    assert len(server.requests) == 3


@pytest.mark.parametrize("error", [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout])
def test_what_was_never_sent_is_always_repeated(client: Client, server: Any, error: Any) -> None:
    server.fail(error)
    server.answer({"data": []})
    assert client.worker.dequeue("w") == []
    assert len(server.requests) == 2


def test_a_dequeue_whose_answer_was_lost_is_not_repeated(client: Client, server: Any) -> None:
    server.fail(httpx2.ReadError)
    with pytest.raises(TransportError, match="POST /v1/runs/dequeue got no answer: the network is down"):
        client.worker.dequeue("w")
    assert len(server.requests) == 1


def test_a_rate_limit_is_waited_for(client: Client, server: Any, run_json: dict[str, Any], waited: list[float]) -> None:
    server.refuse(429, "rate_limited", headers={"Retry-After": "7"})
    server.answer(run_json)
    client.jobs.trigger("j")
    assert waited == [7.0]


def test_a_rate_limit_of_hours_is_not_waited_for(client: Client, server: Any, waited: list[float]) -> None:
    server.refuse(429, "rate_limited", headers={"Retry-After": "7200"})
    with pytest.raises(RateLimitedError) as caught:
        client.runs.get("run_1")
    assert (caught.value.retry_after, waited) == (7200.0, [])


def test_giving_up_raises_the_last_error(client: Client, server: Any, waited: list[float]) -> None:
    server.refuse(503, "service_unavailable")
    with pytest.raises(UnavailableError):
        client.runs.get("run_1")
    assert len(server.requests) == 3
    assert [0 <= seconds <= limit for seconds, limit in zip(waited, (0.2, 0.4), strict=True)] == [True, True]


def test_a_client_needs_an_address_and_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNCORD_BASE_URL", raising=False)
    monkeypatch.delenv("RUNCORD_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="RUNCORD_BASE_URL"):
        Client()
    with pytest.raises(ConfigurationError, match="RUNCORD_API_KEY"):
        Client("http://test")
    with pytest.raises(ConfigurationError, match="must begin with http"):
        Client("localhost:8000", "k")


def test_the_environment_stands_in(monkeypatch: pytest.MonkeyPatch, server: Any, run_json: dict[str, Any]) -> None:
    monkeypatch.setenv("RUNCORD_BASE_URL", "http://from-environment/prefix/")
    monkeypatch.setenv("RUNCORD_API_KEY", "secret")
    server.answer(run_json)
    with Client(transport=httpx2.MockTransport(server)) as client:
        client.runs.get("run_1")
    assert str(server.last.url) == "http://from-environment/prefix/v1/runs/run_1"
    assert server.last.headers["Authorization"] == "Bearer secret"
