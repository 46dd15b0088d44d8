"""Reads of a moment: positions and times, and cursors that carry them. Lineage stands for all."""

import pytest


@pytest.fixture
def chain(api) -> list[str]:
    """A run, its continuation, and the continuation's."""
    api.new_job()
    chain = [api.new_run()["id"]]
    for _ in range(2):
        api.take(run_id=chain[-1], start=True)
        answer = api.post(f"/sdk/v1/runs/{chain[-1]}/continue", {"payload": {}})
        assert answer.status_code == 201, answer.text
        chain.append(answer.json()["id"])
    return chain


def _births(api, chain) -> list[int]:
    return [api.get(f"/v1/runs/{run_id}/history?limit=1").json()[0]["position"] for run_id in chain]


def test_a_chain_is_shown_with_its_runs_as_they_were(api, chain):
    head = api.get("/v1/events?after=0&limit=1").headers["Runcord-Position"]
    for position in range(_births(api, chain)[0], int(head) + 1):
        born = [run_id for run_id, birth in zip(chain, _births(api, chain), strict=True) if birth <= position]
        answer = api.get(f"/v1/runs/{chain[0]}/lineage?position={position}")
        assert answer.headers["Runcord-Position"] == str(position)
        assert answer.json() == [api.get(f"/v1/runs/{run_id}?position={position}").json() for run_id in born]


def test_a_time_names_the_last_position_up_to_it(api, chain):
    _, _, (third, *_) = (api.get(f"/v1/runs/{run_id}/history").json() for run_id in chain)
    answer = api.get(f"/v1/runs/{chain[0]}/lineage?at={third['recorded_at']}")
    assert [run["id"] for run in answer.json()] == chain
    assert int(answer.headers["Runcord-Position"]) >= third["position"]
    assert api.get(f"/v1/runs/{chain[0]}/lineage?at=2099-01-01T00:00:00Z").json() == answer.json()


def test_all_pages_are_of_the_moment_of_the_first(api, chain):
    position = _births(api, chain)[2]
    first = api.get(f"/v1/runs/{chain[0]}/lineage?position={position}&limit=1")
    api.post(f"/v1/runs/{chain[2]}/cancel", {})
    second = api.get(f"/v1/runs/{chain[0]}/lineage?limit=2&cursor={first.headers['X-Next-Cursor']}")
    assert first.headers["Runcord-Position"] == second.headers["Runcord-Position"] == str(position)
    assert [run["id"] for run in first.json() + second.json()] == chain
    assert second.json()[1]["status"] == "queued"


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("position={third}", "position={second}"),
        ("position={third}", "at=2099-01-01T00:00:00Z"),
        ("at=2099-01-01T00:00:00Z", "at=2098-01-01T00:00:00Z"),
        ("", "position={third}"),
    ],
)
def test_a_cursor_of_another_moment_is_refused(api, chain, first, then):
    _, second, third = _births(api, chain)
    path = f"/v1/runs/{chain[0]}/lineage?limit=1&"
    cursor = api.get(path + first.format(second=second, third=third)).headers["X-Next-Cursor"]
    answer = api.get(path + then.format(second=second, third=third) + f"&cursor={cursor}")
    assert answer.status_code == 400
    assert "begin anew without the cursor" in answer.json()["message"]


def test_a_time_with_its_cursor_goes_on(api, chain):
    path = f"/v1/runs/{chain[0]}/lineage?limit=1&at=2099-01-01T00:00:00Z"
    cursor = api.get(path).headers["X-Next-Cursor"]
    assert api.get(f"{path}&cursor={cursor}").json()[0]["id"] == chain[1]


def test_a_position_beyond_the_head_is_refused_with_the_head(api, chain):
    answer = api.get(f"/v1/runs/{chain[0]}/lineage?position=1000000")
    head = api.get("/v1/events?after=0&limit=1").headers["Runcord-Position"]
    assert (answer.status_code, head in answer.json()["message"]) == (400, True)


def test_two_moments_are_refused(api, chain):
    answer = api.get(f"/v1/runs/{chain[0]}/lineage?position=1&at=2026-01-01T00:00:00Z")
    assert answer.status_code == 400


def test_a_run_that_was_not_there_yet_has_no_lineage(api, chain):
    before = _births(api, chain)[0] - 1
    assert api.get(f"/v1/runs/{chain[0]}/lineage?position={before}").status_code == 404


@pytest.mark.parametrize("at", ["197", "1767225600", "-1767225600", "1767225600.5", "2026", "yesterday"])
def test_only_a_time_names_a_time(api, at: str) -> None:
    for path in ("/v1/runs", "/v1/tags", "/v1/dead-letters"):
        answer = api.get(path, params={"at": at})
        assert answer.status_code == 400, answer.text
        assert answer.json()["code"] == "validation_failed"
