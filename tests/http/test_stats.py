"""Counting the queue: the runs of a project that are not over, by status."""

from tests.http.conftest import Api, NewApi


def test_an_empty_project_counts_nothing(api: Api) -> None:
    assert api.get("/v1/stats").json() == {
        "queued": 0,
        "executing": 0,
        "delayed": 0,
        "dequeued": 0,
        "waiting": 0,
        "paused": 0,
        "dead_letter": 0,
    }


def test_each_status_is_counted_and_what_is_over_is_not(api: Api, new_api: NewApi) -> None:
    api.new_job(max_attempts=1)

    def begun() -> str:
        run_id = api.new_run()["id"]
        api.take(run_id=run_id, start=True)
        return run_id

    api.new_run(delay_secs=600)
    api.post(f"/sdk/v1/runs/{begun()}/complete")
    api.post(f"/sdk/v1/runs/{begun()}/fail", {"error": "no luck"})
    for key in ("a", "b"):
        api.post(f"/sdk/v1/runs/{begun()}/wait-for-event", {"event_key": key})
    for _ in range(2):
        begun()
    api.take(run_id=api.new_run()["id"])
    assert api.post(f"/v1/runs/{begun()}/pause").status_code == 200
    for _ in range(3):
        api.new_run()
    counted = api.get("/v1/stats").json()
    assert counted == {
        "queued": 3,
        "executing": 2,
        "delayed": 1,
        "dequeued": 1,
        "waiting": 2,
        "paused": 1,
        "dead_letter": 1,
    }
    by_status = api.get("/v1/runs/stats").json()["by_status"]
    assert {status: count for status, count in by_status.items() if status in counted} == counted
    assert set(new_api("proj_other").get("/v1/stats").json().values()) == {0}


def test_counting_needs_its_scope(new_api: NewApi) -> None:
    assert new_api(scopes=["stats:read"]).get("/v1/stats").status_code == 200
    assert new_api(scopes=["jobs:read"]).get("/v1/stats").status_code == 403
