"""Jobs copied, created and switched many at once, their versions, and lists by tag."""

from typing import Any

import pytest
from tests.http.conftest import Api, NewApi


def test_a_copy_has_all_but_the_name_and_the_dependencies(api: Api) -> None:
    api.new_job("upstream")
    settings: dict[str, Any] = {
        "max_attempts": 7,
        "retry_delays_secs": [1, 2],
        "tags": {"a": "b"},
        "payload_schema": {"type": "object"},
        "enabled": False,
        "webhook_secret": "s",
    }
    job = api.new_job(**settings)
    api.patch("/v1/jobs/parse", {"max_attempts": 8})
    api.post("/v1/jobs/parse/dependencies", {"depends_on_job_id": "upstream"})
    answer = api.post("/v1/jobs/parse/clone", {"name": "Copy", "slug": "copy"})
    assert answer.status_code == 201
    copy = answer.json()
    own = {"id", "name", "slug", "version", "version_id", "created_at", "updated_at", "last_breaking_version"}
    assert {k: v for k, v in copy.items() if k not in own} == {
        k: v for k, v in {**job, "max_attempts": 8}.items() if k not in own
    }
    assert (copy["name"], copy["slug"], copy["version"]) == ("Copy", "copy", 1)
    assert api.get("/v1/jobs/copy").json() == copy


def test_a_copy_needs_a_free_slug_and_a_job_to_copy(api: Api) -> None:
    api.new_job()
    taken = api.post("/v1/jobs/parse/clone", {"name": "x", "slug": "parse"})
    assert (taken.status_code, taken.json()["code"]) == (409, "job_slug_taken")
    assert api.post("/v1/jobs/nobody/clone", {"name": "x", "slug": "x"}).status_code == 404
    for body in ({}, {"name": "x"}, {"slug": "x"}, {"name": "", "slug": "x"}, {"name": "x", "slug": "a b"}):
        assert api.post("/v1/jobs/parse/clone", body).status_code == 400


def test_a_version_is_read_by_its_id_and_by_its_number(api: Api) -> None:
    first = api.new_job(description="one")
    second = api.patch("/v1/jobs/parse", {"description": "two"}).json()
    for ref, job in ((first["version_id"], first), ("1", first), (second["version_id"], second), ("2", second)):
        assert api.get(f"/v1/jobs/parse/versions/{ref}").json() == {**job, "job_id": first["id"]}
    for ref in ("3", "0", "ver_nothing", "x"):
        answer = api.get(f"/v1/jobs/parse/versions/{ref}")
        assert (answer.status_code, answer.json()["code"]) == (404, "job_version_not_found")


def test_a_batch_makes_what_it_can_and_tells_why_not_the_rest(api: Api) -> None:
    jobs = [
        {"name": "a", "slug": "a"},
        {"name": "b", "slug": "a"},
        {"name": "c"},
        "no job",
        {"name": "d", "slug": "d", "project_id": "proj_other"},
        {"name": "e", "slug": "e", "webhook_secret": "s"},
    ]
    answer = api.post("/v1/jobs/batch", {"jobs": jobs})
    assert answer.status_code == 201
    made, refused = answer.json()["created"], answer.json()["errors"]
    assert [job["slug"] for job in made] == ["a", "e"]
    assert made[1]["has_webhook_secret"] is True
    assert [(error["index"], error["code"]) for error in refused] == [
        (1, "job_slug_taken"),
        (2, "validation_failed"),
        (3, "validation_failed"),
        (4, "validation_failed"),
    ]
    assert [job["slug"] for job in api.get("/v1/jobs").json()] == ["e", "a"]
    array = api.post("/v1/jobs/batch", [{"name": "f", "slug": "f"}])
    assert array.status_code == 201 and len(array.json()["created"]) == 1


@pytest.mark.parametrize("body", [{}, {"jobs": []}, [], {"jobs": [{}] * 51}, {"jobs": {}}])
def test_a_batch_has_1_to_50_jobs(api: Api, body: Any) -> None:
    assert api.post("/v1/jobs/batch", body).status_code == 400


def test_jobs_are_switched_together(api: Api) -> None:
    ids = [api.new_job(f"job-{n}")["id"] for n in range(3)]
    api.patch("/v1/jobs/job-2", {"enabled": False})
    answer = api.post("/v1/jobs/batch-disable", {"ids": [ids[0], "job-1", ids[2], "nobody", "job_none"]})
    assert answer.json() == {"updated": 2, "not_found": ["nobody", "job_none"]}
    assert [api.get(f"/v1/jobs/{ref}").json()["enabled"] for ref in ids] == [False, False, False]
    assert [api.get(f"/v1/jobs/{ref}").json()["version"] for ref in ids] == [2, 2, 2]
    assert api.post("/v1/jobs/job-0/trigger", {}).json()["code"] == "job_disabled"
    assert api.post("/v1/jobs/batch-enable", {"job_ids": ids}).json() == {"updated": 3}
    assert api.new_run("job-0")["status"] == "queued"


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": "x"}, {"ids": ["x"], "job_ids": ["x"]}, {"ids": [1]}])
def test_a_switch_names_jobs(api: Api, body: Any) -> None:
    assert api.post("/v1/jobs/batch-enable", body).status_code == 400


def test_switching_another_projects_jobs_does_nothing(api: Api, new_api: NewApi) -> None:
    job = api.new_job()
    answer = new_api("proj_other").post("/v1/jobs/batch-disable", {"ids": [job["id"]]})
    assert answer.json() == {"updated": 0, "not_found": [job["id"]]}
    assert api.get("/v1/jobs/parse").json()["enabled"] is True


def test_a_job_is_paused_and_resumed(api: Api) -> None:
    job = api.new_job()
    api.new_run()
    paused = api.post("/v1/jobs/parse/pause")
    assert (paused.status_code, paused.json()["enabled"], paused.json()["version"]) == (200, False, 2)
    assert api.take() == []
    assert api.post(f"/v1/jobs/{job['id']}/pause").json()["version"] == 2, "what is paused stays as it is"
    resumed = api.post("/v1/jobs/parse/resume").json()
    assert (resumed["enabled"], resumed["version"], resumed["last_breaking_version"]) == (True, 3, 1)
    assert len(api.take()) == 1


def test_jobs_are_listed_by_tag(api: Api) -> None:
    for n, tags in enumerate([{"team": "a"}, {"team": "b", "x": "1"}, None, {"team": "a", "x": ""}]):
        api.new_job(f"job-{n}", tags=tags)

    def slugs(query: str) -> list[str]:
        return [job["slug"] for job in api.get(f"/v1/jobs?{query}").json()]

    assert slugs("tag_key=team") == ["job-3", "job-1", "job-0"]
    assert slugs("tag_key=team&tag_value=a") == ["job-3", "job-0"]
    assert slugs("tag_key=x&tag_value=1") == ["job-1"]
    assert slugs("tag_key=nobody") == []
    assert api.get("/v1/jobs?tag_value=a").status_code == 400
    first = api.get("/v1/jobs?tag_key=team&limit=2")
    assert "cursor" in first.headers["Link"] and "tag_key=team" in first.headers["Link"]
