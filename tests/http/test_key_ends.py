"""When a key ends, it ends in every process: by its times at once, by somebody's doing within a second or so."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx2
import psycopg
import pytest
from starlette.testclient import TestClient
from tests.http.conftest import PROJECT, Api

from runcord.clock import monotonic, utc_now
from runcord.errors import KeyNotActive, Unauthenticated
from runcord.handling.keys import RotateKey, Rotation
from runcord.handling.sealing import Sealer
from runcord.http import credentials, remembered
from runcord.http.app import Application
from runcord.http.credentials import Credentials, create_project, new_key
from runcord.http.key_administration import NewKey, create_key, revoke_key, rotate_key
from runcord.http.remembered import CACHE_SECS
from runcord.ledger.database import service_pool
from runcord.testing.postgres import as_superuser
from runcord.testing.project import CONTEXT, Project, in_project, open_committer
from runcord.testing.server import ServerProcess

DEADLINE = 10.0


def set_ledger_time(dsn: str, at: datetime) -> None:
    """Set the ledgers' clock for all sessions that begin after this."""
    with psycopg.connect(as_superuser(dsn), autocommit=True) as conn:
        conn.execute(f"alter database \"{conn.info.dbname}\" set runcord.now = '{at.isoformat()}'".encode())


@pytest.fixture
def key(dsn: str) -> NewKey:
    """A key of the project, which is made."""
    with psycopg.connect(dsn) as conn:
        create_project(conn, PROJECT, PROJECT)
    return create_key(dsn, PROJECT, "test")


@pytest.mark.parametrize(("minutes", "status"), [(59, 200), (61, 401)])
def test_a_grace_ends_by_the_ledgers_clock(
    app: Application, new_secret: Callable[..., str], dsn: str, minutes: float, status: int
) -> None:
    secret = new_secret()
    with TestClient(app) as client:
        api = Api(client, secret)
        rotated = api.post(f"/v1/api-keys/{api.get('/v1/whoami').json()['key_id']}/rotate").json()
    set_ledger_time(dsn, utc_now() + timedelta(minutes=minutes))
    with TestClient(app) as client:
        assert Api(client, secret).get("/v1/whoami").status_code == status
        assert Api(client, rotated["key"]).get("/v1/whoami").status_code == 200


def test_a_cached_key_does_not_outlive_its_end(dsn: str, key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    rotation, _ = rotate_key(dsn, PROJECT, key.key_id, 60)
    assert rotation.old.grace_ends_at is not None
    set_ledger_time(dsn, rotation.old.grace_ends_at - timedelta(seconds=0.5))
    clock = [1000.0]
    for module in (credentials, remembered):
        monkeypatch.setattr(module, "monotonic", lambda: clock[0])

    async def test() -> None:
        async with service_pool(dsn, 1) as pool:
            found = Credentials(pool)
            assert (await found.find(key.secret)).key_id == key.key_id
        # The pool is closed: what follows can come from the cache alone.
        clock[0] += 0.49
        assert (await found.find(key.secret)).expires_at == rotation.old.grace_ends_at
        clock[0] += 0.02
        assert clock[0] < 1000 + CACHE_SECS
        with pytest.raises(Unauthenticated):
            await found.find(key.secret)

    asyncio.run(test())


def test_what_others_do_to_a_key_is_felt_when_the_cache_is_stale(
    dsn: str, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    for module in (credentials, remembered):
        monkeypatch.setattr(module, "monotonic", lambda: clock[0])

    async def test() -> None:
        async with service_pool(dsn, 1) as pool:
            found = Credentials(pool)
            await found.find(key.secret)
            revoke_key(dsn, PROJECT, key.key_id)
            clock[0] += CACHE_SECS
            with pytest.raises(Unauthenticated):
                await found.find(key.secret)

    asyncio.run(test())


def test_requests_that_come_at_once_ask_the_database_once(dsn: str, key: NewKey) -> None:
    async def test() -> None:
        async with service_pool(dsn, 1) as pool:
            found = Credentials(pool)
            before = pool.get_stats().get("requests_num", 0)
            keys = await asyncio.gather(*(found.find(key.secret) for _ in range(50)))
            assert {each.key_id for each in keys} == {key.key_id}
            assert pool.get_stats()["requests_num"] - before == 1

    asyncio.run(test())


@in_project
async def test_of_two_rotations_at_once_one_wins(project: Project) -> None:
    key = create_key(project.dsn, project.project_id, "test")
    sealer = Sealer(b"installation")
    other = open_committer(project.dsn)
    try:
        outcomes = await asyncio.gather(
            *(
                committer.execute(
                    project.project_id, RotateKey(CONTEXT, key.key_id, new_key(project.project_id, sealer)[1], 10)
                )
                for committer in (project.committer, other)
                for _ in range(3)
            ),
            return_exceptions=True,
        )
    finally:
        other.close()
    (won,) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert isinstance(won.value, Rotation)
    assert {type(outcome) for outcome in outcomes if outcome is not won} == {KeyNotActive}
    assert (
        project.rows("select count(*) from api_keys") == project.rows("select count(*) from api_key_hashes") == [(2,)]
    )


@pytest.mark.parametrize("end", ["over_http", "by_the_operator"])
def test_a_key_that_was_ended_opens_nothing_in_any_process(dsn: str, end: str) -> None:
    with (
        ServerProcess(dsn) as one,
        ServerProcess(dsn) as two,
        httpx2.Client(base_url=one.base_url, headers=one.headers) as admin,
    ):
        made = admin.post("/v1/api-keys", json={"name": "ci", "scopes": ["runs:read"]}).json()
        used = [(server.base_url, {"Authorization": f"Bearer {made['key']}"}) for server in (one, two)]

        def statuses() -> set[int]:
            return {httpx2.get(f"{url}/v1/runs", headers=headers).status_code for url, headers in used}

        assert statuses() == {200}
        if end == "over_http":
            body = {"grace_period_minutes": 0}
            assert admin.post(f"/v1/api-keys/{made['id']}/rotate", json=body).status_code == 201
        else:
            revoke_key(dsn, PROJECT, made["id"])
        began = monotonic()
        while statuses() != {401}:
            assert monotonic() - began < DEADLINE, "a key that was ended lives on"
        assert statuses() == {401}
