"""Lists of runs as of a moment of the past, over HTTP."""

from typing import Any
from urllib.parse import quote

import pytest


def head(api: Any) -> int:
    """Return how far the ledger has got."""
    return int(api.get("/v1/events?after=0&limit=1").headers["Runcord-Position"])


def ids(answer: Any) -> list[str]:
    """Return the runs of a list."""
    assert answer.status_code == 200, answer.text
    return [run["id"] for run in answer.json()]


@pytest.fixture
def story(api: Any) -> dict[str, Any]:
    """Three runs, of which one ended well, one died and was queued again, one was tagged; and the moments of that."""
    api.new_job(max_attempts=1)
    moments = {"before": head(api)}
    well = api.new_run(payload={"n": 1}, tags={"env": "prod"})["id"]
    ill = api.new_run(payload={"n": 2}, metadata={"team": "red"})["id"]
    late = api.new_run(payload={"n": 3})["id"]
    moments["queued"] = head(api)
    for run_id in (well, ill):
        api.take(run_id=run_id, start=True)
    moments["at work"] = head(api)
    assert api.post(f"/sdk/v1/runs/{well}/complete", {"result": {"ok": True}}).status_code == 200
    assert api.post(f"/sdk/v1/runs/{ill}/fail", {"error": "broken"}).status_code == 200
    moments["over"] = head(api)
    assert api.post(f"/v1/runs/{ill}/dlq-replay", {}).status_code == 200
    assert api.post(f"/sdk/v1/runs/{late}/tags", {"tags": {"env": "prod"}}).status_code == 200
    payload = {"scheduled_at": "2150-01-01T00:00:00Z", "payload": {"n": 4}}
    assert api.post(f"/v1/runs/{late}/reschedule", payload).status_code == 200
    return {"well": well, "ill": ill, "late": late, **moments, "now": head(api)}


@pytest.mark.parametrize(
    ("moment", "query", "names"),
    [
        ("before", "", ""),
        ("queued", "", "late ill well"),
        ("queued", "status=queued", "late ill well"),
        ("at work", "status=executing", "ill well"),
        ("at work", "statuses=executing,queued", "late ill well"),
        ("at work", "status=completed", ""),
        ("over", "status=completed", "well"),
        ("over", "status=dead_letter", "ill"),
        ("now", "status=dead_letter", ""),
        ("now", "status=queued", "ill"),
        ("over", "tags[env]=prod", "well"),
        ("now", "tag_key=env", "late well"),
        ("now", "metadata[team]=red&status=queued", "ill"),
        ("over", 'payload_contains={"n":3}', "late"),
        ("now", 'payload_contains={"n":3}', ""),
        ("now", 'payload_contains={"n":4}&status=delayed', "late"),
        ("over", "triggered_by=manual&limit=2", "late ill"),
        ("over", "job_id=job_none", ""),
        ("over", "status=queued&statuses=failed", ""),
    ],
)
def test_a_list_shows_what_met_all_filters_then(api, story, moment, query, names):
    answer = api.get(f"/v1/runs?{query}&position={story[moment]}")
    assert ids(answer) == [story[name] for name in names.split()]
    assert answer.headers["Runcord-Position"] == str(story[moment])


def test_the_dead_letter_queue_as_it_was(api, story):
    assert ids(api.get("/v1/runs/dlq")) == []
    (dead,) = api.get(f"/v1/runs/dlq?position={story['over']}").json()
    assert (dead["id"], dead["status"], dead["error"]) == (story["ill"], "dead_letter", "broken")
    assert ids(api.get(f"/v1/runs/dlq?position={story['over']}&tags[env]=prod")) == []


def test_runs_in_lists_are_what_they_are_alone(api, story):
    for position in range(story["before"], story["now"] + 1):
        for run in api.get(f"/v1/runs?position={position}").json():
            assert run == api.get(f"/v1/runs/{run['id']}?position={position}").json()


def test_of_the_present_both_lists_say_the_same(api, story):
    for query in ("", "status=queued", "tags[env]=prod", 'payload_contains={"n":4}'):
        assert api.get(f"/v1/runs?{query}&position={story['now']}").json() == api.get(f"/v1/runs?{query}").json()


def test_a_time_names_its_last_position(api, story):
    (begun,) = [e for e in api.get(f"/v1/runs/{story['ill']}/history").json() if e["type"] == "run.attempted.v1"]
    answer = api.get(f"/v1/runs?status=executing&at={begun['recorded_at']}")
    assert story["ill"] in ids(answer)
    assert int(answer.headers["Runcord-Position"]) >= begun["position"]
    assert ids(api.get("/v1/runs?at=2020-01-01T00:00:00Z")) == []
    assert ids(api.get("/v1/runs?status=queued&at=2020-01-01T00:00:00Z")) == []


def test_all_pages_are_of_one_moment_while_the_world_goes_on(api):
    api.new_job(max_attempts=1)
    made = [api.new_run(payload={"n": n})["id"] for n in range(7)]
    position = head(api)
    seen: list[str] = []
    path = f"/v1/runs?status=queued&limit=2&at={quote('2100-01-01T00:00:00+00:00')}"
    answer = api.get(path)
    while True:
        seen += ids(answer)
        assert answer.headers["Runcord-Position"] == str(position)
        assert all(run["status"] == "queued" for run in answer.json())
        api.new_run()
        assert api.post(f"/v1/runs/{made[len(seen) - 3]}/cancel", {}).status_code == 200
        if "X-Next-Cursor" not in answer.headers:
            break
        # With the parameters of the page before, as the link has them, or without.
        cursor = answer.headers["X-Next-Cursor"]
        answer = api.get(
            answer.links["next"]["url"] if len(seen) == 2 else f"/v1/runs?status=queued&limit=2&cursor={cursor}"
        )
    assert seen == made[::-1]


def test_a_time_as_cursor_goes_with_a_moment(api, story):
    (made,) = [e for e in api.get(f"/v1/runs/{story['ill']}/history").json() if e["type"] == "run.triggered.v1"]
    answer = api.get(f"/v1/runs?position={story['queued']}&cursor={made['recorded_at']}")
    assert ids(answer) == [story["well"]]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("position=100000", "its head is"),
        ("position=0", "position"),
        ("position=1&at=2026-01-01T00:00:00Z", "give one of position and at"),
        ("at=yesterday", "at"),
        ("position=2&cursor={present}", "begin anew without the cursor"),
        ("position=2&cursor={past}", "begin anew without the cursor"),
        ("at=2030-01-01T00:00:00Z&cursor={past}", "begin anew without the cursor"),
    ],
)
def test_what_makes_no_sense_is_refused(api, story, query, says):
    present = api.get("/v1/runs?limit=1").headers["X-Next-Cursor"]
    past = api.get(f"/v1/runs?limit=1&position={story['queued']}").headers["X-Next-Cursor"]
    for path in ("/v1/runs", "/v1/runs/dlq"):
        answer = api.get(f"{path}?{query.format(present=present, past=past)}")
        assert (answer.status_code, says in answer.json()["message"]) == (400, True), answer.text
