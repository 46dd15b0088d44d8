"""Jobs over HTTP."""

from typing import Any

import pytest
from tests.http.conftest import Api, NewApi


def test_a_job_is_created_with_defaults(api: Api) -> None:
    answer = api.post("/v1/jobs", {"name": "Parse files", "slug": "parse", "project_id": api.project_id})
    assert answer.status_code == 201
    job = answer.json()
    always = {"id", "project_id", "name", "slug", "endpoint_url", "max_attempts", "timeout_secs", "enabled", "version"}
    assert always | {"created_at", "updated_at"} <= job.keys()
    assert (job["project_id"], job["max_attempts"], job["timeout_secs"]) == (api.project_id, 3, 300)
    assert job["version_id"].startswith("ver_") and len(job["version_id"]) == 16
    assert answer.headers["ETag"] == '"1"'
    assert api.get(f"/v1/jobs/{job['id']}").json() == job
    assert api.get("/v1/jobs/parse/").json() == job


def test_every_setting_is_kept(api: Api) -> None:
    settings: dict[str, Any] = {
        "description": "d",
        "enabled": False,
        "endpoint_url": "https://example.com/run",
        "fallback_endpoint_url": "https://example.com/other",
        "queue_name": "slow",
        "payload_schema": {"type": "object"},
        "result_schema": {"type": "integer"},
        "tags": {"team": "a"},
        "default_run_metadata": {"k": "v"},
        "max_attempts": 7,
        "timeout_secs": 0.5,
        "max_concurrency": 2,
        "max_concurrency_per_key": 1,
        "run_ttl_secs": 60,
        "retry_strategy": "custom",
        "retry_initial_delay_secs": 0.25,
        "retry_max_delay_secs": 10,
        "retry_delays_secs": [1, 5, 30],
        "version_policy": "minor",
        "cron": "0 * * * *",
        "timezone": "Europe/Berlin",
        "webhook_url": "https://example.com/hook",
    }
    job = api.new_job(**settings)
    assert {name: job[name] for name in settings} == settings


def test_null_stands_for_the_default_of_a_new_job(api: Api) -> None:
    assert "description" not in api.new_job(description=None)


def test_a_slug_belongs_to_one_job(api: Api, new_api: NewApi) -> None:
    api.new_job()
    answer = api.post("/v1/jobs", {"name": "x", "slug": "parse"})
    assert (answer.status_code, answer.json()["code"]) == (409, "job_slug_taken")
    new_api("proj_other").new_job()


def test_a_change_is_a_new_version(api: Api) -> None:
    job = api.new_job(description="first", max_attempts=5)
    changed = api.patch("/v1/jobs/parse", {"description": "second", "backwards_compatible": True})
    assert changed.status_code == 200
    assert (changed.json()["version"], changed.json()["description"]) == (2, "second")
    assert changed.json()["max_attempts"] == 5
    assert changed.json()["version_id"] != job["version_id"]
    unset = api.patch(f"/v1/jobs/{job['id']}", {"description": None})
    assert "description" not in unset.json()
    versions = api.get("/v1/jobs/parse/versions").json()
    assert [version["version"] for version in versions] == [3, 2, 1]
    assert [version.get("description") for version in versions] == [None, "second", "first"]
    assert {version["job_id"] for version in versions} == {job["id"]}


def test_versions_come_in_pages(api: Api) -> None:
    api.new_job()
    for n in range(4):
        api.patch("/v1/jobs/parse", {"description": str(n)})
    first = api.get("/v1/jobs/parse/versions?limit=3")
    second = api.get(f"/v1/jobs/parse/versions?limit=3&cursor={first.headers['X-Next-Cursor']}")
    assert [version["version"] for version in first.json() + second.json()] == [5, 4, 3, 2, 1]
    assert "X-Next-Cursor" not in second.headers


def test_a_slug_that_was_changed_leads_to_the_job_and_the_old_one_nowhere(api: Api) -> None:
    job = api.new_job()
    assert api.new_run("parse")["job_id"] == job["id"]
    api.patch("/v1/jobs/parse", {"slug": "analyse"})
    assert api.post("/v1/jobs/parse/trigger", {}).status_code == 404
    assert api.new_run("analyse")["job_id"] == job["id"]
    other = api.new_job("parse")
    assert api.new_run("parse")["job_id"] == other["id"]


def test_a_slug_that_went_to_another_job_behind_our_back_is_found_again(api: Api) -> None:
    first, second = api.new_job("one"), api.new_job("two")
    assert api.new_run("one")["job_id"] == first["id"]
    # By their ids, so that what is remembered of the slug stays.
    api.patch(f"/v1/jobs/{first['id']}", {"slug": "three"})
    api.patch(f"/v1/jobs/{second['id']}", {"slug": "one"})
    assert api.new_run("one")["job_id"] == second["id"]


def test_a_deleted_job_is_gone_and_its_runs_stay(api: Api) -> None:
    job = api.new_job()
    run = api.new_run("parse")
    busy = api.delete("/v1/jobs/parse")
    assert (busy.status_code, busy.json()["code"]) == (409, "job_has_active_runs")
    api.delete(f"/v1/runs/{run['id']}")
    gone = api.delete("/v1/jobs/parse")
    assert (gone.status_code, gone.content) == (204, b"")
    for ref in ("parse", job["id"]):
        assert api.get(f"/v1/jobs/{ref}").status_code == 404
        assert api.delete(f"/v1/jobs/{ref}").status_code == 404
    assert api.get("/v1/jobs").json() == []
    assert api.get(f"/v1/runs/{run['id']}").json()["job_id"] == job["id"]
    api.new_job("parse")


