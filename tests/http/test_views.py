"""What is read of projections over HTTP: tags, families, dead letters and statistics, fresh and as of the past."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.http.conftest import Api

HOUR = timedelta(hours=1)


def head(api: Api) -> int:
    return int(api.get("/v1/whoami").headers["Runcord-Position"])


def pages(api: Api, path: str, limit: int = 1) -> list[list[dict[str, Any]]]:
    found, cursor, join = list[list[dict[str, Any]]](), "", "&" if "?" in path else "?"
    while True:
        answer = api.get(f"{path}{join}limit={limit}{cursor}")
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        if "X-Next-Cursor" not in answer.headers:
            return found
        cursor = f"&cursor={answer.headers['X-Next-Cursor']}"


def dead(api: Api, message: str = "boom", job: str = "frail", **error: str) -> str:
    """Return a run that has just become a dead letter."""
    run_id = api.new_run(job)["id"]
    die(api, run_id, message, **error)
    return run_id


def die(api: Api, run_id: str, message: str, **error: str) -> None:
    api.take(run_id=run_id, start=True)
    answer = api.post(f"/sdk/v1/runs/{run_id}/fail", {"error": {"message": message, **error}})
    assert answer.json()["status"] == "dead_letter", answer.text


# --- tags ---------------------------------------------------------------------------------------------


def tag(key: str, value: str, **by_status: int) -> dict[str, Any]:
    return {"key": key, "value": value, "total": sum(by_status.values()), "by_status": by_status}


def test_tags_are_counted_by_status_as_soon_as_runs_have_them(api: Api) -> None:
    api.new_job()
    runs = [api.new_run(tags={"env": env, "team": "red"})["id"] for env in ("prod", "prod", "test")]
    api.delete(f"/v1/runs/{runs[0]}")
    answer = api.get("/v1/tags")
    assert answer.json() == [
        tag("env", "prod", queued=1, canceled=1),
        tag("env", "test", queued=1),
        tag("team", "red", queued=2, canceled=1),
    ]
    assert int(answer.headers["Runcord-Position"]) == head(api)
    assert api.get("/v1/tags?envelope=true").json() == {"data": answer.json(), "has_more": False}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("key=env", ["prod", "prod-eu", "test"]),
        ("key=env&value=prod", ["prod"]),
        ("key=env&prefix=prod", ["prod", "prod-eu"]),
        ("key=env&prefix=prod&value=test", []),
        ("key=team", ["red"]),
        ("key=te", []),
        ("key=", ["prod", "prod-eu", "test", "red"]),
    ],
)
def test_tags_are_found_by_key_value_and_prefix(api: Api, query: str, values: list[str]) -> None:
    api.new_job()
    for env in ("prod", "prod-eu", "test"):
        api.new_run(tags={"env": env})
    api.new_run(tags={"team": "red"})
    assert [row["value"] for row in api.get(f"/v1/tags?{query}").json()] == values


def test_all_pages_of_tags_are_of_one_moment(api: Api) -> None:
    api.new_job()
    run_id = api.new_run(tags={"env": "prod"})["id"]
    api.new_run(tags={"env": "test"})
    first = api.get("/v1/tags?limit=1")
    api.delete(f"/v1/runs/{run_id}")
    api.new_run(tags={"env": "q", "b": "c"})
    api.new_run(tags={"env": "test"})
    second = api.get(f"/v1/tags?limit=1&cursor={first.headers['X-Next-Cursor']}")
    assert first.json() + second.json() == [tag("env", "prod", queued=1), tag("env", "test", queued=1)]
    assert "X-Next-Cursor" not in second.headers
    assert second.headers["Runcord-Position"] == first.headers["Runcord-Position"]
    assert api.get(f"/v1/tags?position={first.headers['Runcord-Position']}").json() == first.json() + second.json()
    assert len(pages(api, "/v1/tags")) == 4


def test_tags_are_as_they_were_at_a_time(api: Api) -> None:
    api.new_job()
    run = api.new_run(tags={"env": "prod"})
    api.take(run_id=run["id"], start=True)
    api.post(f"/sdk/v1/runs/{run['id']}/complete", {})
    begun = api.get(f"/v1/runs/{run['id']}/history").json()[2]
    assert api.get(f"/v1/tags?at={begun['recorded_at']}").json() == [tag("env", "prod", executing=1)]
    assert api.get("/v1/tags?at=2020-01-01T00:00:00Z").json() == []
    assert api.get("/v1/tags").json() == [tag("env", "prod", completed=1)]


@pytest.mark.parametrize("query", ["value=x", "prefix=x", "position=9999", "position=0", "cursor=x", "colour=red"])
def test_bad_questions_about_tags_are_refused(api: Api, query: str) -> None:
    answer = api.get(f"/v1/tags?{query}")
    assert answer.status_code == 400, answer.text


# --- families -----------------------------------------------------------------------------------------


@pytest.fixture
def kin(api: Api) -> dict[str, str]:
    """A run with a child and a continuation, of which the child has a replay."""
    api.new_job()
    root = api.new_run()["id"]
    api.take(run_id=root, start=True)
    child = api.post(f"/sdk/v1/runs/{root}/spawn", {"job_id": "parse"}).json()["id"]
    api.delete(f"/v1/runs/{child}")
    replay = api.post(f"/v1/runs/{child}/replay").json()["id"]
    continuation = api.post(f"/sdk/v1/runs/{root}/continue", {}).json()["id"]
    return {"root": root, "child": child, "replay": replay, "continuation": continuation}


def named(family: dict[str, Any], kin: dict[str, str]) -> tuple[dict[str, int], set[tuple[str, str, str]]]:
    names = {run_id: name for name, run_id in kin.items()}
    depths = {names[node["run_id"]]: node["depth"] for node in family["nodes"]}
    return depths, {(names[edge["from"]], edge["kind"], names[edge["to"]]) for edge in family["edges"]}


def test_a_family_is_seen_whole_from_any_of_its_runs(api: Api, kin: dict[str, str]) -> None:
    edges = {("root", "child", "child"), ("child", "replay", "replay"), ("root", "continuation", "continuation")}
    seen = {name: named(api.get(f"/v1/runs/{run_id}/family").json(), kin) for name, run_id in kin.items()}
    assert all(found == edges for _, found in seen.values())
    assert seen["root"][0] == {"root": 0, "child": 1, "continuation": 1, "replay": 2}
    assert seen["replay"][0] == {"root": -2, "child": -1, "continuation": -1, "replay": 0}


@pytest.mark.parametrize(
    ("query", "depths"),
    [
        ("direction=ancestors", {"root": -1, "child": 0}),
        ("direction=descendants", {"child": 0, "replay": 1}),
        ("depth=0", {"child": 0}),
        ("kinds=replay", {"child": 0, "replay": 1}),
        ("kinds=child,continuation", {"root": -1, "child": 0, "continuation": 0}),
        ("kinds=restart", {"child": 0}),
    ],
)
def test_a_part_of_a_family_can_be_asked_for(api: Api, kin: dict[str, str], query: str, depths: dict[str, int]) -> None:
    assert named(api.get(f"/v1/runs/{kin['child']}/family?{query}").json(), kin)[0] == depths


def test_a_family_is_as_it_was(api: Api, kin: dict[str, str]) -> None:
    born = api.get(f"/v1/runs/{kin['child']}/history").json()[0]["position"]
    answer = api.get(f"/v1/runs/{kin['root']}/family?position={born}")
    assert answer.headers["Runcord-Position"] == str(born) == str(answer.json()["position"])
    assert [(node["run_id"], node["status"]) for node in answer.json()["nodes"]] == [
        (kin["root"], "executing"),
        (kin["child"], "queued"),
    ]
    assert api.get(f"/v1/runs/{kin['replay']}/family?position={born}").status_code == 404


def test_a_run_that_was_queued_again_says_how_often(api: Api) -> None:
    api.new_job("frail", max_attempts=1)
    run_id = dead(api)
    api.post(f"/v1/runs/{run_id}/dlq-replay")
    api.take(run_id=run_id, start=True)
    api.post(f"/v1/runs/{run_id}/restart", {})
    family = api.get(f"/v1/runs/{run_id}/family").json()
    assert [(node["restarts"], node["status"]) for node in family["nodes"]] == [(2, "queued")]
    assert [edge["kind"] for edge in family["edges"]] == ["dead_letter_replay", "restart"]
    kinds = api.get(f"/v1/runs/{run_id}/family?kinds=restart").json()
    assert ([edge["kind"] for edge in kinds["edges"]], kinds["nodes"][0]["restarts"]) == (["restart"], 2)


@pytest.mark.parametrize("query", ["depth=1001", "kinds=cousin", "direction=up", "position=9999"])
def test_bad_questions_about_families_are_refused(api: Api, kin: dict[str, str], query: str) -> None:
    assert api.get(f"/v1/runs/{kin['root']}/family?{query}").status_code == 400


# --- dead letters -------------------------------------------------------------------------------------


def test_a_dead_letter_tells_why_it_died(api: Api) -> None:
    job = api.new_job(max_attempts=2, retry_strategy="fixed", retry_initial_delay_secs=0)
    run_id = api.new_run()["id"]
    api.take(run_id=run_id, start=True)
    api.post(f"/sdk/v1/runs/{run_id}/fail", {"error": {"message": "first", "type": "OSError"}})
    api.until(f"/v1/runs/{run_id}", lambda run: run["status"] == "queued")
    die(api, run_id, "second")
    [entry] = api.get("/v1/dead-letters").json()
    last = api.get(f"/v1/runs/{run_id}/history").json()[-1]
    assert (entry["run_id"], entry["round"], entry["job_id"], entry["attempts"]) == (run_id, 1, job["id"], 2)
    assert (entry["position"], entry["dead_at"]) == (last["position"], last["recorded_at"])
    assert (entry["first_error"]["message"], entry["last_error"]["message"]) == ("first", "second")


def test_a_dead_letter_that_left_stays_on_record(api: Api) -> None:
    api.new_job("frail", max_attempts=1)
    again, stays = dead(api), dead(api)
    new = api.post(f"/v1/runs/{stays}/replay").json()["id"]
    before = head(api)
    api.post(f"/v1/runs/{again}/dlq-replay")
    die(api, again, "worse")

    def entries(query: str) -> list[tuple[str, int]]:
        return [(row["run_id"], row["round"]) for row in api.get(f"/v1/dead-letters?{query}").json()]

    assert entries("") == entries("state=waiting") == [(again, 2), (stays, 1)]
    assert entries("state=left") == [(again, 1)]
    assert entries("state=all") == [(again, 2), (stays, 1), (again, 1)]
    assert entries(f"position={before}") == [(stays, 1), (again, 1)]
    assert entries(f"position={before}&state=left") == []
    left, replayed = api.get("/v1/dead-letters?state=left").json()[0], api.get("/v1/dead-letters").json()[1]
    assert (left["left_position"] > before, replayed["replayed_as"]) == (True, new)
    assert [[row["run_id"] for row in page] for page in pages(api, "/v1/dead-letters?state=all")] == [
        [again],
        [stays],
        [again],
    ]


def test_pages_of_dead_letters_are_of_one_moment(api: Api) -> None:
    api.new_job("frail", max_attempts=1)
    older, newer = dead(api), dead(api)
    first = api.get("/v1/dead-letters?limit=1")
    api.post(f"/v1/runs/{older}/dlq-replay")
    dead(api)
    second = api.get(f"/v1/dead-letters?limit=1&cursor={first.headers['X-Next-Cursor']}")
    assert [row["run_id"] for row in first.json() + second.json()] == [newer, older]
    assert "left_position" not in second.json()[0]


def test_dead_letters_are_found_by_job_and_fingerprint(api: Api) -> None:
    frail, weak = (api.new_job(slug, max_attempts=1)["id"] for slug in ("frail", "weak"))
    slow, other = dead(api, "timeout after 31 s"), dead(api, "timeout after 32 s", "weak")
    dead(api, "no route")
    mark = api.get(f"/v1/dead-letters?job_id={weak}").json()[0]["fingerprint"]
    assert [row["run_id"] for row in api.get(f"/v1/dead-letters?fingerprint={mark}").json()] == [other, slow]
    both = api.get(f"/v1/dead-letters?fingerprint={mark}&job_id={frail}").json()
    assert [row["run_id"] for row in both] == [slow]
    assert api.get("/v1/dead-letters?job_id=nobody").json() == []


def test_dead_letters_are_grouped_by_what_went_wrong(api: Api) -> None:
    jobs = {slug: api.new_job(slug, max_attempts=1)["id"] for slug in ("frail", "weak")}
    runs = [dead(api, f"timeout after {n} s", "weak" if n == 0 else "frail") for n in range(4)]
    route = dead(api, "no route", type="OSError")
    group, single = api.get("/v1/dead-letters/groups").json()
    entries = api.get("/v1/dead-letters").json()
    assert (group["count"], group["run_ids"], group["message"]) == (4, runs[:0:-1], "timeout after 3 s")
    assert group["job_ids"] == [jobs["frail"], jobs["weak"]]
    assert (group["first_seen_at"], group["last_seen_at"]) == (entries[4]["dead_at"], entries[1]["dead_at"])
    assert (single["count"], single["run_ids"], single["error_type"]) == (1, [route], "OSError")
    assert [[row["count"] for row in page] for page in pages(api, "/v1/dead-letters/groups")] == [[4], [1]]
    of_weak = api.get(f"/v1/dead-letters/groups?job_id={jobs['weak']}").json()
    assert [(row["count"], row["run_ids"]) for row in of_weak] == [(1, [runs[0]])]
    then = entries[3]["position"]
    assert [row["count"] for row in api.get(f"/v1/dead-letters/groups?position={then}").json()] == [2]
    api.post(f"/v1/runs/{route}/dlq-replay")
    assert [row["count"] for row in api.get("/v1/dead-letters/groups").json()] == [4]
    assert [row["count"] for row in api.get("/v1/dead-letters/groups?state=left").json()] == [1]


@pytest.mark.parametrize("query", ["state=gone", "position=9999", "cursor=x", "fingerprnt=x"])
@pytest.mark.parametrize("path", ["/v1/dead-letters", "/v1/dead-letters/groups"])
def test_bad_questions_about_dead_letters_are_refused(api: Api, path: str, query: str) -> None:
    assert api.get(f"{path}?{query}").status_code == 400


# --- statistics ---------------------------------------------------------------------------------------

NONE = {"p50": None, "p95": None, "p99": None}


def test_a_job_that_did_nothing_has_statistics_of_nothing(api: Api) -> None:
    job = api.new_job()
    found = api.get("/v1/jobs/parse/statistics").json()
    assert (found["job_id"], found["job_slug"]) == (job["id"], "parse")
    assert datetime.fromisoformat(found["to"]) - datetime.fromisoformat(found["from"]) == 24 * HOUR
    assert found["total"] == {
        **dict.fromkeys(("triggered", "attempts", "completed", "failed", "canceled", "expired"), 0),
        "success_rate": None,
        "work_ms": NONE,
        "wait_ms": NONE,
        "cost_microusd": 0,
        "tokens": 0,
    }
    assert api.get("/v1/statistics").json() == []


def worked(api: Api) -> None:
    """Three runs that complete, one that dies and one that is canceled."""
    api.new_job(max_attempts=1)
    for _ in range(3):
        run_id = api.new_run()["id"]
        api.take(run_id=run_id, start=True)
        api.post(
            f"/sdk/v1/runs/{run_id}/usage",
            {"provider": "p", "model": "m", "prompt_tokens": 7, "completion_tokens": 3, "cost_microusd": 50},
        )
        api.post(f"/sdk/v1/runs/{run_id}/complete", {})
    dead(api, job="parse")
    api.delete(f"/v1/runs/{api.new_run()['id']}")


def test_statistics_count_what_happened(api: Api) -> None:
    worked(api)
    answer = api.get("/v1/jobs/parse/statistics?by=hour")
    found = answer.json()
    total = found["total"]
    assert [total[name] for name in ("triggered", "attempts", "completed", "failed", "canceled", "expired")] == [
        *(5, 4, 3, 1, 1, 0)
    ]
    assert (total["success_rate"], total["cost_microusd"], total["tokens"]) == (0.75, 150, 30)
    assert 0 <= total["work_ms"]["p50"] <= total["work_ms"]["p99"] < 60_000
    assert sum(hour["triggered"] for hour in found["hours"]) == 5
    assert all(found["from"] <= hour["hour"] < found["to"] for hour in found["hours"])
    assert int(answer.headers["Runcord-Position"]) == head(api)
    del found["hours"]
    assert api.get("/v1/statistics").json() == [found]


def test_only_the_hours_that_were_asked_for_count(api: Api) -> None:
    worked(api)
    now = api.get("/v1/jobs/parse/statistics").json()
    past = api.get("/v1/jobs/parse/statistics?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z").json()
    assert past["total"]["triggered"] == 0
    same = api.get(f"/v1/jobs/parse/statistics?from={now['from']}&to={now['to']}").json()
    assert same == now
    assert api.get(f"/v1/statistics?to={now['from']}").json() == []


def test_statistics_of_jobs_are_listed_page_by_page(api: Api) -> None:
    ids = sorted(api.new_job(slug)["id"] for slug in "abc")
    for slug in "abc":
        api.new_run(slug)
    found = pages(api, "/v1/statistics?by=hour", 2)
    assert [[row["job_id"] for row in page] for page in found] == [ids[:2], ids[2:]]
    assert len({(row["from"], row["to"]) for page in found for row in page}) == 1
    cursor = api.get("/v1/statistics?limit=1").headers["X-Next-Cursor"]
    other = api.get(f"/v1/statistics?cursor={cursor}&from=2020-01-01T00:00:00Z")
    assert (other.status_code, "begin anew" in other.json()["message"]) == (400, True)


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-01-01T00:30:00Z",
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=2199-01-01T00:00:00Z",
        "from=2020-01-01T00:00:00Z&to=2021-02-01T00:00:00Z",
        "from=2020-01-01T00:00:00Z&to=2020-03-01T00:00:00Z&by=hour",
        "by=day",
    ],
)
@pytest.mark.parametrize("path", ["/v1/statistics", "/v1/jobs/parse/statistics"])
def test_bad_questions_about_statistics_are_refused(api: Api, path: str, query: str) -> None:
    api.new_job()
    answer = api.get(f"{path}?{query}")
    assert answer.status_code == 400, answer.text
