"""The filters of lists, in all forms in which callers write them."""

from typing import Any
from urllib.parse import quote

import pytest

EVEN = '{"even":true}'
NO_ITEM = '{"items":[{"n":3}]}'
ITEMS = ('{"items":[{"n":2},{"n":1}]}', '{"items":[{}]}')


def found(api: Any, query: str, path: str = "/v1/runs") -> list[str]:
    """Return the payloads' names of the runs that a list shows, the newest first."""
    answer = api.get(f"{path}?{query}")
    assert answer.status_code == 200, answer.text
    return [run["payload"]["name"] for run in answer.json()]


@pytest.fixture
def runs(api: Any) -> dict[str, Any]:
    """Three runs: `a`, `b` and `c`, by their names."""
    api.new_job()
    members = {
        "a": {"tags": {"env": "prod", "empty": ""}, "metadata": {"team": "red"}},
        "b": {"tags": {"env": "test"}, "metadata": {"team": "red", "a.b": "c]"}},
        "c": {},
    }
    payloads: dict[str, dict[str, Any]] = {
        "a": {"user": {"id": 7, "roles": ["x", "y"]}},
        "b": {"user": {"id": 8, "roles": []}},
        "c": {"user": None},
    }
    return {name: api.new_run(payload={"name": name, **payloads[name]}, **more) for name, more in members.items()}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("tag_key=env", "ba"),
        ("tag_key=env&tag_value=prod", "a"),
        ("tag_key=env&tag_value=", "ba"),
        ("tag_key=nothing", ""),
        ("tags[env]=test", "b"),
        ("tags%5Benv%5D=prod&tags%5Bempty%5D=", "a"),
        ("tags[env]=prod&tag_key=empty", "a"),
        ("tags[env]=", ""),
        ("metadata_key=team&metadata_value=red", "ba"),
        ("metadata_key=team&tag_key=env&tag_value=test", "b"),
        ("metadata[team]=red&metadata[a.b]=c]", "b"),
        ("triggered_by=manual", "cba"),
        ("triggered_by=schedule", ""),
        ("statuses=queued,canceled", "cba"),
        ("statuses=delayed, canceled&statuses=failed", ""),
        ("status=queued&tag_key=env", "ba"),
        (f"payload_contains={quote('{}')}", "cba"),
        (f"payload_contains={quote('[]')}", ""),
        ('payload_contains={"user":{}}', "ba"),
        ('payload_contains={"user":{"id":7.0}}', "a"),
        ('payload_contains={"user":{"roles":["y"]}}', "a"),
        ('payload_contains={"user":{"roles":[]}}', "ba"),
        ('payload_contains={"user":null}', "c"),
        ('payload_contains={"user":{"id":8}}&tags[env]=prod', ""),
        ("payload_contains=7", ""),
    ],
)
def test_a_list_shows_what_meets_all_filters(api, runs, query, names):
    assert found(api, query) == list(names)


def test_what_is_given_later_counts_and_what_was_replaced_does_not(api, runs):
    api.take(run_id=runs["c"]["id"], start=True)
    assert api.post(f"/sdk/v1/runs/{runs['c']['id']}/tags", {"tags": {"env": "prod"}}).status_code == 200
    annotated = api.post(f"/sdk/v1/runs/{runs['c']['id']}/annotate", {"annotations": {"team": "blue"}})
    assert annotated.status_code == 200, annotated.text
    later = {"scheduled_at": "2150-01-01T00:00:00Z", "payload": {"name": "a", "user": {"id": 9}}}
    assert api.post(f"/v1/runs/{runs['a']['id']}/reschedule", later).status_code == 200
    assert api.post(f"/sdk/v1/runs/{runs['b']['id']}/tags", {"tags": {"env": "live"}}).status_code == 200
    assert found(api, "tags[env]=prod") == ["c", "a"]
    assert found(api, "tags[env]=test") == []
    assert found(api, "metadata[team]=blue") == ["c"]
    assert found(api, 'payload_contains={"user":{"id":9}}') == ["a"]
    assert found(api, 'payload_contains={"user":{"id":7}}') == []
    assert found(api, "status=delayed&tags[empty]=") == ["a"]


