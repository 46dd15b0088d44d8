"""What workers left on record of a run, in lists of pages, and where the run stands among others."""

from typing import Any

import pytest

LISTS = ("events", "checkpoints", "usage", "tool-calls", "outputs")


def pages(api: Any, path: str) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    cursor = None
    while True:
        answer = api.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        cursor = answer.headers.get("x-next-cursor")
        if cursor is None:
            return found


@pytest.fixture
def run(api) -> str:
    """A run whose worker has left three of everything on record."""
    run_id = api.working()["run"]["id"]
    for n in (1, 2, 3):
        for call, body in (
            ("log", {"message": f"line {n}", "level": "warn" if n == 2 else "info", "data": {"n": n}}),
            ("progress", {"percent": n, "step": f"step {n}"}),
            ("checkpoint", {"state": {"n": n}}),
            ("usage", {"provider": "p", "model": f"m{n}", "prompt_tokens": n, "completion_tokens": 1}),
            ("tool-call", {"tool_name": f"t{n}", "input": n, "output": [n], "duration_ms": n}),
            ("output", {"output_key": f"o{4 - n}", "value": n}),
            ("state", {"key": f"s{4 - n}", "value": n}),
        ):
            answer = api.post(f"/sdk/v1/runs/{run_id}/{call}", body)
            assert answer.status_code == 201, answer.text
    return run_id


@pytest.mark.parametrize(
    ("path", "member", "expected"),
    [
        ("events?type=log", "message", ["line 1", "line 2", "line 3"]),
        ("events?level=warn", "message", ["line 2"]),
        ("events?type=progress", "data", [{"percent": n, "step": f"step {n}"} for n in (1, 2, 3)]),
        ("events?type=other", "message", []),
        ("checkpoints", "sequence", [3, 2, 1]),
        ("usage", "model", ["m3", "m2", "m1"]),
        ("usage", "total_tokens", [4, 3, 2]),
        ("tool-calls", "tool_name", ["t3", "t2", "t1"]),
        ("outputs", "output_key", ["o1", "o2", "o3"]),
        ("state", "state_key", ["s1", "s2", "s3"]),
    ],
)
def test_a_list_shows_all_in_its_order(api, run, path, member, expected):
    answer = api.get(f"/v1/runs/{run}/{path}")
    assert [row[member] for row in answer.json()] == expected


@pytest.mark.parametrize("path", LISTS)
def test_paging_loses_and_repeats_nothing(api, run, path):
    whole = api.get(f"/v1/runs/{run}/{path}").json()
    found = pages(api, f"/v1/runs/{run}/{path}")
    assert [row for page in found for row in page] == whole
    assert [len(page) for page in found] == [2] * (len(whole) // 2) + [1] * (len(whole) % 2)


def test_messages_that_are_filtered_are_paged_too(api, run):
    first = api.get(f"/v1/runs/{run}/events?type=log&limit=2")
    rest = api.get(f"/v1/runs/{run}/events?type=log&limit=2&cursor={first.headers['x-next-cursor']}")
    assert [row["message"] for row in first.json() + rest.json()] == ["line 1", "line 2", "line 3"]
    assert "type=log" in first.headers["link"]


@pytest.mark.parametrize("path", LISTS)
def test_the_cursor_of_another_list_is_refused(api, run, path):
    other = "usage" if path != "usage" else "events"
    cursor = api.get(f"/v1/runs/{run}/{other}?limit=1").headers["x-next-cursor"]
    assert api.get(f"/v1/runs/{run}/{path}?cursor={cursor}").status_code == 400


def test_an_envelope_holds_the_page(api, run):
    body = api.get(f"/v1/runs/{run}/usage?envelope=1&limit=3").json()
    assert body["has_more"] is False and len(body["data"]) == 3


def test_an_output_and_a_state_key_show_their_present_value(api, run):
    api.post(f"/sdk/v1/runs/{run}/output", {"output_key": "o1", "value": "new"})
    api.post(f"/sdk/v1/runs/{run}/state", {"key": "s1", "value": "new"})
    api.delete(f"/sdk/v1/runs/{run}/state/s2")
    assert [row["value"] for row in api.get(f"/v1/runs/{run}/outputs").json()] == ["new", 2, 1]
    assert [row["value"] for row in api.get(f"/v1/runs/{run}/state").json()] == ["new", 1]


def test_a_debug_bundle_holds_what_the_lists_hold(api, run):
    bundle = api.get(f"/v1/runs/{run}/debug-bundle").json()
    assert bundle["run"] == api.get(f"/v1/runs/{run}").json()
    for name in LISTS:
        assert bundle[name.replace("-", "_")] == api.get(f"/v1/runs/{run}/{name}").json()


def continued(api: Any, run_id: str) -> str:
    """Continue a run and return the id of its continuation, which works already."""
    new = api.post(f"/sdk/v1/runs/{run_id}/continue", {}).json()["id"]
    api.take(run_id=new, start=True)
    return new


def test_a_lineage_is_the_whole_tree_from_wherever_one_looks(api):
    root = api.working()["run"]["id"]
    children = [continued(api, root), continued(api, root)]
    grandchild = continued(api, children[0])
    expected = [root, *children, grandchild]
    for run_id in expected:
        found = api.get(f"/v1/runs/{run_id}/lineage").json()
        assert [row["id"] for row in found] == expected
        assert [row["lineage_depth"] for row in found] == [0, 1, 1, 2]
    paged = pages(api, f"/v1/runs/{grandchild}/lineage")
    assert [[row["id"] for row in page] for page in paged] == [expected[:2], expected[2:]]


def test_a_run_that_nothing_came_of_is_its_own_lineage(api, run):
    api.new_run()
    assert [row["id"] for row in api.get(f"/v1/runs/{run}/lineage").json()] == [run]


@pytest.mark.parametrize("path", ["dependency-status", "dependencies"])
def test_a_job_without_dependencies_has_them_satisfied(api, run, path):
    status = api.get(f"/v1/runs/{run}/{path}").json()
    assert (status["run_id"], status["status"]) == (run, "executing")
    assert (status["dependencies"], status["dependencies_satisfied"]) == ([], True)


@pytest.mark.parametrize(
    "path", [*LISTS, "state", "debug-bundle", "lineage", "dependency-status", "dependencies", "history"]
)
def test_a_run_that_is_not_there_is_not_found(api, path):
    answer = api.get(f"/v1/runs/run_nothing/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")


@pytest.mark.parametrize("path", [*LISTS, "state", "lineage", "children"])
def test_a_run_without_any_has_an_empty_list(api, path):
    api.new_job()
    found = api.get(f"/v1/runs/{api.new_run()['id']}/{path}").json()
    assert found == [] or path == "lineage"
