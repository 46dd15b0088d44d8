"""The feed of the ledger's events as JSON: complete, in order, by any filter, to be gone on with from anywhere."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runcord.http.models.ledger import MAX_EVENTS

TIMES = "2099-01-01T00:00:00Z"


@pytest.fixture
def ledger(api: Any) -> list[dict[str, Any]]:
    """All events of a ledger in which two jobs have three runs, of which some have tags."""
    one, two = api.new_job("one"), api.new_job("two")
    for job, tags in ((one, {"env": "prod"}), (one, {"env": "test", "team": "a"}), (two, {"env": "prod", "team": "b"})):
        run = api.new_run(job["slug"], tags=tags, payload={"of": job["slug"]})
        api.post(f"/v1/runs/{run['id']}/reschedule", {"scheduled_at": TIMES})
    api.delete(f"/v1/runs/{run['id']}")
    answer = api.get("/v1/events?after=0&limit=1000")
    assert answer.status_code == 200, answer.text
    return answer.json()


def positions(rows: list[dict[str, Any]]) -> list[int]:
    return [row["position"] for row in rows]


def read_all(api: Any, query: str, limit: int = 2) -> list[dict[str, Any]]:
    """Return what a feed gives, going on from cursor to cursor."""
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        answer = api.get(f"/v1/events?{query}&limit={limit}&after={after}")
        assert answer.status_code == 200, answer.text
        found += answer.json()
        if 'rel="next"' not in answer.headers.get("link", ""):
            assert "x-next-cursor" not in answer.headers
            return found
        cursor = int(answer.headers["x-next-cursor"])
        assert after < cursor < int(answer.headers["runcord-position"])
        after = cursor


def test_the_whole_ledger_is_there_without_a_hole(api, ledger):
    assert positions(ledger) == list(range(1, len(ledger) + 1))
    types = [row["type"] for row in ledger]
    assert types.count("run.triggered.v1") == 3 and types.count("job.created.v1") == 2
    triggered = next(row for row in ledger if row["type"] == "run.triggered.v1")
    assert triggered["data"]["payload"] == {"of": "one"}
    assert triggered["actor"].startswith("apikey:") and triggered["request_id"]
    history = api.get(f"/v1/runs/{triggered['stream_id']}/history").json()
    assert [{**row, "stream_id": triggered["stream_id"]} for row in history] == [
        row for row in ledger if row["stream_id"] == triggered["stream_id"]
    ]


CASES = {
    "types=run.triggered": lambda row, _: row["type"] == "run.triggered.v1",
    "types=run.triggered.v1,run.canceled": lambda row, _: row["type"] in ("run.triggered.v1", "run.canceled.v1"),
    "types=job.created&types=run.canceled": lambda row, _: row["type"] in ("job.created.v1", "run.canceled.v1"),
    "types=run.completed": lambda *_: False,
    "job=one": lambda row, of: of.get(row["stream_id"], {}).get("job") == "one",
    "tag=env:prod": lambda row, of: of.get(row["stream_id"], {}).get("env") == "prod",
    "tag=team": lambda row, of: "team" in of.get(row["stream_id"], {}),
    "tag=team&tag=env:prod": lambda row, of: of.get(row["stream_id"], {}).get("team") == "b",
    "tag=env:no": lambda *_: False,
    "job=one&tag=env:prod": lambda row, of: (
        of.get(row["stream_id"], {}).get("job") == "one" and of[row["stream_id"]].get("env") == "prod"
    ),
    "job=two&types=run.rescheduled": lambda row, of: (
        of.get(row["stream_id"], {}).get("job") == "two" and row["type"] == "run.rescheduled.v1"
    ),
}


@pytest.mark.parametrize("query", CASES)
@pytest.mark.parametrize("limit", [1, 3, MAX_EVENTS])
def test_filters_choose_exactly_theirs(api, ledger, query, limit):
    of: dict[str, dict[str, str]] = {}
    for row in ledger:
        if row["type"] == "job.created.v1":
            of[row["stream_id"]] = {"job": row["data"]["settings"]["slug"]}
        if row["type"] == "run.triggered.v1":
            of[row["stream_id"]] = {"job": row["data"]["job_slug"], **row["data"]["tags"]}
    assert read_all(api, query, limit) == [row for row in ledger if CASES[query](row, of)]


def test_events_of_one_run(api, ledger):
    run_id = ledger[-1]["stream_id"]
    expected = [row for row in ledger if row["stream_id"] == run_id]
    assert read_all(api, f"run_id={run_id}", 1) == expected
    assert read_all(api, f"run_id={run_id}&tag=env:test") == []
    assert read_all(api, f"run_id={run_id}&types=run.canceled") == expected[-1:]
    assert read_all(api, "run_id=run_none") == []


def test_a_tag_that_a_run_was_given_later_counts_for_all_its_events(api):
    run_id = api.working()["run"]["id"]
    assert read_all(api, "tag=late:yes") == []
    api.post(f"/sdk/v1/runs/{run_id}/tags", {"tags": {"late": "yes"}})
    assert next(row["type"] for row in read_all(api, "tag=late:yes")) == "run.triggered.v1"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limits=st.lists(st.integers(1, 5), min_size=1, max_size=10))
def test_pages_of_any_sizes_lose_and_repeat_nothing(api, ledger, limits):
    after, found, turn = 0, [], 0
    while after < len(ledger):
        answer = api.get(f"/v1/events?after={after}&limit={limits[turn % len(limits)]}")
        found += answer.json()
        after, turn = int(answer.headers.get("x-next-cursor", len(ledger))), turn + 1
    assert found == ledger


def test_the_end_says_where_to_go_on(api, ledger):
    end = len(ledger)
    answer = api.get(f"/v1/events?after={end}")
    assert answer.json() == [] and answer.headers["runcord-position"] == str(end) and "link" not in answer.headers
    assert api.get(f"/v1/events?after={end}&envelope=true").json() == {"data": [], "has_more": False}
    api.new_job("three")
    assert [row["type"] for row in api.get(f"/v1/events?after={end}").json()] == ["job.created.v1"]


def test_a_link_leads_through_all_pages(api, ledger):
    found, url = [], "/v1/events?after=0&limit=4&types=run.triggered,run.rescheduled"
    while url:
        answer = api.get(url)
        found += answer.json()
        link = answer.headers.get("link")
        url = link.partition("<")[2].partition(">")[0] if link else None
    assert found == [row for row in ledger if row["type"] in ("run.triggered.v1", "run.rescheduled.v1")]


def test_cloudevents_on_request(api, ledger):
    answer = api.get("/v1/events?after=0&format=cloudevents&limit=1000")
    assert answer.headers["content-type"] == "application/cloudevents-batch+json"
    rows = answer.json()
    assert [(int(row["sequence"]), row["id"], row["subject"]) for row in rows] == [
        (row["position"], row["event_id"], row["stream_id"]) for row in ledger
    ]
    assert [row["sequence"] for row in rows] == sorted(row["sequence"] for row in rows)
    first = rows[-1]
    assert first["specversion"] == "1.0" and first["type"] == "runcord.run.canceled.v1"
    assert first["source"] == f"/projects/{api.project_id}" and first["data"] == ledger[-1]["data"]
    assert first["requestid"] == ledger[-1]["request_id"] and first["time"] == ledger[-1]["recorded_at"]


@pytest.mark.parametrize(
    "query",
    [
        "after=-1",
        "after=x",
        "after=99999999",
        "limit=0",
        "types=run.nonsense",
        "format=xml",
        "&".join(f"tag=a{n}" for n in range(21)),
    ],
)
def test_what_is_wrong_with_a_request_is_said(api, query):
    answer = api.get(f"/v1/events?after=0&{query}" if "after" not in query else f"/v1/events?{query}")
    assert answer.status_code == 400 and answer.json()["message"], answer.text


def test_a_job_that_is_not_there(api):
    assert api.get("/v1/events?after=0&job=none").status_code == 404


def test_a_key_is_shown_what_its_scopes_permit(new_api, api):
    api.new_job("one")
    api.new_run("one")
    made = api.post("/v1/api-keys", {"name": "reader", "scopes": ["runs:read"]})
    assert made.status_code == 201, made.text

    def kinds(caller: Any) -> set[str]:
        return {row["stream_id"].partition("_")[0] for row in caller.get("/v1/events?after=0").json()}

    assert kinds(api) == {"job", "run", "key"}
    assert kinds(new_api(scopes=["runs:read"])) == {"run"}
    assert kinds(new_api(scopes=["runs:read", "jobs:read"])) == {"run", "job"}
    assert new_api(scopes=["jobs:read"]).get("/v1/events?after=0").status_code == 403


def test_without_a_place_or_a_choice_the_path_lists_waits(api, ledger):
    for query in ("", "?limit=5", "?status=waiting", "?envelope=true", "?cursor=2026-01-01T00:00:00Z"):
        assert api.get(f"/v1/events{query}").json() == {"data": [], "has_more": False}
    assert api.get("/v1/events?envelope=false").json() == []


def test_a_page_has_a_thousand_events_at_most(api):
    job = api.new_job()
    for _ in range(3):
        api.post(f"/v1/jobs/{job['id']}/trigger/bulk", {"items": [{}] * 400})
    assert len(api.get("/v1/events?after=0&limit=5000").json()) == MAX_EVENTS
    assert len(api.get("/v1/events?after=0").json()) == 100
