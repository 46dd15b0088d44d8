"""API keys over HTTP."""

from typing import Any

import psycopg
import pytest
from tests.http.conftest import Api, NewApi

from runcord.http.credentials import hash_key


def new_key(api: Api, **body: Any) -> Any:
    return api.post("/v1/api-keys", {"name": "ci", "scopes": ["runs:read"], **body})


def test_a_key_is_shown_once_and_works(api: Api) -> None:
    answer = new_key(api, project_id=api.project_id, expires_in_days=30)
    assert answer.status_code == 201
    key = answer.json()
    assert key["key"].startswith("strait_") and key["key_prefix"] == key["key"][:12]
    assert (key["scopes"], key["project_id"]) == (["runs:read"], api.project_id)
    assert key["expires_at"] > key["created_at"]
    user = api.speaking_as(key["key"])
    assert user.get("/v1/runs").status_code == 200
    assert user.get("/v1/jobs").status_code == 403
    (listed,) = [one for one in api.get("/v1/api-keys").json() if one["id"] == key["id"]]
    assert "key" not in listed
    assert (listed["name"], listed["key_prefix"]) == ("ci", key["key_prefix"])


def test_a_revoked_key_opens_nothing_at_once(api: Api) -> None:
    key = new_key(api).json()
    user = api.speaking_as(key["key"])
    assert user.get("/v1/runs").status_code == 200
    for _ in range(2):
        answer = api.delete(f"/v1/api-keys/{key['id']}")
        assert (answer.status_code, answer.json()) == (200, {"status": "revoked"})
    assert user.get("/v1/runs").status_code == 401
    (listed,) = [one for one in api.get("/v1/api-keys").json() if one["id"] == key["id"]]
    assert listed["revoked_at"]


def test_nobody_grants_what_they_do_not_have(new_api: NewApi) -> None:
    manager = new_api(scopes=["api-keys:manage", "runs:read"])
    assert new_key(manager).status_code == 201
    for scopes in (["runs:write"], ["*"], ["runs:read", "jobs:read"]):
        answer = new_key(manager, scopes=scopes)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_keys_of_other_projects_are_not_there(api: Api, new_api: NewApi) -> None:
    key = new_key(api).json()
    stranger = new_api("proj_other")
    assert stranger.delete(f"/v1/api-keys/{key['id']}").status_code == 404
    assert key["id"] not in {one["id"] for one in stranger.get("/v1/api-keys").json()}
    assert new_key(stranger, project_id=api.project_id).status_code == 404
    assert api.speaking_as(key["key"]).get("/v1/runs").status_code == 200


def test_managing_keys_needs_its_scope(new_api: NewApi) -> None:
    user = new_api(scopes=["runs:read", "runs:write"])
    assert new_key(user).status_code == 403
    assert user.get("/v1/api-keys").status_code == 403
    assert user.delete("/v1/api-keys/key_x").status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": []},
        {"scopes": ["runs:fly"]},
        {"scopes": "runs:read"},
        {"name": ""},
        {"expires_in_days": 0},
        {"expires_in_days": 1.5},
        {"colour": "red"},
    ],
)
def test_a_key_that_makes_no_sense_is_refused(api: Api, body: dict[str, Any]) -> None:
    answer = new_key(api, **body)
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")


def test_an_unknown_key_is_not_there(api: Api) -> None:
    assert api.delete("/v1/api-keys/key_unknown").json()["code"] == "not_found"


# --- rotation -----------------------------------------------------------------------------------------


def test_a_rotated_key_and_the_one_in_its_place_both_work_during_the_grace(api: Api) -> None:
    old = new_key(api, expires_in_days=30, rotation_interval_days=20, environment_id="env_1").json()
    answer = api.post(f"/v1/api-keys/{old['id']}/rotate")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    rotated = answer.json()
    assert (rotated["old_key_id"], rotated["name"], rotated["scopes"]) == (old["id"], "ci", ["runs:read"])
    assert rotated["expires_at"] == old["expires_at"]
    assert rotated["key"] != old["key"] and rotated["key_prefix"] == rotated["key"][:12]
    for secret in (old["key"], rotated["key"]):
        assert api.speaking_as(secret).get("/v1/runs").status_code == 200
    before, after = (api.get(f"/v1/api-keys/{key_id}").json() for key_id in (old["id"], rotated["new_key_id"]))
    assert (before["replaced_by_key_id"], before["grace_expires_at"]) == (after["id"], rotated["grace_expires_at"])
    assert after["replaces_key_id"] == old["id"]
    for member in ("rotation_interval_days", "environment_id"):
        assert after[member] == old[member]
    assert after["next_rotation_at"] > after["created_at"]
    assert "next_rotation_at" not in before


def test_a_rotation_without_grace_ends_the_old_key_at_once(api: Api) -> None:
    old = new_key(api).json()
    assert api.speaking_as(old["key"]).get("/v1/runs").status_code == 200
    new = api.post(f"/v1/api-keys/{old['id']}/rotate", {"grace_period_minutes": 0}).json()
    assert api.speaking_as(old["key"]).get("/v1/runs").status_code == 401
    assert api.speaking_as(new["key"]).get("/v1/runs").status_code == 200


