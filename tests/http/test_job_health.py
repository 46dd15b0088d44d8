"""The health of a job: what is counted, how it is rated, and that an index serves it."""

from datetime import UTC, datetime

import psycopg
import pytest
from tests.http.conftest import PROJECT, Api

from runcord.projecting.job_health import SQL, Health, rated

NEVER = datetime(2026, 1, 1, tzinfo=UTC)


def health(total: int, completed: int, *, timed_out: int = 0, canceled: int = 0, expired: int = 0) -> Health:
    return rated(Health(NEVER, total, completed, 0, 0, timed_out, 0, 0, canceled, expired, 0.0, 0.0))


def test_a_job_without_runs_is_in_good_health() -> None:
    assert (health(0, 0).success_rate, health(0, 0).health_score) == (1.0, 100.0)
    assert health(3, 0, canceled=2, expired=1).health_score == 100.0


def test_a_lost_run_counts_twice_and_a_canceled_one_not_at_all() -> None:
    assert (health(4, 3).success_rate, health(4, 3).health_score) == (0.75, 75.0)
    assert (health(4, 3, timed_out=1).success_rate, health(4, 3, timed_out=1).health_score) == (0.75, 60.0)
    assert health(6, 3, canceled=1, expired=1).success_rate == 0.75
    assert health(2, 0, timed_out=2).health_score == 0.0


def test_the_endings_of_a_window_are_counted(api: Api, dsn: str) -> None:
    job = api.new_job(max_attempts=1)
    api.new_job("other")
    api.new_run("other")
    for number in range(10):
        run = api.new_run()
        if number == 9:
            api.delete(f"/v1/runs/{run['id']}")
            continue
        (claim,) = api.take(run_id=run["id"], start=True)
        worker = api.speaking_as(claim["run_token"])
        path, body = ("fail", {"error": "x"}) if number == 8 else ("complete", {})
        worker.post(f"/sdk/v1/runs/{run['id']}/{path}", body)
    api.new_run()
    with psycopg.connect(dsn, autocommit=True) as conn:
        # As if one had ended two hours ago, and the others had worked for 1 to 7 seconds.
        conn.execute(
            "with done as (select run_id, row_number() over (order by created_position) as n from runs"
            " where status = 'completed') update runs r set work_ms = 1000 * (n - 1), finished_at ="
            " case when n = 1 then finished_at - interval '2 hours' else finished_at end"
            " from done d where r.run_id = d.run_id"
        )
    found = api.get("/v1/jobs/parse/health?window=1h").json()
    assert found.pop("since") < found_now(api)
    assert found == {
        "job_id": job["id"],
        "window": "1h",
        "total_runs": 9,
        "completed_runs": 7,
        "failed_runs": 0,
        "dead_letter_runs": 1,
        "timed_out_runs": 0,
        "crashed_runs": 0,
        "system_failed_runs": 0,
        "canceled_runs": 1,
        "expired_runs": 0,
        "success_rate": 0.875,
        "avg_duration_secs": 4.0,
        "p95_duration_secs": 6.7,
        "health_score": 87.5,
    }
    week = api.get(f"/v1/jobs/{job['id']}/health").json()
    assert (week["window"], week["completed_runs"], week["total_runs"]) == ("7d", 8, 10)


def found_now(api: Api) -> str:
    return api.new_job("now")["created_at"]


def test_a_dead_letter_that_is_replayed_has_not_ended(api: Api) -> None:
    api.new_job(max_attempts=1)
    run = api.new_run()
    api.take(run_id=run["id"], start=True)
    settlement = {
        "run_id": run["id"],
        "attempt": 1,
        "status": "failed",
        "error": {"message": "x"},
    }
    api.post("/v1/runs/settle", {"settlements": [settlement]})
    assert api.get("/v1/jobs/parse/health").json()["dead_letter_runs"] == 1
    api.post(f"/v1/runs/{run['id']}/dlq-replay")
    assert api.get("/v1/jobs/parse/health").json()["total_runs"] == 0


@pytest.mark.parametrize("window", ["2h", "", "7"])
def test_a_window_is_one_of_four(api: Api, window: str) -> None:
    api.new_job()
    assert api.get(f"/v1/jobs/parse/health?window={window}").status_code == 400


def test_an_index_alone_serves_it(api: Api, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            "insert into runs (project_id, run_id, version, position, created_position, status, job_id, queue,"
            " priority, due_at, triggered_by, state, finished_at, work_ms) select %s, 'run_' || n, 1, n, n,"
            " 'completed', 'job_' || n %% 10, 'default', 0, now(), 'manual', '{}', now() - make_interval(mins => n), 5"
            " from generate_series(1, 20000) n",
            (PROJECT,),
        )
        conn.execute("vacuum analyze runs")
        params = {"project_id": PROJECT, "job_id": "job_3", "secs": 86_400}
        plan = "\n".join(line for (line,) in conn.execute(b"explain " + SQL["health"], params))
    assert "Index Only Scan using runs_ended" in plan
