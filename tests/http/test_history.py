"""The record of a run: every event, in order, with who and why."""

import jsonpatch
import pytest


@pytest.fixture
def run(api) -> str:
    """A run that failed once and completed at its second attempt."""
    api.new_job(max_attempts=2, retry_strategy="fixed", retry_initial_delay_secs=0)
    run_id = api.new_run(payload={"n": 1})["id"]
    for call, body in (("fail", {"error": "oh"}), ("complete", {"result": 2})):
        api.take(run_id=run_id, start=True)
        api.post(f"/sdk/v1/runs/{run_id}/{call}", body)
    return run_id


TYPES = [
    *("run.triggered.v1", "run.dequeued.v1", "run.attempted.v1", "run.retried.v1"),
    *("run.dequeued.v1", "run.attempted.v1", "run.completed.v1"),
]


def test_the_history_is_every_event_in_order_without_a_hole(api, run):
    events = api.get(f"/v1/runs/{run}/history").json()
    assert [event["type"] for event in events] == TYPES
    assert [event["version"] for event in events] == list(range(1, len(TYPES) + 1))
    assert sorted({event["position"] for event in events}) == [event["position"] for event in events]
    assert len({event["event_id"] for event in events}) == len(events)


def test_an_event_tells_what_happened(api, run):
    first, *_, last = api.get(f"/v1/runs/{run}/history").json()
    assert first["data"]["payload"] == {"n": 1} and first["data"]["triggered_by"] == "manual"
    assert last["data"] == {"attempt": 2, "result": 2}
    retried = api.get(f"/v1/runs/{run}/history?types=run.retried").json()[0]["data"]
    assert retried["error"]["message"] == "oh" and retried["next_retry_at"].endswith("Z")


def test_an_event_tells_who_wanted_it_in_which_request(api):
    api.new_job()
    run_id = api.new_run()["id"]
    headers = {"X-Request-ID": "req-of-mine", "Traceparent": "00-abc-def-01"}
    api.post(f"/v1/runs/{run_id}/cancel", {"reason": "why"}, headers=headers)
    event = api.get(f"/v1/runs/{run_id}/history").json()[-1]
    key_id = api.get("/v1/whoami").json()["key_id"]
    assert (event["actor"], event["request_id"], event["trace"]) == (f"apikey:{key_id}", "req-of-mine", "00-abc-def-01")


@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_paging_loses_and_repeats_nothing(api, run, size):
    found: list[int] = []
    cursor = ""
    while True:
        answer = api.get(f"/v1/runs/{run}/history?limit={size}" + (f"&cursor={cursor}" if cursor else ""))
        found += [event["version"] for event in answer.json()]
        cursor = answer.headers.get("x-next-cursor", "")
        if not cursor:
            break
    assert found == list(range(1, 8))


def test_the_history_can_be_read_after_a_version(api, run):
    assert [event["version"] for event in api.get(f"/v1/runs/{run}/history?after=5").json()] == [6, 7]
    assert api.get(f"/v1/runs/{run}/history?after=7").json() == []


@pytest.mark.parametrize(
    ("query", "versions"),
    [
        ("types=run.dequeued", [2, 5]),
        ("types=run.dequeued.v1&types=run.completed", [2, 5, 7]),
        ("types=run.dequeued,run.completed", [2, 5, 7]),
        ("types=run.dequeued&after=2", [5]),
        ("types=run.dequeued&limit=1", [2]),
        ("types=run.canceled", []),
    ],
)
def test_the_history_can_be_read_by_type(api, run, query, versions):
    assert [event["version"] for event in api.get(f"/v1/runs/{run}/history?{query}").json()] == versions


@pytest.mark.parametrize("query", ["types=run.surprised", "types=x", "after=-1", "after=x", "after=2147483648"])
def test_what_cannot_be_asked_for_is_refused(api, run, query):
    assert api.get(f"/v1/runs/{run}/history?{query}").status_code == 400


def test_folding_the_history_by_hand_gives_the_run(api, run):
    events = api.get(f"/v1/runs/{run}/history").json()
    shown = api.get(f"/v1/runs/{run}").json()
    assert shown["version"] == events[-1]["version"]
    assert shown["created_at"] == events[0]["recorded_at"]
    assert shown["finished_at"] == shown["updated_at"] == events[-1]["recorded_at"]


# --- the run as it was --------------------------------------------------------------------------------


