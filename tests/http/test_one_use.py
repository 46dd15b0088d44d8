"""Tokens for one use: taken exactly once, however many servers are asked at once, and by one call alone."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.http.conftest import PROJECT, Api
from tests.http.test_public_tokens import signed

from runcord.clock import unix_now
from runcord.http.app import create_app
from runcord.http.compat.trigger.dialect import TRIGGER
from runcord.http.compat.trigger.request_ids import request_key
from runcord.http.key_administration import NewKey, create_key
from runcord.http.operation import Answer, Call, Operation, TokenAccess
from runcord.key.token_scopes import Resource, of_tasks
from runcord.settings import load_settings

REQUEST_KEY = "x-trigger-request-idempotency-key"


async def the_task(call: Call) -> AsyncIterator[Resource]:
    for resource in of_tasks([call.path["task"]]):
        yield resource


async def act(call: Call) -> Answer:
    """Act."""
    return Answer({})


def operation(path: str, method: str = "POST", **access: Any) -> Operation:
    tokens = TokenAccess("trigger", the_task, **access)
    return Operation(method, f"/{path}/{{task}}", act, "Act", "system", tokens=tokens, dialect=TRIGGER)  # pyright: ignore[reportArgumentType]


OWN = (
    operation("once", spends=True),
    operation("repeated", spends=True, repeat_key=request_key),
    operation("free", "GET"),
)


@pytest.fixture
def servers(api: Api, dsn: str) -> Iterator[list[TestClient]]:
    """Two servers, each with all its own connections and memory."""
    with ExitStack() as stack:
        apps = [create_app(load_settings(writers=1, readers=1), dsn, operations=OWN) for _ in range(2)]
        yield [stack.enter_context(TestClient(app)) for app in apps]


@pytest.fixture
def key(api: Api, dsn: str) -> NewKey:
    return create_key(dsn, PROJECT, "test", form="trigger")


def post(server: TestClient, path: str, token: str, **headers: str) -> int:
    return server.post(path, headers={"Authorization": f"Bearer {token}", **headers}).status_code


def test_of_many_calls_to_two_servers_one_takes_the_token(servers: list[TestClient], key: NewKey) -> None:
    tokens = [signed(key.secret, ["trigger:tasks:a"], otu=True, jti=str(n)) for n in range(5)]
    with ThreadPoolExecutor(16) as pool:
        for token in tokens:
            asked = [pool.submit(post, servers[n % 2], "/once/a", token) for n in range(16)]
            assert Counter(one.result() for one in asked) == {200: 1, 422: 15}


def test_a_token_that_was_refused_is_not_taken(servers: list[TestClient], key: NewKey) -> None:
    token = signed(key.secret, ["trigger:tasks:a"], otu=True)
    assert post(servers[0], "/once/b", token) == 403
    assert post(servers[0], "/once/a", token) == 200
    answer = servers[1].post("/once/a", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (422, "token_spent")


def test_reading_takes_no_token_and_one_for_many_uses_is_never_taken(servers: list[TestClient], key: NewKey) -> None:
    token = signed(key.secret, ["trigger:tasks:a"], otu=True)
    for server in (*servers, *servers):
        assert server.get("/free/a", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    many = signed(key.secret, ["trigger:tasks:a"], otu=False)
    assert [post(server, "/once/a", many) for server in (*servers, *servers)] == [200] * 4


def test_the_same_call_sent_again_is_let_through_where_it_is_answered_the_same(
    servers: list[TestClient], key: NewKey
) -> None:
    token = signed(key.secret, ["trigger:tasks:a"], otu=True)
    first = {REQUEST_KEY: "one"}
    assert [post(server, "/repeated/a", token, **first) for server in servers] == [200, 200]
    assert post(servers[0], "/repeated/a", token, **{REQUEST_KEY: "another"}) == 422
    assert post(servers[0], "/repeated/a", token) == 422
    other = signed(key.secret, ["trigger:tasks:a"], otu=True, jti="other")
    assert [post(server, "/once/a", other, **first) for server in servers] == [200, 422]
    nameless = signed(key.secret, ["trigger:tasks:a"], otu=True, jti="nameless")
    assert [post(server, "/repeated/a", nameless) for server in servers] == [200, 422]


def test_used_tokens_are_forgotten_some_time_after_they_have_expired(
    servers: list[TestClient], key: NewKey, dsn: str
) -> None:
    import psycopg

    from runcord.queue.scheduler import ACCESS

    token = signed(key.secret, ["trigger:tasks:a"], otu=True, exp=unix_now() + 3600)
    assert post(servers[0], "/once/a", token) == 200
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(ACCESS["forget_expired_tokens"])
        assert conn.execute("select count(*) from spent_tokens").fetchone() == (1,)
        conn.execute("update spent_tokens set expires_at = now() - interval '2 days'")
        conn.execute(ACCESS["forget_expired_tokens"])
        assert conn.execute("select count(*) from spent_tokens").fetchone() == (0,)
