"""What the server says about itself."""

import psycopg
import pytest

from runcord.ledger.tail import Tail
from runcord.testing.contract import check_answer

READY = {"status": "ready", "checks": {"database": "ok", "migrations": "ok", "tail": "ok"}}


@pytest.mark.parametrize("path", ["/livez", "/health"])
def test_a_server_that_serves_is_alive(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_server_that_can_work_is_ready(client):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, READY)


def test_strait_s_clients_are_told_in_their_words(client, monkeypatch):
    answer = client.get("/health/ready")
    names = ("database", "migrations", "tail")
    assert answer.status_code == 200
    assert answer.json() == {"status": "up", "components": [{"name": name, "status": "up"} for name in names]}
    monkeypatch.setattr(Tail, "lag_secs", property(lambda self: 7.4))
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "degraded")
    error = "last looked at the ledgers 7 s ago"
    assert answer.json()["components"][-1] == {"name": "tail", "status": "down", "error": error}


def test_a_server_whose_database_lacks_a_migration_is_not_ready(client, dsn):
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("delete from schema_migrations")
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    assert answer.json()["status"] == "not_ready"
    assert "runcord migrate" in answer.json()["checks"]["migrations"]
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("drop table schema_migrations")
    assert "pending" in client.get("/readyz").json()["checks"]["migrations"]


def test_a_server_that_lost_sight_of_the_ledgers_is_not_ready(client, monkeypatch):
    monkeypatch.setattr(Tail, "lag_secs", property(lambda self: 7.4))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == READY["checks"] | {"tail": "last looked at the ledgers 7 s ago"}


def test_a_server_whose_database_is_away_is_alive_and_not_ready(app, dsn, postgres):
    from starlette.testclient import TestClient

    with TestClient(app) as client, psycopg.connect(postgres.dsn, autocommit=True) as conn:
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        conn.execute(f'alter database "{name}" allow_connections false'.encode())
        try:
            conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
            answer = client.get("/readyz")
            check_answer("GET", "/readyz", answer.status_code, answer.content)
            assert answer.status_code == 503
            assert answer.json()["checks"]["database"] != "ok"
            assert client.get("/livez").status_code == 200
        finally:
            conn.execute(f'alter database "{name}" allow_connections true'.encode())


def test_a_key_learns_who_it_is(new_api):
    api = new_api("proj_mine", scopes=["runs:read", "jobs:read"])
    me = api.get("/v1/whoami").json()
    assert (me["project_id"], me["scopes"]) == ("proj_mine", ["jobs:read", "runs:read"])
    assert me["key_id"].startswith("key_")


def test_nothing_is_found_where_there_is_nothing(client):
    answer = client.get("/v1/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_method_that_a_path_does_not_take_is_told(client):
    answer = client.put("/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


def test_every_method_that_a_path_takes_is_told(client):
    assert client.put("/v1/jobs/one").headers["allow"] == "DELETE, GET, HEAD, PATCH"
    assert client.put("/sdk/v1/runs/one/state/a/b").headers["allow"] == "DELETE, GET, HEAD"


def test_a_path_of_its_own_does_not_tell_the_methods_of_another_that_it_looks_like(client):
    assert client.put("/v1/jobs/batch").headers["allow"] == "POST"
    assert client.put("/v1/runs/dlq").headers["allow"] == "GET, HEAD"


def test_a_path_is_its_own_for_all_methods(client):
    answer = client.get("/v1/jobs/batch")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert client.delete("/v1/events/order-1/stream").status_code == 405
    assert client.request("BREW", "/v1/runs").headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/livez", "/v1/runs", "/nothing"])
def test_every_answer_is_guarded_and_has_an_id(client, path):
    headers = client.get(path).headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    assert client.get(path, headers={"X-Request-ID": "mine"}).headers["x-request-id"] == "mine"