def test_the_run_can_be_read_as_it_was_at_every_position_and_time(api, run):
    events = api.get(f"/v1/runs/{run}/history").json()
    states = [api.get(f"/v1/runs/{run}?version={event['version']}").json() for event in events]
    for event, state in zip(events, states, strict=True):
        assert api.get(f"/v1/runs/{run}?position={event['position']}").json() == state
    other = api.new_run()  # events of others move the ledger on, not this run
    assert api.get(f"/v1/runs/{run}?position={states[-1]['version'] + 10_000}").json() == states[-1]
    assert api.get(f"/v1/runs/{other['id']}?position={events[-1]['position']}").status_code == 404
    last_of_each_time = {event["recorded_at"]: state for event, state in zip(events, states, strict=True)}
    for at, state in last_of_each_time.items():
        assert api.get(f"/v1/runs/{run}", params={"at": at}).json() == state


def test_a_time_may_have_any_zone_and_an_unencoded_plus(api, run):
    now = api.get(f"/v1/runs/{run}").json()
    assert api.get(f"/v1/runs/{run}?at=2150-01-01T00:00:00+05:30").json() == now
    assert api.get(f"/v1/runs/{run}?at=2150-01-01T00:00:00Z").json() == now


def test_before_it_was_triggered_there_was_no_run(api, run):
    answer = api.get(f"/v1/runs/{run}?at=2001-01-01T00:00:00Z")
    assert answer.status_code == 404 and "not there yet" in answer.json()["message"]


@pytest.mark.parametrize(
    "query",
    ["version=1&position=1", "position=1&at=2150-01-01T00:00:00Z", "position=0", "position=x", "at=yesterday",
     "at=2150-01-01T00:00:00"],
)  # fmt: skip
def test_a_moment_is_named_once_and_rightly(api, run, query):
    assert api.get(f"/v1/runs/{run}?{query}").status_code == 400


# --- the difference -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("since", "to"), [(0, 1), (1, 2), (2, 7), (0, 7), (7, 3), (4, 4)])
def test_the_patch_makes_the_one_version_of_the_other(api, run, since, to):
    documents = {0: {}} | {n: api.get(f"/v1/runs/{run}?version={n}").json() for n in range(1, 8)}
    found = api.get(f"/v1/runs/{run}/diff?from={since}&to={to}").json()
    assert jsonpatch.apply_patch(documents[since], found["patch"]) == documents[to]
    assert found["events"] == TYPES[min(since, to) : max(since, to)]
    told = {change["member"] for change in found["changes"]}
    names = documents[since].keys() | documents[to].keys()
    assert told == {n for n in names if documents[since].get(n, api) != documents[to].get(n, api)}


def test_without_versions_the_difference_is_what_the_last_event_did(api, run):
    found = api.get(f"/v1/runs/{run}/diff").json()
    assert (found["from"], found["to"], found["events"]) == (6, 7, ["run.completed.v1"])
    texts = [change["text"] for change in found["changes"]]
    assert "status: executing → completed" in texts
    assert "result: 2 (new)" in texts


def test_a_version_that_is_not_there_cannot_be_compared(api, run):
    assert api.get(f"/v1/runs/{run}/diff?to=8").status_code == 404
    assert api.get(f"/v1/runs/{run}/diff?from=99").status_code == 404
    assert api.get("/v1/runs/run_unknown/diff").status_code == 404
    assert api.get(f"/v1/runs/{run}/diff?to=0").status_code == 400
    assert api.get(f"/v1/runs/{run}/diff?from=-1").status_code == 400


def test_a_history_is_filtered_by_who_did_it_and_in_which_request(api, run: str) -> None:
    whole = api.get(f"/v1/runs/{run}/history").json()
    actors = {event["actor"] for event in whole}
    assert len(actors) == 1  # one key has done all of it
    [actor] = actors
    assert api.get(f"/v1/runs/{run}/history", params={"actor": actor}).json() == whole
    assert api.get(f"/v1/runs/{run}/history", params={"actor": "apikey:key_other"}).json() == []
    request_id = whole[3]["request_id"]
    found = api.get(f"/v1/runs/{run}/history", params={"request_id": request_id}).json()
    assert found == [event for event in whole if event["request_id"] == request_id]
    assert 0 < len(found) < len(whole)
    both = {"request_id": request_id, "types": "run.completed"}
    assert api.get(f"/v1/runs/{run}/history", params=both).json() == []


def test_a_filtered_history_is_paged(api, run: str) -> None:
    api.post(f"/v1/runs/{run}/replay")
    wanted = {"actor": api.get(f"/v1/runs/{run}/history").json()[0]["actor"], "types": "run.dequeued"}
    first = api.get(f"/v1/runs/{run}/history", params={**wanted, "limit": 1})
    second = api.get(f"/v1/runs/{run}/history", params={**wanted, "limit": 1, "cursor": first.headers["X-Next-Cursor"]})
    assert [event["version"] for answer in (first, second) for event in answer.json()] == [2, 5]
    assert "X-Next-Cursor" not in second.headers