def test_what_later_triggers_gave_a_waiting_run_is_found(api):
    api.new_job(debounce_window_secs=60)
    triggers = "/v1/jobs/parse/trigger"
    for n in (1, 2):
        given = {"payload": {"name": "d", "n": n}, "debounce_key": "k", "tags": {"n": str(n)}}
        assert api.post(triggers, given).status_code == 202
    assert found(api, "triggered_by=debounce") == ["d"]
    for query in ('payload_contains={"n":%d}', "tags[n]=%d"):
        assert (found(api, query % 1), found(api, query % 2)) == ([], ["d"])


def test_items_of_a_batch_window_are_found(api):
    api.new_job(batch_window_secs=60)
    for n in (1, 2):
        given = {"payload": {"n": n}, "batch_key": "k", "metadata": {f"m{n}": "yes"}}
        assert api.post("/v1/jobs/parse/trigger", given).status_code == 202
    [run] = api.get("/v1/runs").json()
    for query in ("metadata_key=m1", "metadata[m2]=yes", *(f"payload_contains={quote(i)}" for i in ITEMS)):
        assert [each["id"] for each in api.get(f"/v1/runs?{query}").json()] == [run["id"]], query
    assert api.get(f"/v1/runs?payload_contains={quote(NO_ITEM)}").json() == []


def test_pages_of_a_batch_keep_their_filters(api):
    api.new_job()
    items = [{"payload": {"name": n, "even": n % 2 == 0}, "tags": {"half": str(n // 250)}} for n in range(500)]
    batch = api.post("/v1/jobs/parse/trigger/bulk", {"items": items}).json()["batch_id"]
    query = f"batch_id={batch}&tags[half]=1&payload_contains={quote(EVEN)}&limit=60"
    answer = api.get(f"/v1/runs?{query}")
    names = [run["payload"]["name"] for run in answer.json()]
    while "next" in answer.links:
        answer = api.get(answer.links["next"]["url"])
        names += [run["payload"]["name"] for run in answer.json()]
    assert names == list(range(498, 249, -2))


def test_dead_letters_are_filtered_too(api):
    api.new_job(max_attempts=1)
    for name in "ab":
        run = api.new_run(payload={"name": name}, tags={"env": name})
        api.take(run_id=run["id"], start=True)
        assert api.post(f"/sdk/v1/runs/{run['id']}/fail", {"error": "broken"}).status_code == 200
    api.new_run(payload={"name": "c"}, tags={"env": "a"})
    assert found(api, "", "/v1/runs/dlq") == ["b", "a"]
    assert found(api, "tags[env]=a", "/v1/runs/dlq") == ["a"]
    assert found(api, 'payload_contains={"name":"b"}&triggered_by=manual', "/v1/runs/dlq") == ["b"]
    assert api.get("/v1/runs/dlq?status=queued").status_code == 400


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("tag_value=a", "tag_key"),
        ("metadata_value=a", "metadata_key"),
        ("tags=a", "tags"),
        ("tags[]=a", "tags"),
        ("tags[k=a", "tags[k"),
        ("tag_key=k&tag_value=a&tags[k]=b", "two values"),
        ("payload_contains={", "not valid JSON"),
        ("payload_contains=NaN", "not valid JSON"),
        ("payload_contains=prod", "not valid JSON"),
        (f"payload_contains={quote(chr(34) + chr(92) + 'u0000' + chr(34))}", "NUL"),
        (f"payload_contains={'[' * 200}{']' * 200}", "deep"),
        ("payload_contains=123456789012345678901234567890", "64 bits"),
        (f"payload_contains={'1' * 20_000}", "at most"),
        ("statuses=queued,done", "statuses"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/runs", "/v1/runs/dlq"])
def test_a_filter_that_means_nothing_is_refused(api, path, query, says):
    answer = api.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert says in answer.json()["message"]


def test_another_projects_runs_are_never_found(api, new_api, runs):
    other = new_api("proj_other")
    for query in ("tag_key=env", "triggered_by=manual", 'payload_contains={"name":"a"}', "status=queued"):
        assert found(other, query) == []
