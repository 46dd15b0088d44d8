"""API keys over HTTP."""

from typing import Any

import pytest
from tests.http.conftest import Api, NewApi


def new_key(api: Api, **body: Any) -> Any:
    return api.post("/v1/api-keys", {"name": "ci", "scopes": ["runs:read"], **body})


def test_a_key_is_shown_once_and_works(api: Api) -> None:
    answer = new_key(api, project_id="proj_test", expires_in_days=30)
    assert answer.status_code == 201
    key = answer.json()
    assert key["key"].startswith("strait_") and key["key_prefix"] == key["key"][:12]
    assert (key["scopes"], key["project_id"]) == (["runs:read"], "proj_test")
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
    assert new_key(stranger, project_id="proj_test").status_code == 404
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
