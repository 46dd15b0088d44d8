"""Jobs that depend on jobs, over HTTP."""

from typing import Any

import pytest
from tests.http.conftest import Api, NewApi


def depend(api: Api, job: str = "report", on: str = "import", **body: Any) -> dict[str, Any]:
    """Make a job depend on another and return the dependency."""
    answer = api.post(f"/v1/jobs/{job}/dependencies", {"depends_on_job_id": on, **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def work(api: Api, run: dict[str, Any], ending: str = "completed") -> None:
    """Take a run and end it."""
    (claim,) = api.take(run_id=run["id"], start=True)
    worker = api.speaking_as(claim["run_token"])
    calls: dict[str, tuple[str, Any]] = {"completed": ("complete", {}), "failed": ("fail", {"error": "no"})}
    path, body = calls[ending]
    assert worker.post(f"/sdk/v1/runs/{run['id']}/{path}", body).status_code == 200


def status(api: Api, run: dict[str, Any]) -> str:
    return api.get(f"/v1/runs/{run['id']}").json()["status"]


@pytest.fixture
def jobs(api: Api) -> tuple[dict[str, Any], dict[str, Any]]:
    """`report`, which does not depend on `import` yet, and that."""
    return api.new_job("report", max_attempts=1), api.new_job("import", max_attempts=1)


def test_a_dependency_is_shown_and_makes_a_version(api: Api, jobs: Any) -> None:
    report, upstream = jobs
    made = depend(api, condition="any")
    assert made == {
        "id": made["id"],
        "job_id": report["id"],
        "depends_on_job_id": upstream["id"],
        "condition": "any",
        "created_at": made["created_at"],
    }
    assert api.get("/v1/jobs/report/dependencies").json() == [made]
    assert api.get("/v1/jobs/import/dependencies").json() == []
    shown = api.get("/v1/jobs/report").json()
    assert (shown["version"], shown["dependencies"]) == (2, [made])
    assert api.delete(f"/v1/jobs/report/dependencies/{made['id']}").status_code == 204
    gone = api.delete(f"/v1/jobs/report/dependencies/{made['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "dependency_not_found")
    assert [version.get("dependencies") for version in api.get("/v1/jobs/report/versions").json()] == [
        None,
        [made],
        None,
    ]


def test_dependencies_come_in_pages(api: Api, jobs: Any) -> None:
    made = [depend(api)] + [depend(api, on=api.new_job(f"up-{n}")["slug"]) for n in range(2)]
    first = api.get("/v1/jobs/report/dependencies?limit=2")
    second = api.get(f"/v1/jobs/report/dependencies?limit=2&cursor={first.headers['X-Next-Cursor']}")
    assert first.json() + second.json() == made


def test_what_cannot_be_depended_on_is_refused(api: Api, new_api: NewApi, jobs: Any) -> None:
    report, upstream = jobs
    foreign = new_api("proj_other").new_job("foreign")
    for on in ("report", report["id"], foreign["id"], "foreign", "nobody"):
        answer = api.post("/v1/jobs/report/dependencies", {"depends_on_job_id": on})
        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed"), on
    for body in ({}, {"depends_on_job_id": "import", "condition": "sometimes"}, {"depends_on_job_id": 1}):
        assert api.post("/v1/jobs/report/dependencies", body).status_code == 400
    depend(api)
    again = api.post("/v1/jobs/report/dependencies", {"depends_on_job_id": upstream["id"], "condition": "any"})
    assert (again.status_code, again.json()["code"]) == (409, "dependency_exists")
    assert len(api.get("/v1/jobs/report/dependencies").json()) == 1


def test_a_circle_is_refused_however_long(api: Api, jobs: Any) -> None:
    api.new_job("fetch")
    depend(api, "report", "import")
    depend(api, "import", "fetch")
    answer = api.post("/v1/jobs/fetch/dependencies", {"depends_on_job_id": "report"})
    assert (answer.status_code, answer.json()["code"]) == (400, "dependency_cycle")
    assert "'report' depends on job 'fetch'" in answer.json()["message"]
    assert api.get("/v1/jobs/fetch/dependencies").json() == []


def test_a_job_that_is_depended_on_stays_until_the_dependency_ends(api: Api, jobs: Any) -> None:
    made = depend(api)
    answer = api.delete("/v1/jobs/import")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_is_depended_on")
    api.delete(f"/v1/jobs/report/dependencies/{made['id']}")
    assert api.delete("/v1/jobs/import").status_code == 204


def test_a_job_whose_dependent_is_deleted_is_free(api: Api, jobs: Any) -> None:
    depend(api)
    assert api.delete("/v1/jobs/report").status_code == 204
    assert api.delete("/v1/jobs/import").status_code == 204


def test_a_run_waits_for_the_job_that_its_own_depends_on(api: Api, jobs: Any) -> None:
    dependency = depend(api)
    run = api.new_run("report")
    assert (run["status"], run["wait"]["kind"]) == ("waiting", "dependency")
    assert api.take(run_id=run["id"]) == []
    told = api.get(f"/v1/runs/{run['id']}/dependency-status").json()
    assert told == {
        "run_id": run["id"],
        "job_id": run["job_id"],
        "status": "waiting",
        "dependencies": [{**dependency, "satisfied": False}],
        "dependencies_satisfied": False,
    }
    upstream = api.new_run("import")
    work(api, upstream)
    assert status(api, run) == "queued"
    told = api.get(f"/v1/runs/{run['id']}/dependencies").json()
    assert (told["status"], told["dependencies_satisfied"]) == ("queued", True)
    ending = {"upstream_run_id": upstream["id"], "upstream_status": "completed"}
    assert told["dependencies"] == [{**dependency, "satisfied": True, **ending}]
    assert [event["type"] for event in api.get(f"/v1/runs/{run['id']}/history").json()] == [
        "run.triggered.v1",
        "run.resumed.v1",
    ]
    work(api, run)
    # What ends from here on does not take back that this run was let go.
    work(api, api.new_run("import"), "failed")
    assert api.get(f"/v1/runs/{run['id']}/dependencies").json()["dependencies_satisfied"] is True
    assert api.new_run("report")["status"] == "waiting"


def test_an_ending_before_the_dependency_was_made_counts(api: Api, jobs: Any) -> None:
    work(api, api.new_run("import", payload={"dependency_key": "may"}))
    work(api, api.new_run("import", payload={"dependency_key": "june"}), "failed")
    depend(api)
    assert api.new_run("report", payload={"dependency_key": "may"})["status"] == "queued"
    assert api.new_run("report", payload={"dependency_key": "june"})["status"] == "waiting"
    assert api.new_run("report", payload={"dependency_key": "july"})["status"] == "waiting"
    assert api.new_run("report")["status"] == "waiting", "the latest of all has failed"


@pytest.mark.parametrize(
    ("condition", "meeting"),
    [
        ("completed", {"completed"}),
        ("failed", {"failed", "dead_letter"}),
        ("any", {"completed", "failed", "dead_letter", "canceled"}),
    ],
)
def test_each_condition_is_met_by_its_endings(api: Api, jobs: Any, condition: str, meeting: set[str]) -> None:
    depend(api, condition=condition)
    for ending in ("completed", "failed", "dead_letter", "canceled"):
        key = {"dependency_key": ending}
        upstream, run = api.new_run("import", payload=key), api.new_run("report", payload=key)
        if ending == "canceled":
            api.delete(f"/v1/runs/{upstream['id']}")
        else:
            (claim,) = api.take(run_id=upstream["id"], start=True)
            settlement = {"run_id": upstream["id"], "attempt": claim["run"]["attempt"], "status": "failed"}
            settlement |= {"error": {"message": "no"}, "retryable": ending == "dead_letter"}
            if ending == "completed":
                settlement = {"run_id": upstream["id"], "attempt": 1, "status": "completed"}
            settled = api.post("/v1/runs/settle", {"settlements": [settlement]})
            assert settled.json()["results"][0]["status"] == ending, settled.text
        assert status(api, run) == ("queued" if ending in meeting else "waiting"), ending


def test_a_run_with_an_idempotency_key_waits_for_one_with_the_same(api: Api, jobs: Any) -> None:
    depend(api)
    mine = api.new_run("report", idempotency_key="2026-05", payload={"dependency_key": "x"})
    other = api.new_run("report", idempotency_key="2026-06")
    work(api, api.new_run("import", payload={"dependency_key": "x"}))
    assert {status(api, mine), status(api, other)} == {"waiting"}
    work(api, api.new_run("import", idempotency_key="2026-05"))
    assert (status(api, mine), status(api, other)) == ("queued", "waiting")


@pytest.mark.parametrize("key", ["x" * 2000, "ключ\n", 7, 0.5])
def test_any_text_or_number_is_a_dependency_key(api: Api, jobs: Any, key: Any) -> None:
    depend(api)
    run = api.new_run("report", payload={"dependency_key": key})
    work(api, api.new_run("import", payload={"dependency_key": "another"}))
    assert status(api, run) == "waiting"
    work(api, api.new_run("import", payload={"dependency_key": key}))
    assert status(api, run) == "queued"


@pytest.mark.parametrize("key", ["", None, True, ["x"], {"x": 1}])
def test_what_is_no_key_counts_as_none(api: Api, jobs: Any, key: Any) -> None:
    depend(api)
    run = api.new_run("report", payload={"dependency_key": key})
    work(api, api.new_run("import"))
    assert status(api, run) == "queued"


def test_all_of_several_dependencies_have_to_be_met(api: Api, jobs: Any) -> None:
    api.new_job("clean")
    depend(api)
    depend(api, on="clean")
    run = api.new_run("report")
    work(api, api.new_run("import"))
    assert status(api, run) == "waiting"
    assert [one["satisfied"] for one in api.get(f"/v1/runs/{run['id']}/dependencies").json()["dependencies"]] == [
        True,
        False,
    ]
    work(api, api.new_run("clean"))
    assert status(api, run) == "queued"


def test_taking_a_dependency_away_lets_go_what_only_it_held_back(api: Api, jobs: Any) -> None:
    api.new_job("clean")
    one, other = depend(api), depend(api, on="clean")
    runs = [api.new_run("report"), api.new_run("report", payload={"dependency_key": "x"})]
    api.delete(f"/v1/jobs/report/dependencies/{one['id']}")
    assert {status(api, run) for run in runs} == {"waiting"}
    api.delete(f"/v1/jobs/report/dependencies/{other['id']}")
    assert {status(api, run) for run in runs} == {"queued"}


def test_a_held_run_can_be_canceled_and_tells_the_truth_after(api: Api, jobs: Any) -> None:
    depend(api)
    run = api.new_run("report")
    assert api.delete(f"/v1/runs/{run['id']}").json()["status"] == "canceled"
    work(api, api.new_run("import"), "failed")
    told = api.get(f"/v1/runs/{run['id']}/dependency-status").json()
    assert (told["status"], told["dependencies_satisfied"]) == ("canceled", False)


def test_the_token_of_a_held_run_does_no_work(api: Api, jobs: Any) -> None:
    depend(api)
    run = api.new_run("report")
    for path, body in (("complete", {}), ("checkpoint", {"state": 1}), ("log", {"message": "x"})):
        answer = api.speaking_as(run["run_token"]).post(f"/sdk/v1/runs/{run['id']}/{path}", body)
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition"), path
    assert status(api, run) == "waiting"


def test_a_bulk_trigger_holds_back_each_run_by_its_own_key(api: Api, jobs: Any) -> None:
    depend(api)
    work(api, api.new_run("import", payload={"dependency_key": "a"}))
    items = [{"payload": {"dependency_key": key}} for key in ("a", "b", "a")]
    answer = api.post("/v1/jobs/report/trigger/bulk", {"items": items})
    assert [result["status"] for result in answer.json()["results"]] == ["queued", "waiting", "queued"]


def test_a_child_whose_job_depends_on_another_waits_like_any_run(api: Api, jobs: Any) -> None:
    depend(api)
    api.new_job("parent")
    parent = api.new_run("parent")
    (claim,) = api.take(run_id=parent["id"], start=True)
    worker = api.speaking_as(claim["run_token"])
    child = worker.post(f"/sdk/v1/runs/{parent['id']}/spawn", {"job_slug": "report"}).json()
    assert child["status"] == "waiting"
    work(api, api.new_run("import"))
    assert status(api, child) == "queued"