def test_jobs_are_listed_newest_first_page_by_page(api: Api, new_api: NewApi) -> None:
    new_api("proj_other").new_job("foreign")
    for n in range(5):
        api.new_job(f"job-{n}")
    slugs: list[str] = []
    path = "/v1/jobs?limit=2"
    while True:
        answer = api.get(path)
        slugs += [job["slug"] for job in answer.json()]
        if "Link" not in answer.headers:
            break
        path = answer.headers["Link"].split(">")[0].lstrip("<")
    assert slugs == [f"job-{n}" for n in (4, 3, 2, 1, 0)]
    enveloped = api.get("/v1/jobs?limit=2&envelope=true").json()
    assert [job["slug"] for job in enveloped["data"]] == ["job-4", "job-3"]
    assert enveloped["has_more"] is True
    assert enveloped["next_cursor"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=nonsense", "envelope=perhaps"])
def test_a_page_that_makes_no_sense_is_refused(api: Api, query: str) -> None:
    assert api.get(f"/v1/jobs?{query}").status_code == 400


def test_a_job_of_another_project_is_not_there(api: Api, new_api: NewApi) -> None:
    job = api.new_job()
    stranger = new_api("proj_other")
    for ref in (job["id"], "parse"):
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"enabled": False}),
            ("DELETE", "", None),
            ("GET", "/versions", None),
            ("POST", "/trigger", {}),
            ("POST", "/trigger/bulk", {"items": [{}]}),
        ):
            answer = stranger.request(method, f"/v1/jobs/{ref}{path}", body)
            assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found"), (method, path)
    assert stranger.get("/v1/jobs").json() == []
    assert stranger.get(f"/v1/jobs?project_id={api.project_id}").status_code == 404
    assert stranger.post("/v1/jobs", {"name": "x", "slug": "x", "project_id": api.project_id}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/jobs", "jobs:write"),
        ("GET", "/v1/jobs", "jobs:read"),
        ("GET", "/v1/jobs/parse", "jobs:read"),
        ("PATCH", "/v1/jobs/parse", "jobs:write"),
        ("DELETE", "/v1/jobs/parse", "jobs:write"),
        ("GET", "/v1/jobs/parse/versions", "jobs:read"),
        ("POST", "/v1/jobs/parse/trigger", "jobs:trigger"),
        ("POST", "/v1/jobs/parse/trigger/bulk", "jobs:trigger"),
        ("POST", "/v1/runs/dequeue", "runs:work"),
        ("POST", "/v1/runs/settle", "runs:work"),
    ],
)
def test_each_call_needs_its_scope(new_api: NewApi, method: str, path: str, scope: str) -> None:
    others = {"jobs:read", "jobs:write", "jobs:trigger", "runs:read", "runs:write", "runs:work"} - {scope}
    answer = new_api(scopes=sorted(others)).request(method, path, {})
    assert (answer.status_code, answer.json()["message"]) == (403, f"insufficient permissions: requires {scope}")
    assert new_api(scopes=[]).request(method, path, {}).status_code == 403
    assert new_api(scopes=[scope]).request(method, path, {}).status_code != 403


BAD: list[dict[str, Any]] = [
    {"name": ""},
    {"slug": None},
    {"slug": "a b"},
    {"slug": "a/b"},
    {"slug": "x" * 129},
    {"max_attempts": 0},
    {"max_attempts": 101},
    {"max_attempts": "3"},
    {"max_attempts": None},
    {"timeout_secs": 0},
    {"timeout_secs": 10**12},
    {"max_concurrency": 2**31},
    {"enabled": 1},
    {"endpoint_url": "file:///etc/passwd"},
    {"retry_strategy": "sometimes"},
    {"retry_delays_secs": [0]},
    {"tags": {"k": 1}},
    {"tags": {str(n): "v" for n in range(21)}},
    {"payload_schema": {"type": "nonsense"}},
    {"payload_schema": {"$ref": "https://example.com/schema"}},
    {"debounce_window_secs": 1, "batch_window_secs": 1},
    {"unknown": 1},
]


@pytest.mark.parametrize("settings", BAD, ids=[f"{n}-{next(iter(bad))}" for n, bad in enumerate(BAD)])
def test_settings_that_make_no_sense_are_refused(api: Api, settings: dict[str, Any]) -> None:
    answer = api.post("/v1/jobs", {"name": "x", "slug": "x", **settings})
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed"), answer.text
    job = api.new_job()
    assert api.patch("/v1/jobs/parse", settings).status_code == 400
    assert api.get("/v1/jobs/parse").json() == job


def test_a_change_of_nothing_is_refused(api: Api) -> None:
    api.new_job()
    assert api.patch("/v1/jobs/parse", {}).status_code == 400
    assert api.patch("/v1/jobs/nobody", {"enabled": True}).json()["code"] == "job_not_found"
