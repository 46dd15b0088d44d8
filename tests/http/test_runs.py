"""Reading runs: lists and their filters, cursors, one run as it is and as it was."""

from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest

from runcord.http.models.page import encode_cursor
from runcord.run.status import Status


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [run["id"] for run in answer.json()]


def all_pages(api: Any, path: str) -> list[list[str]]:
    """Return the ids on every page, walking as a client does."""
    pages: list[list[str]] = []
    cursor = ""
    while True:
        joint = "&" if "?" in path else "?"
        answer = api.get(path + (f"{joint}cursor={cursor}" if cursor else ""))
        pages.append(ids(answer))
        cursor = answer.headers.get("x-next-cursor", "")
        if not cursor:
            return pages
        assert f"cursor={cursor}" in answer.headers["link"] and answer.headers["link"].endswith('>; rel="next"')


@pytest.fixture
def batch(api) -> tuple[str, list[str]]:
    """Twelve runs made in one append, oldest first, and their batch."""
    api.new_job()
    answer = api.post("/v1/jobs/parse/trigger/bulk", {"items": [{"payload": n} for n in range(12)]}).json()
    return answer["batch_id"], [result["id"] for result in answer["results"]]


def test_runs_are_listed_newest_first(api, batch):
    assert ids(api.get("/v1/runs")) == batch[1][::-1]


@pytest.mark.parametrize("size", [1, 5, 11, 12, 13])
def test_paging_loses_and_repeats_nothing_even_among_runs_of_one_moment(api, batch, size):
    pages = all_pages(api, f"/v1/runs?limit={size}")
    assert [run for page in pages for run in page] == batch[1][::-1]
    assert {len(page) for page in pages[:-1]} <= {size}


def test_runs_that_come_while_somebody_pages_move_nothing(api, batch):
    first = api.get("/v1/runs?limit=6")
    api.new_run()
    rest = ids(api.get(f"/v1/runs?cursor={first.headers['x-next-cursor']}"))
    assert ids(first) + rest == batch[1][::-1]


def test_an_envelope_holds_the_page_and_its_cursor(api, batch):
    first = api.get("/v1/runs?limit=10&envelope=true").json()
    assert first["has_more"] is True and len(first["data"]) == 10
    last = api.get(f"/v1/runs?limit=10&envelope=true&cursor={first['next_cursor']}").json()
    assert [run["id"] for run in first["data"] + last["data"]] == batch[1][::-1]
    assert last["has_more"] is False and "next_cursor" not in last


def test_a_time_is_a_cursor_as_straits_clients_make_them(api, batch):
    later = api.new_run()
    assert ids(api.get(f"/v1/runs?cursor={quote(later['created_at'])}")) == batch[1][::-1]
    assert ids(api.get(f"/v1/runs?cursor={quote(api.get('/v1/runs/' + batch[1][0]).json()['created_at'])}")) == []
    assert ids(api.get("/v1/runs?cursor=2199-01-01T00:00:00%2B01:00"))[0] == later["id"]
    assert ids(api.get("/v1/runs?cursor=1999-01-01T00:00:00Z")) == []


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "....",
        "é",
        "MQ",
        "bnVsbA",
        encode_cursor("children", 5),
        encode_cursor("runs", "5"),
        encode_cursor("runs"),
        encode_cursor("runs", 5, 5),
        encode_cursor("runs", 2**62),
        "2026-01-31T12:00:00",
        "2026-99-31T12:00:00Z",
        "A" * 3000,
    ],
)
def test_a_cursor_of_nobody_or_of_another_list_is_refused(api, cursor):
    answer = api.get(f"/v1/runs?cursor={quote(cursor)}")
    assert answer.status_code == 400
    assert "cursor" in answer.json()["message"]


def test_a_limit_is_cut_however_large_it_is(api):
    api.new_job()
    run = api.new_run()
    assert [row["id"] for row in api.get(f"/v1/runs?limit={'9' * 30}").json()] == [run["id"]]


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "1_0", " 5", "9" * 1001])
def test_a_limit_that_is_no_number_of_rows_is_refused(api, limit):
    assert api.get(f"/v1/runs?limit={quote(limit)}").status_code == 400


def test_a_limit_beyond_the_greatest_is_cut(api, batch):
    assert len(ids(api.get("/v1/runs?limit=100000"))) == 12


def test_filters_are_combined(api, batch):
    batch_id, made = batch
    other_job = api.new_job("other")
    other = api.new_run("other")
    api.delete(f"/v1/runs/{made[0]}")
    assert ids(api.get("/v1/runs?status=canceled")) == [made[0]]
    assert ids(api.get(f"/v1/runs?batch_id={batch_id}&status=queued")) == made[:0:-1]
    assert ids(api.get("/v1/runs?statuses=canceled&statuses=queued")) == [other["id"], *made[::-1]]
    assert ids(api.get("/v1/runs?status=queued&statuses=canceled")) == []
    assert ids(api.get(f"/v1/runs?job_id={other_job['id']}")) == [other["id"]]
    assert ids(api.get("/v1/runs?triggered_by=nobody")) == []
    assert ids(api.get(f"/v1/runs?status=&job_id=&project_id={api.project_id}&limit=1")) == [other["id"]]


