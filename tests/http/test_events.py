"""The events that runs wait for: listing the waits, sending to many, calling off, counting, purging."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.http.conftest import Api, NewApi


def wait(api: Api, *keys: str, **body: Any) -> list[str]:
    """Have a run wait for each key, and return their ids."""
    if api.get("/v1/jobs/parse").status_code == 404:
        api.new_job()
    ids: list[str] = []
    for key in keys:
        run = api.new_run()
        api.take(run_id=run["id"], start=True)
        answer = api.post(f"/sdk/v1/runs/{run['id']}/wait-for-event", {"event_key": key, **body})
        assert answer.status_code == 200, answer.text
        ids.append(run["id"])
    return ids


def keys(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return [row["event_key"] for row in (body["data"] if isinstance(body, dict) else body)]


def move_back(dsn: str, key: str, days: float) -> None:
    """Make a wait look as if it had ended that many days earlier."""
    with psycopg.connect(dsn) as conn:
        conn.execute(
            "update event_waits set settled_at = settled_at - %s where event_key = %s", (timedelta(days=days), key)
        )


def test_a_wait_is_shown_as_it_was_asked_for(api: Api) -> None:
    (run_id,) = wait(api, "order/7", timeout_secs=60, notify_url="https://example.com/hook")
    shown = api.get("/v1/events/order/7").json()
    assert (shown["job_run_id"], shown["status"], shown["timeout_secs"]) == (run_id, "waiting", 60)
    assert (shown["source_type"], shown["trigger_type"]) == ("job_run", "event")
    assert shown["notify_url"] == "https://example.com/hook"
    assert shown["expires_at"] > shown["requested_at"]
    assert "received_at" not in shown and "sent_by" not in shown


def test_who_sent_what_is_kept_with_the_wait(api: Api) -> None:
    wait(api, "k", timeout_secs=60, notify_url="https://example.com/hook")
    sent = api.post("/v1/events/k/send", {"payload": {"by": "card"}}).json()
    shown = api.get("/v1/events/k").json()
    assert shown == sent
    assert shown["sent_by"] == f"apikey:{api.get('/v1/whoami').json()['key_id']}"
    assert (shown["status"], shown["response_payload"]) == ("received", {"by": "card"})
    assert shown["received_at"] >= shown["requested_at"]
    assert shown["timeout_secs"] == 60 and shown["notify_url"] == "https://example.com/hook"


def test_a_key_may_be_waited_for_again(api: Api) -> None:
    first, second = wait(api, "k")[0], None
    api.post("/v1/events/k/send", {"payload": 1})
    (second,) = wait(api, "k")
    shown = api.get("/v1/events/k").json()
    assert (shown["job_run_id"], shown["status"]) == (second, "waiting") and second != first
    assert "response_payload" not in shown and "sent_by" not in shown
    assert len(keys(api.get("/v1/events"))) == 1


def test_a_key_that_another_run_waits_for_is_refused_and_debug_mode_tells(api: Api) -> None:
    (first,) = wait(api, "k")
    run_id = api.new_run(debug_mode=True)["id"]
    api.take(run_id=run_id, start=True)
    refused = api.post(f"/sdk/v1/runs/{run_id}/wait-for-event", {"event_key": "k"})
    assert (refused.status_code, refused.json()["code"]) == (409, "event_key_in_use") and first in refused.text
    told = api.get(f"/v1/runs/{run_id}/events?type=debug").json()[-1]["data"]
    assert (told["command"], told["refusal"]["code"]) == ("WaitForEvent", "event_key_in_use")
    assert api.get("/v1/events/k").json()["job_run_id"] == first


# --- listing ------------------------------------------------------------------------------------------


def test_waits_are_listed_newest_first_by_any_filter(api: Api, new_api: NewApi) -> None:
    wait(api, "a", "b", "c")
    api.post("/v1/events/b/send")
    answer = api.get("/v1/events")
    assert keys(answer) == ["c", "b", "a"] and answer.json()["has_more"] is False
    assert keys(api.get(f"/v1/events?status=waiting&source_type=job_run&project_id={api.project_id}")) == ["c", "a"]
    assert keys(api.get("/v1/events?status=received")) == ["b"]
    for nothing in ("status=canceled", "source_type=workflow_step", "workflow_run_id=x"):
        assert keys(api.get(f"/v1/events?{nothing}")) == []
    assert api.get("/v1/events?status=lost").status_code == 400
    assert api.get("/v1/events?project_id=proj_other").status_code == 404
    assert keys(new_api("proj_other").get("/v1/events")) == []


def test_waits_are_listed_in_pages(api: Api) -> None:
    wait(api, *"abcde")
    first = api.get("/v1/events?limit=2")
    second = api.get(f"/v1/events?limit=2&cursor={first.json()['next_cursor']}")
    third = api.get(f"/v1/events?limit=2&envelope=false&cursor={second.headers['x-next-cursor']}")
    assert [keys(answer) for answer in (first, second, third)] == [["e", "d"], ["c", "b"], ["a"]]
    assert isinstance(third.json(), list) and "x-next-cursor" not in third.headers
    by_time = api.get("/v1/events", params={"cursor": api.get("/v1/events/c").json()["requested_at"]})
    assert keys(by_time) == ["b", "a"]


def test_a_key_without_a_wait_is_not_there(api: Api) -> None:
    assert api.get("/v1/events/nobody").json()["code"] == "event_not_found"
    assert api.delete("/v1/events/nobody").json()["code"] == "event_not_found"


@pytest.mark.parametrize("key", ["a/b/c", "order 7", "größe:7", "a\u00a0b", "100%", "k/sent", "k\U0010ffff"])
def test_whatever_can_be_waited_for_can_be_found_and_sent(api: Api, key: str) -> None:
    wait(api, key)
    path = f"/v1/events/{key.replace('%', '%25')}"
    assert api.get(path).json()["event_key"] == key
    assert api.post(f"{path}/send").json()["status"] == "received"


@pytest.mark.parametrize(
    "key",
    [
        "stats",
        "stats/",
        "purge",
        "a/stream",
        "a/stream/",
        "a/send",
        "prefix/a",
        "..",
        "a/./b",
        "../a",
        "k\x85",
        "k\x7f",
        "x" * 513,
    ],
)
def test_what_cannot_be_sent_cannot_be_waited_for(api: Api, key: str) -> None:
    api.new_job()
    run = api.new_run()
    api.take(run_id=run["id"], start=True)
    refused = api.post(f"/sdk/v1/runs/{run['id']}/wait-for-event", {"event_key": key})
    assert (refused.status_code, refused.json()["code"]) == (400, "validation_failed"), refused.text
    assert api.get(f"/v1/runs/{run['id']}").json()["status"] == "executing"


@pytest.mark.parametrize("key", ["stats", "a/stream", "prefix/a", "%2e%2e", "a/%2e/b", "k%7f", "k%c2%85", "x" * 513])
def test_a_key_that_no_run_may_wait_for_is_not_sent(api: Api, key: str) -> None:
    answer = api.post(f"/v1/events/{key}/send", {"payload": 1})
    if key == "prefix/a":
        assert answer.json() == {"resolved": 0, "triggers": []}, "this is the path of the prefix `a`"
    else:
        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed"), answer.text


# --- calling off --------------------------------------------------------------------------------------


def test_calling_a_wait_off_cancels_its_run(api: Api) -> None:
    (run_id,) = wait(api, "k")
    answer = api.delete("/v1/events/k")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    run = api.get(f"/v1/runs/{run_id}").json()
    assert run["status"] == "canceled" and "'k'" in run["error"]
    again = api.delete("/v1/events/k")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert api.post("/v1/events/k/send").status_code == 409
    assert api.get("/v1/events/k").json()["status"] == "canceled"


def test_a_wait_whose_run_ends_is_over(api: Api) -> None:
    one, two, three = wait(api, "one", "two", "three")
    api.delete(f"/v1/runs/{one}")
    api.post(f"/sdk/v1/runs/{two}/complete")
    api.post(f"/sdk/v1/runs/{three}/log", {"message": "still there"})
    assert [api.get(f"/v1/events/{key}").json()["status"] for key in ("one", "two", "three")] == [
        "canceled",
        "canceled",
        "waiting",
    ]


# --- many at once -------------------------------------------------------------------------------------


def test_an_event_reaches_all_that_wait_for_a_prefix(api: Api) -> None:
    ids = wait(api, "order/1", "order/2", "order", "orders/3", "order/é")
    api.post("/v1/events/order/2/send", {"payload": "earlier"})
    answer = api.post("/v1/events/prefix/order//send", {"payload": 7})
    assert answer.status_code == 200
    assert answer.json()["resolved"] == 2
    assert [(one["event_key"], one["status"], one["response_payload"]) for one in answer.json()["triggers"]] == [
        ("order/1", "received", 7),
        ("order/é", "received", 7),
    ]
    assert [api.get(f"/v1/runs/{run_id}").json()["status"] for run_id in ids] == [
        "queued",
        "queued",
        "waiting",
        "waiting",
        "queued",
    ]
    assert api.post("/v1/events/prefix/order//send", {"payload": 7}).json() == {"resolved": 0, "triggers": []}
    assert api.get("/v1/events/order/2").json()["response_payload"] == "earlier"


def test_a_prefix_is_taken_literally(api: Api) -> None:
    wait(api, "a_b", "axb", "a%")
    assert api.post("/v1/events/prefix/a_/send").json()["resolved"] == 1
    assert api.post("/v1/events/prefix/a%25/send").json()["resolved"] == 1


def test_sending_and_calling_off_need_their_scopes(api: Api, new_api: NewApi) -> None:
    wait(api, "k")
    reader, sender = new_api(scopes=["runs:read"]), new_api(scopes=["events:send"])
    assert reader.get("/v1/events").status_code == 200
    assert reader.post("/v1/events/prefix/k/send").status_code == 403
    assert sender.delete("/v1/events/k").status_code == 403
    assert sender.post("/v1/events/prefix/k/send").json()["resolved"] == 1


# --- counting and purging -----------------------------------------------------------------------------


def test_waits_are_counted_by_status(api: Api, dsn: str) -> None:
    nothing = dict.fromkeys(("total", "waiting", "received", "timed_out", "canceled"), 0)
    assert api.get("/v1/events/stats").json() == {
        **{f"{name}_count": 0 for name in nothing},
        "avg_wait_duration_secs": 0,
    }
    wait(api, "a", "b", "c", "d")
    for key in "ab":
        api.post(f"/v1/events/{key}/send")
    api.delete("/v1/events/c")
    with psycopg.connect(dsn) as conn:
        conn.execute("update event_waits set settled_at = requested_at + interval '3 s' where status <> 'waiting'")
    assert api.get("/v1/events/stats").json() == {
        "total_count": 4,
        "waiting_count": 1,
        "received_count": 2,
        "timed_out_count": 0,
        "canceled_count": 1,
        "avg_wait_duration_secs": 3,
    }


def test_waits_that_are_long_over_can_be_purged(api: Api, dsn: str) -> None:
    wait(api, "old", "new", "waiting")
    for key in ("old", "new"):
        api.post(f"/v1/events/{key}/send")
    move_back(dsn, "old", 8)
    move_back(dsn, "new", 6)
    preview = api.post("/v1/events/purge", {"older_than_days": 7, "dry_run": True})
    assert preview.json() == {"deleted": 0, "dry_run": True, "would_delete": 1}
    assert len(keys(api.get("/v1/events"))) == 3
    assert api.post("/v1/events/purge", {"older_than_days": 7}).json() == {"deleted": 1, "dry_run": False}
    assert keys(api.get("/v1/events")) == ["waiting", "new"]


@pytest.mark.parametrize(
    "body", [{}, {"older_than_days": 0}, {"older_than_days": "7"}, {"older_than_days": 7, "dry_run": 1}]
)
def test_a_purge_that_makes_no_sense_is_refused(api: Api, body: dict[str, Any]) -> None:
    assert api.post("/v1/events/purge", body).status_code == 400
