"""Every answer names its position, and none is older than the caller asks for."""

import threading

import pytest

from runcord.http.operations import OPERATIONS


def position(answer) -> int:
    """Return the position that an answer names."""
    return int(answer.headers["Runcord-Position"])


@pytest.fixture
def run(api) -> str:
    """A run."""
    api.new_job()
    return api.new_run()["id"]


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/runs/{}", "/v1/runs/{}/history", "/v1/jobs", "/v1/stats"])
def test_a_read_names_a_position_that_it_is_not_older_than(api, run: str, path: str) -> None:
    triggered = position(api.get("/v1/events?after=0"))
    assert position(api.get(path.format(run))) >= triggered
    answer = api.post(f"/v1/runs/{run}/cancel", {})
    assert position(api.get(path.format(run))) >= position(answer) > triggered


def test_a_read_waits_for_the_position_that_the_caller_has_seen(api, run: str) -> None:
    wanted = position(api.get("/v1/runs")) + 1
    timer = threading.Timer(0.3, api.post, (f"/v1/runs/{run}/cancel", {}))
    timer.start()
    answer = api.get(f"/v1/runs/{run}?min_position={wanted}")
    timer.join()
    assert answer.json()["status"] == "canceled"
    assert position(answer) >= wanted


def test_a_position_that_the_ledger_does_not_reach_is_refused(api, run: str) -> None:
    answer = api.get("/v1/runs?min_position=1000000")
    assert answer.status_code == 409
    assert answer.json()["code"] == "position_not_reached"


@pytest.mark.parametrize("given", ["-1", "x", "1.5", "9" * 19])
def test_what_is_no_position_is_refused(api, run: str, given: str) -> None:
    answer = api.get("/v1/runs", params={"min_position": given})
    assert answer.status_code == 400
    assert "min_position" in answer.json()["message"]


def test_every_read_of_a_project_takes_a_position(api) -> None:
    document = api.get("/openapi.json").json()
    for operation in OPERATIONS:
        if operation.is_read:
            path = operation.path.replace(":path", "")
            parameters = document["paths"][path]["get"]["parameters"]
            assert "min_position" in {parameter["name"] for parameter in parameters}, path
