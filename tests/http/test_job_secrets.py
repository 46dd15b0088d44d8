"""Secrets of jobs: taken, kept sealed, used, and shown to nobody."""

import asyncio
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
from tests.http.conftest import PROJECT, Api, NewApi

from runcord.errors import ConfigurationError
from runcord.handling.job_secrets import job_secret
from runcord.handling.sealing import Sealer
from runcord.http.installation import installation_secret
from runcord.settings import load_settings

HOOK, SIGNING = "hook-secret-ß", "signing-secret"


def secret_of(dsn: str, job: Mapping[str, Any], name: str) -> str | None:
    """Return what a dispatcher would sign with."""

    async def read() -> str | None:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            sealer = Sealer(await installation_secret(conn, load_settings()))

            async def rows(statement: bytes, params: Mapping[str, Any]) -> list[Any]:
                return await (await conn.execute(statement, params)).fetchall()

            return await job_secret(rows, sealer, PROJECT, job["id"], name)

    return asyncio.run(read())


def everything(dsn: str) -> str:
    """Return all that the database holds of jobs and events, as text."""
    with psycopg.connect(dsn) as conn:
        texts = ["select convert_from(data, 'UTF8') from events", "select convert_from(state, 'UTF8') from jobs"]
        sealed = conn.execute("select encode(sealed, 'escape') from job_secrets").fetchall()
        return str([conn.execute(text.encode()).fetchall() for text in texts]) + str(sealed)


def test_a_secret_is_kept_and_shown_to_nobody(api: Api, dsn: str) -> None:
    job = api.new_job(webhook_secret=HOOK, endpoint_signing_secret=SIGNING)
    assert (job["has_webhook_secret"], job["has_endpoint_signing_secret"]) == (True, True)
    shown = [api.get(path).text for path in ("/v1/jobs", "/v1/jobs/parse", "/v1/jobs/parse/versions")]
    for text in (str(job), *shown, everything(dsn)):
        assert HOOK not in text and SIGNING not in text
    assert secret_of(dsn, job, "webhook_secret") == HOOK
    assert secret_of(dsn, job, "endpoint_signing_secret") == SIGNING


def test_a_job_without_secrets_has_none(api: Api, dsn: str) -> None:
    job = api.new_job(webhook_secret=None)
    assert not any("secret" in name for name in job)
    assert secret_of(dsn, job, "webhook_secret") is None


def test_a_change_replaces_or_removes_a_secret_and_leaves_the_other(api: Api, dsn: str) -> None:
    job = api.new_job(webhook_secret=HOOK, endpoint_signing_secret=SIGNING)
    changed = api.patch("/v1/jobs/parse", {"endpoint_signing_secret": "another"}).json()
    assert changed["version"] == 2
    assert secret_of(dsn, job, "endpoint_signing_secret") == "another"
    removed = api.patch("/v1/jobs/parse", {"endpoint_signing_secret": None}).json()
    assert "has_endpoint_signing_secret" not in removed and removed["has_webhook_secret"]
    assert secret_of(dsn, job, "endpoint_signing_secret") is None
    assert secret_of(dsn, job, "webhook_secret") == HOOK


def test_a_refused_change_leaves_the_secret(api: Api, dsn: str) -> None:
    api.new_job("other")
    job = api.new_job(webhook_secret=HOOK)
    answer = api.patch("/v1/jobs/parse", {"webhook_secret": "another", "slug": "other"})
    assert answer.json()["code"] == "job_slug_taken"
    assert secret_of(dsn, job, "webhook_secret") == HOOK


def test_the_secrets_of_a_deleted_job_are_gone(api: Api, dsn: str) -> None:
    job = api.new_job(webhook_secret=HOOK, endpoint_signing_secret=SIGNING)
    api.delete("/v1/jobs/parse")
    assert secret_of(dsn, job, "webhook_secret") is None
    with psycopg.connect(dsn) as conn:
        assert conn.execute("select count(*) from job_secrets").fetchone() == (0,)


@pytest.mark.parametrize("value", ["", "x" * 1025, 5, ["x"]])
def test_what_cannot_be_a_secret_is_refused_and_not_repeated(api: Api, value: Any) -> None:
    answer = api.post("/v1/jobs", {"name": "x", "slug": "x", "webhook_secret": value})
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
    assert "x" * 1025 not in answer.text


def test_the_registration_of_straits_client_is_taken(api: Api, new_api: NewApi) -> None:
    body = {
        "project_id": PROJECT,
        "name": "Parse",
        "slug": "parse",
        "endpoint_url": "",
        "fallback_endpoint_url": "https://example.com/again",
        "webhook_url": "https://example.com/hook",
        "webhook_secret": HOOK,
        "retry_strategy": "custom",
        "retry_delays_secs": [1, 2],
    }
    answer = api.post("/v1/jobs", body)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["endpoint_url"], answer.json()["webhook_url"]) == ("", "https://example.com/hook")
    assert new_api("proj_other").get(f"/v1/jobs/{answer.json()['id']}").status_code == 404


def test_what_is_sealed_is_bound_to_its_place_and_key() -> None:
    sealer = Sealer(b"one")
    sealed = sealer.seal("proj_a", "webhook_secret", HOOK)
    assert sealer.open("proj_a", "webhook_secret", sealed) == HOOK
    assert sealed != sealer.seal("proj_a", "webhook_secret", HOOK), "the same text must not look the same twice"
    tampered = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for opener, project_id, name, given in (
        (Sealer(b"two"), "proj_a", "webhook_secret", sealed),
        (sealer, "proj_b", "webhook_secret", sealed),
        (sealer, "proj_a", "endpoint_signing_secret", sealed),
        (sealer, "proj_a", "webhook_secret", tampered),
        (sealer, "proj_a", "webhook_secret", b""),
    ):
        with pytest.raises(ConfigurationError):
            opener.open(project_id, name, given)