def test_only_a_key_in_force_can_be_rotated(api: Api) -> None:
    revoked, rotated = new_key(api).json(), new_key(api).json()
    api.delete(f"/v1/api-keys/{revoked['id']}")
    successor = api.post(f"/v1/api-keys/{rotated['id']}/rotate").json()["new_key_id"]
    for key, said in ((revoked, "revoked"), (rotated, successor)):
        answer = api.post(f"/v1/api-keys/{key['id']}/rotate")
        assert (answer.status_code, answer.json()["code"]) == (409, "key_not_active")
        assert said in answer.json()["message"]
    assert api.post("/v1/api-keys/key_unknown/rotate").status_code == 404
    assert len(api.get("/v1/api-keys").json()) == 4, "a refused rotation makes no key"


def test_nobody_rotates_a_key_that_may_do_more(api: Api, new_api: NewApi) -> None:
    key = new_key(api, scopes=["runs:read", "runs:write"]).json()
    manager = new_api(scopes=["api-keys:manage", "runs:read"])
    answer = manager.post(f"/v1/api-keys/{key['id']}/rotate")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "key" not in answer.json()
    assert "replaced_by_key_id" not in api.get(f"/v1/api-keys/{key['id']}").json()


@pytest.mark.parametrize("minutes", [-1, 10_081, 1.5, "60", None])
def test_a_grace_that_makes_no_sense_is_refused(api: Api, minutes: Any) -> None:
    answer = api.post(f"/v1/api-keys/{new_key(api).json()['id']}/rotate", {"grace_period_minutes": minutes})
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")


def test_a_key_made_without_scopes_may_do_what_its_maker_may(api: Api, new_api: NewApi) -> None:
    assert api.post("/v1/api-keys", {"name": "all"}).json()["scopes"] == ["*"]
    manager = new_api(scopes=["runs:read", "api-keys:manage"])
    assert manager.post("/v1/api-keys", {"name": "same"}).json()["scopes"] == ["api-keys:manage", "runs:read"]


def test_keys_are_listed_in_pages_newest_first(api: Api) -> None:
    made = [new_key(api, name=f"key {n}").json()["id"] for n in range(5)]
    first = api.get("/v1/api-keys?limit=3")
    assert [key["id"] for key in first.json()] == made[:1:-1]
    second = api.get(f"/v1/api-keys?limit=3&cursor={first.headers['x-next-cursor']}")
    assert [key["id"] for key in second.json()][:2] == made[1::-1]
    assert "x-next-cursor" not in second.headers


# --- the record ---------------------------------------------------------------------------------------


def test_who_made_rotated_and_revoked_a_key_is_on_record(api: Api, new_api: NewApi) -> None:
    key = new_key(api).json()
    other = new_api()
    other.post(f"/v1/api-keys/{key['id']}/rotate", headers={"X-Request-ID": "req-7"})
    api.delete(f"/v1/api-keys/{key['id']}")
    history = api.get(f"/v1/api-keys/{key['id']}/history").json()
    me, they = (f"apikey:{caller.get('/v1/whoami').json()['key_id']}" for caller in (api, other))
    assert [(event["type"], event["actor"]) for event in history] == [
        ("key.created.v1", me),
        ("key.rotated.v1", they),
        ("key.revoked.v1", me),
    ]
    assert history[1]["request_id"] == "req-7"
    shown = api.get(f"/v1/api-keys/{key['id']}").json()
    assert (shown["created_by"], shown["revoked_by"]) == (me, me)
    rest = api.get(f"/v1/api-keys/{key['id']}/history?limit=2")
    assert [event["version"] for event in rest.json()] == [1, 2]
    further = api.get(f"/v1/api-keys/{key['id']}/history?cursor={rest.headers['x-next-cursor']}").json()
    assert [event["version"] for event in further] == [3]


def test_no_key_and_no_hash_of_one_is_in_the_ledger(api: Api, dsn: str) -> None:
    old = new_key(api).json()
    new = api.post(f"/v1/api-keys/{old['id']}/rotate").json()
    with psycopg.connect(dsn) as conn:
        rows = conn.execute("select data || metadata from events union all select state from api_keys").fetchall()
    stored = b"\n".join(bytes(row[0]) for row in rows)
    assert old["id"].encode() in stored
    for key in (old["key"], new["key"]):
        for form in (key.encode(), key[12:].encode(), hash_key(key), hash_key(key).hex().encode()):
            assert form not in stored


def test_a_refused_command_leaves_no_hash_behind(api: Api, new_api: NewApi, dsn: str) -> None:
    manager = new_api(scopes=["api-keys:manage"])
    with psycopg.connect(dsn, autocommit=True) as conn:
        before = conn.execute("select * from api_key_hashes order by 1, 2").fetchall()
        assert new_key(manager).status_code == 403
        assert conn.execute("select * from api_key_hashes order by 1, 2").fetchall() == before
