"""`client.api_keys`."""

import pytest
from strait import Client, UnauthorizedError

from .table import drives
from .world import World


def may_list(w: World, key: str) -> bool:
    """Return whether the server knows the key."""
    with Client(base_url=w.base_url, api_key=key) as client:
        try:
            client.runs.list()
        except UnauthorizedError as error:
            assert error.status == 401
            return False
        return True


@drives("api_keys.list")
async def keys_are_listed_without_the_keys_themselves(w: World) -> None:
    made = await w.call("api_keys.create", {"project_id": w.project_id, "name": "ci", "scopes": ["runs:read"]})
    found = await w.call("api_keys.list", query={"project_id": w.project_id})
    (row,) = (row for row in found if row["id"] == made["id"])
    assert (row["name"], row["scopes"]) == ("ci", ["runs:read"])
    assert made["key"] not in str(found) and made["key"].startswith(row["key_prefix"])


@drives("api_keys.create")
async def a_key_opens_what_its_scopes_say(w: World) -> None:
    body = {"project_id": w.project_id, "name": "ci", "scopes": ["runs:read"], "expires_in_days": 7}
    made = await w.call("api_keys.create", body)
    assert made["key"].startswith("strait_") and len(made["key"]) == len("strait_") + 64
    assert made["expires_at"] > made["created_at"]
    assert may_list(w, made["key"])
    with Client(base_url=w.base_url, api_key=made["key"]) as client, pytest.raises(UnauthorizedError) as refused:
        client.jobs.create({"name": "no", "slug": "no"})
    assert refused.value.status == 403 and "jobs:write" in str(refused.value)


@drives("api_keys.delete")
async def a_revoked_key_opens_nothing(w: World) -> None:
    made = await w.call("api_keys.create", {"project_id": w.project_id, "name": "ci", "scopes": ["*"]})
    assert await w.call("api_keys.delete", made["id"]) == {"status": "revoked"}
    assert not may_list(w, made["key"])


@drives("api_keys.rotate")
async def a_rotated_key_lives_until_its_grace_ends(w: World) -> None:
    made = await w.call("api_keys.create", {"project_id": w.project_id, "name": "ci", "scopes": ["*"]})
    rotated = await w.call("api_keys.rotate", made["id"], {"grace_period_minutes": 5})
    assert (rotated["old_key_id"], rotated["name"], rotated["scopes"]) == (made["id"], "ci", ["*"])
    assert rotated["key"] != made["key"] and rotated["new_key_id"] != made["id"]
    assert may_list(w, made["key"]) and may_list(w, rotated["key"])
    last = await w.call("api_keys.rotate", rotated["new_key_id"], {"grace_period_minutes": 0})
    assert not may_list(w, rotated["key"]) and may_list(w, last["key"])
