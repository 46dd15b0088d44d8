"""Projections over HTTP: how far they are, and what operators do to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from tests.http.conftest import Api, NewApi

from runcord.inline import rebuildables
from runcord.projecting.registry import projections
from runcord_projections.tag_index.projection import Moves, Place, TagCounts, TagIndex

TAGS = "/v1/projections/tag_index"


@pytest.fixture
def tagged(api: Api) -> Api:
    """A project with some runs that have tags."""
    api.new_job()
    for n in range(5):
        api.new_run(tags={"env": "prod", "n": str(n)})
    return api


def generations(projection: dict[str, Any]) -> dict[int, str]:
    """Return the statuses of a projection's generations."""
    return {one["generation"]: one["status"] for one in projection["generations"]}


def is_up_to_date(projection: dict[str, Any]) -> bool:
    return bool(projection["generations"]) and projection["generations"][0]["behind"] == 0


def until_ready(api: Api, path: str = TAGS) -> dict[str, Any]:
    return api.until(path, lambda projection: "ready" in generations(projection).values())


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def in_database(dsn: str, statement: str, *params: Any) -> int:
    """Run a statement on the database, as nobody should, and return how many rows it concerned."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        return conn.execute(statement.encode(), params).rowcount


@pytest.fixture
def poisoned() -> Iterator[None]:
    """Have the tag index refuse runs with the tag `poison`."""
    with poison():
        yield


@contextmanager
def poison() -> Iterator[None]:
    evolve = TagIndex.evolve

    def refuse(self: TagIndex, row: TagCounts | None, key: Place, notes: Moves) -> TagCounts:
        if key[0] == "poison":
            raise ValueError("not this one")
        return evolve(self, row, key, notes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TagIndex, "evolve", refuse)
        yield


def park(api: Api) -> int:
    """Have the tag index parked, and return where."""
    api.new_job()
    api.new_run(tags={"a": "b"})
    api.new_run(tags={"poison": "yes"})
    parked = api.until(TAGS, lambda found: any("parked_at" in one for one in found["generations"]))
    return parked["generations"][0]["parked_at"]


def test_projections_are_listed_with_how_far_they_are(tagged: Api) -> None:
    listed = tagged.until("/v1/projections", lambda found: all(map(is_up_to_date, found)))
    assert [one["name"] for one in listed] == sorted([*projections(), *rebuildables()])
    assert {one["name"] for one in listed if one["kind"] == "inline"} == set(rebuildables())
    assert len(tagged.get("/v1/projections?limit=100").json()) == len(listed)
    first = tagged.get("/v1/projections?limit=2")
    second = tagged.get(f"/v1/projections?limit=100&cursor={first.headers['x-next-cursor']}")
    assert [one["name"] for one in first.json() + second.json()] == [one["name"] for one in listed]
    [live] = next(one for one in listed if one["name"] == "tag_index")["generations"]
    assert (live["generation"], live["status"], live["progress"], live["behind"]) == (1, "live", 1.0, 0)
    assert live["position"] == int(tagged.post("/v1/jobs/parse/trigger", {}).headers["runcord-position"]) - 1
    assert tagged.get(TAGS).json()["name"] == "tag_index"


def test_what_is_no_projection_is_not_found(tagged: Api) -> None:
    answer = tagged.get("/v1/projections/nothing")
    assert refused(answer) == (404, "projection_not_found")
    assert "tag_index" in answer.json()["message"]
    assert refused(tagged.post("/v1/projections/nothing/rebuild")) == (404, "projection_not_found")


def test_a_rebuild_compares_equal_takes_over_and_leaves_what_can_be_dropped(tagged: Api, dsn: str) -> None:
    begun = tagged.post(f"{TAGS}/rebuild")
    assert (begun.status_code, begun.json()["generation"], begun.json()["status"]) == (202, 2, "building")
    until_ready(tagged)
    compared = tagged.post(f"{TAGS}/compare").json()
    assert compared["equal"]
    assert compared["live_rows"] == compared["rebuilt_rows"] == 6
    assert (compared["live_generation"], compared["rebuilt_generation"], compared["first"]) == (1, 2, [])
    switched = tagged.post(f"{TAGS}/switch")
    assert generations(switched.json()) == {1: "retired", 2: "live"}
    assert (tagged.post(f"{TAGS}/drop").json()["generation"], tagged.post(f"{TAGS}/drop").status_code) == (1, 202)
    tagged.until(TAGS, lambda found: generations(found) == {2: "live"})
    assert in_database(dsn, "select 1 from tag_index where generation = 1") == 0
    assert in_database(dsn, "select 1 from tag_index where generation = 2") == 6


def test_a_rebuild_that_switches_leaves_nothing_behind(tagged: Api, dsn: str) -> None:
    assert tagged.post(f"{TAGS}/rebuild", {"switch": True}).json()["switches"]
    tagged.until(TAGS, lambda found: generations(found) == {2: "live"})
    assert in_database(dsn, "select 1 from tag_index where generation = 1") == 0


def test_one_generation_is_built_at_a_time(tagged: Api) -> None:
    tagged.post(f"{TAGS}/rebuild")
    again = tagged.post(f"{TAGS}/rebuild")
    assert refused(again) == (409, "projection_building")
    assert "generation 2" in again.json()["message"]
    assert tagged.post("/v1/projections/lineage/rebuild").status_code == 202


def test_nothing_is_compared_or_switched_to_that_is_not_ready(tagged: Api, dsn: str) -> None:
    for action in ("compare", "switch"):
        answer = tagged.post(f"{TAGS}/{action}")
        assert refused(answer) == (409, "projection_not_ready")
        assert "rebuild it first" in answer.json()["message"]
    tagged.post(f"{TAGS}/rebuild")
    until_ready(tagged)
    in_database(dsn, "update projections set status = 'building', parked_at = 7, error = 'x' where generation = 2")
    answer = tagged.post(f"{TAGS}/switch")
    assert refused(answer) == (409, "projection_not_ready")
    assert "position 7" in answer.json()["message"]


def test_the_live_generation_is_never_dropped(tagged: Api) -> None:
    tagged.until(TAGS, is_up_to_date)
    assert refused(tagged.post(f"{TAGS}/drop", {"generation": 1})) == (409, "generation_in_use")
    assert refused(tagged.post(f"{TAGS}/drop", {"generation": 2})) == (404, "generation_not_found")
    assert refused(tagged.post(f"{TAGS}/drop")) == (404, "generation_not_found")


def test_a_rebuild_can_be_given_up(tagged: Api, dsn: str) -> None:
    tagged.post(f"{TAGS}/rebuild")
    dropping = tagged.post(f"{TAGS}/drop", {"generation": 2}).json()
    assert dropping["status"] == "dropping"
    tagged.until(TAGS, lambda found: generations(found) == {1: "live"})
    assert in_database(dsn, "select 1 from tag_index where generation = 2") == 0


def test_damage_is_found_by_comparing_and_healed_by_switching(tagged: Api, dsn: str) -> None:
    tagged.until(TAGS, is_up_to_date)
    assert in_database(dsn, "update tag_index set counts[1] = 7 where tag_key = 'env'") == 1
    assert in_database(dsn, "delete from tag_index where tag_value = '1'") == 1
    assert in_database(dsn, "update tag_index set tag_value = 'other' where tag_value = '2'") == 1
    tagged.post(f"{TAGS}/rebuild")
    until_ready(tagged)
    found = tagged.post(f"{TAGS}/compare").json()
    assert not found["equal"]
    assert (found["differing"], found["missing"], found["surplus"]) == (1, 1, 2)
    named = {(one["key"]["tag_key"], one["key"]["tag_value"]): one["how"] for one in found["first"]}
    assert named == {
        ("env", "prod"): "differs",
        ("n", "1"): "surplus",
        ("n", "2"): "surplus",
        ("n", "other"): "missing",
    }
    tagged.post(f"{TAGS}/switch")
    tagged.post(f"{TAGS}/rebuild")
    until_ready(tagged)
    assert tagged.post(f"{TAGS}/compare").json()["equal"]


@pytest.mark.usefixtures("poisoned")
def test_an_event_that_cannot_be_taken_is_skipped_on_record(api: Api) -> None:
    position = park(api)
    listed = api.get(TAGS).json()["generations"][0]
    assert (listed["position"], listed["error"]) == (position - 1, "ValueError: not this one")
    elsewhere = api.post(f"{TAGS}/skip", {"position": position + 1, "reason": "r"})
    assert refused(elsewhere) == (409, "projection_not_parked")
    assert str(position) in elsewhere.json()["message"]
    skipped = api.post(f"{TAGS}/skip", {"position": position, "reason": "a run nobody needs"})
    assert skipped.status_code == 200, skipped.text
    api.until(TAGS, is_up_to_date)
    [event] = api.get("/v1/events?types=projection.event_skipped").json()
    assert event["position"] == int(skipped.headers["runcord-position"])
    assert event["stream_id"] == "projection_tag_index"
    assert event["data"] == {"position": position, "reason": "a run nobody needs"}
    assert event["actor"].startswith("apikey:")
    again = api.post(f"{TAGS}/skip", {"position": position, "reason": "r"})
    assert refused(again) == (409, "projection_not_parked")
    # A rebuild passes over it too, without being asked.
    api.post(f"{TAGS}/rebuild")
    until_ready(api)
    assert api.post(f"{TAGS}/compare").json()["equal"]


def test_a_parked_projection_tries_again_once_it_was_mended(api: Api) -> None:
    with poison():
        park(api)
        assert refused(api.post("/v1/projections/lineage/retry")) == (409, "projection_not_parked")
    assert api.post(f"{TAGS}/retry").status_code == 200
    assert api.until(TAGS, is_up_to_date)["generations"][0].get("parked_at") is None


@pytest.mark.parametrize("name", rebuildables())
def test_inline_views_are_rebuilt_compared_and_switched_to(tagged: Api, name: str) -> None:
    path = f"/v1/projections/{name}"
    [live] = tagged.get(path).json()["generations"]
    assert (live["generation"], live["status"], live["behind"]) == (0, "live", 0)
    assert refused(tagged.post(f"{path}/compare")) == (409, "projection_not_ready")
    assert refused(tagged.post(f"{path}/drop")) == (404, "generation_not_found")
    begun = tagged.post(f"{path}/rebuild")
    assert (begun.status_code, begun.json()["status"]) == (202, "building")
    assert refused(tagged.post(f"{path}/rebuild")) == (409, "projection_building")
    until_ready(tagged, path)
    compared = tagged.post(f"{path}/compare").json()
    assert compared["equal"], compared
    assert (compared["live_generation"], compared["rebuilt_generation"]) == (0, 1)
    assert generations(tagged.post(f"{path}/switch").json())[0] == "live"
    tagged.until(path, lambda found: generations(found) == {0: "live"})


def test_a_damaged_run_is_healed_by_a_rebuild_that_switches(tagged: Api, dsn: str) -> None:
    [run, *_] = tagged.get("/v1/runs").json()
    in_database(dsn, "update runs set state = replace(convert_from(state, 'UTF8'), 'prod', 'evil')::bytea")
    assert tagged.get(f"/v1/runs/{run['id']}").json()["tags"]["env"] == "evil"
    tagged.post("/v1/projections/run_view/rebuild", {"switch": True})
    tagged.until("/v1/projections/run_view", lambda found: generations(found) == {0: "live"})
    assert tagged.get(f"/v1/runs/{run['id']}").json() == run
    # It is a run to go on with.
    assert tagged.delete(f"/v1/runs/{run['id']}").status_code == 200


def test_a_rebuild_of_an_inline_view_can_be_given_up(tagged: Api) -> None:
    path = "/v1/projections/job_view"
    tagged.post(f"{path}/rebuild")
    assert tagged.post(f"{path}/drop").json()["status"] == "dropping"
    tagged.until(path, lambda found: generations(found) == {0: "live"})


def test_commands_are_decided_on_inline_views_so_these_skip_nothing(tagged: Api) -> None:
    answer = tagged.post("/v1/projections/run_view/skip", {"position": 1, "reason": "r"})
    assert refused(answer) == (409, "projection_is_inline")
    assert refused(tagged.post("/v1/projections/run_view/retry")) == (409, "projection_not_parked")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("rebuild", {"switch": "yes"}),
        ("rebuild", {"swich": True}),
        ("drop", {"generation": 0}),
        ("skip", {}),
        ("skip", {"position": 1}),
        ("skip", {"position": 1, "reason": ""}),
        ("skip", {"position": -1, "reason": "r"}),
    ],
)
def test_bad_bodies_are_refused(api: Api, path: str, body: Any) -> None:
    assert refused(api.post(f"{TAGS}/{path}", body)) == (400, "validation_failed")


def test_reading_is_not_managing(tagged: Api, new_api: NewApi) -> None:
    reader = new_api(scopes=["projections:read"])
    assert reader.get(TAGS).status_code == 200
    assert refused(reader.post(f"{TAGS}/rebuild")) == (403, "forbidden")


def test_rebuilding_in_one_project_leaves_the_others_alone(tagged: Api, new_api: NewApi, dsn: str) -> None:
    other = new_api("proj_other")
    other.new_job("own")
    other.new_run("own", tags={"env": "prod"})
    other.until(TAGS, is_up_to_date)
    tagged.post(f"{TAGS}/rebuild", {"switch": True})
    tagged.until(TAGS, lambda found: generations(found) == {2: "live"})
    assert generations(other.get(TAGS).json()) == {1: "live"}
    assert in_database(dsn, "select 1 from tag_index where project_id = %s", "proj_other") == 1