@pytest.mark.parametrize("query", ["status=done", "statuses=queued&statuses=done", "tag_value=a", "stauts=queued"])
def test_a_filter_that_cannot_be_applied_is_refused(api, query):
    assert api.get(f"/v1/runs?{query}").status_code == 400


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/runs/dlq"])
def test_another_project_cannot_be_named(api, path):
    assert api.get(f"{path}?project_id=proj_other").status_code == 404


def test_the_dead_letter_queue_lists_dead_letters_alone(api):
    api.new_job(max_attempts=1)
    run = api.new_run()
    api.new_run()
    api.take(run_id=run["id"], start=True)
    api.post(f"/sdk/v1/runs/{run['id']}/fail", {"error": "no use"})
    assert ids(api.get("/v1/runs/dlq")) == [run["id"]]


def test_runs_are_counted_by_status(api, batch):
    api.delete(f"/v1/runs/{batch[1][0]}")
    job_id = api.get("/v1/runs?limit=1").json()[0]["job_id"]
    assert api.get("/v1/runs/stats").json() == {"by_status": {"queued": 11, "canceled": 1}, "total": 12}
    assert api.get(f"/v1/runs/stats?job_id={job_id}").json()["total"] == 12
    assert api.get("/v1/runs/stats?job_id=job_none").json() == {"by_status": {}, "total": 0}


def test_a_run_has_what_it_always_has_and_nothing_that_is_empty(api):
    api.new_job()
    run = api.get(f"/v1/runs/{api.new_run()['id']}").json()
    assert run.keys() == {
        *("id", "job_id", "project_id", "status", "attempt", "triggered_by", "priority", "job_version"),
        *("debug_mode", "lineage_depth", "created_at", "updated_at", "version", "round", "job_slug", "queue"),
        "created_by",
    }
    assert run["created_at"].endswith("Z")


def test_a_run_keeps_its_payload_and_result_as_they_were_given(api):
    api.new_job()
    payload = {"b": [1, 1.5, None, True, "ä\u2028"], "a": {}}
    run = api.new_run(payload=payload)
    api.take(run_id=run["id"], start=True)
    api.post(f"/sdk/v1/runs/{run['id']}/complete", {"result": [0, ""]})
    found = api.get(f"/v1/runs/{run['id']}").json()
    assert (found["payload"], found["result"]) == (payload, [0, ""])


def test_every_version_of_a_run_can_be_read_as_it_was(api):
    api.new_job(max_attempts=2, retry_strategy="fixed", retry_initial_delay_secs=0)
    run = api.new_run(payload="first")
    path = f"/v1/runs/{run['id']}"
    seen = [api.get(path)]
    for call in (
        lambda: api.post(f"{path}/reschedule", {"scheduled_at": "2020-01-01T00:00:00Z", "payload": "second"}),
        lambda: api.take(run_id=run["id"], start=True),
        lambda: api.post(f"/sdk/v1/runs/{run['id']}/fail", {"error": "oh"}),
        lambda: api.take(run_id=run["id"], start=True),
        lambda: api.post(f"/sdk/v1/runs/{run['id']}/complete", {"result": "done"}),
    ):
        call()
        seen.append(api.get(path))
    for now in seen:
        version = now.json()["version"]
        then = api.get(f"{path}?version={version}")
        assert then.json() == now.json()
        assert then.headers["etag"] == now.headers["etag"] == f'"{version}"'
    assert [now.json().get("payload") for now in seen[:2]] == ["first", "second"]
    assert all(before.json()["version"] < after.json()["version"] for before, after in pairwise(seen))
    last = seen[-1].json()["version"]
    assert [api.get(f"{path}?version={n}").json()["version"] for n in range(1, last + 1)] == list(range(1, last + 1))
    assert api.get(f"{path}?version={last + 1}").status_code == 404


@pytest.mark.parametrize("version", ["0", "-1", "x", "2147483648", "9" * 25])
def test_a_version_that_cannot_be_is_refused(api, version):
    api.new_job()
    assert api.get(f"/v1/runs/{api.new_run()['id']}?version={version}").status_code == 400


def test_a_run_that_has_not_changed_is_not_sent_again(api):
    api.new_job()
    path = f"/v1/runs/{api.new_run()['id']}"
    etag = api.get(path).headers["etag"]
    for known in (etag, f"W/{etag}", f'"7", {etag}', "*"):
        unchanged = api.get(path, headers={"If-None-Match": known})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", etag)
    assert api.get(f"{path}?version=1", headers={"If-None-Match": etag}).status_code == 304
    api.post(f"{path}/debug", {"debug_mode": True})
    assert api.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_children_are_listed_oldest_first_and_paged(api):
    claim = api.working()
    parent = claim["run"]["id"]
    body = {"job_slug": "parse", "project_id": api.project_id}
    children = [api.post(f"/sdk/v1/runs/{parent}/spawn", body).json()["id"] for _ in range(5)]
    assert all_pages(api, f"/v1/runs/{parent}/children?limit=2") == [children[:2], children[2:4], children[4:]]
    assert all_pages(api, f"/v1/runs/{children[0]}/children") == [[]]


def test_every_status_is_one_that_lists_know(api):
    assert {api.get(f"/v1/runs?status={status}").status_code for status in Status} == {200}


@pytest.mark.parametrize("path", ["", "?version=1", "/children", "/debug"])
def test_a_run_that_is_not_there_is_not_found(api, path):
    answer = api.get(f"/v1/runs/run_nothing{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")
