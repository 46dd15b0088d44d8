"""API keys: make them, list them, revoke them."""

from datetime import timedelta
from typing import Any, cast

from runcord.clock import utc_now
from runcord.http.credentials import Key, check_scopes
from runcord.http.models.answers import ApiKey, CreatedApiKey, Revoked
from runcord.http.models.key import NewApiKey
from runcord.http.operation import Answer, Call, Operation


async def create_api_key(call: Call) -> Answer:
    """Make an API key for the project. The key itself is shown here, once, and kept nowhere.

    Nobody can grant a scope that the key they call with does not have.
    """
    body = call.body(NewApiKey)
    call.require_own_project(body.project_id)
    check_scopes(body.scopes, cast(Key, call.key))
    now = utc_now()
    expires_at = None if body.expires_in_days is None else now + timedelta(days=body.expires_in_days)
    key = await call.backend.credentials.create(call.project_id, body.name, body.scopes, expires_at)
    members: dict[str, Any] = {
        "id": key.key_id,
        "project_id": call.project_id,
        "name": body.name,
        "key": key.secret,
        "key_prefix": key.prefix,
        "scopes": body.scopes,
        "created_at": now,
    }
    if expires_at is not None:
        members["expires_at"] = expires_at
    return Answer(members, 201, headers={"Cache-Control": "no-store"})


async def list_api_keys(call: Call) -> Answer:
    """List the project's API keys, oldest first, revoked ones included. The keys themselves are not shown."""
    return Answer(
        [
            {
                "id": key.key_id,
                "project_id": call.project_id,
                "name": key.name,
                "key_prefix": key.prefix,
                "scopes": key.scopes,
                "created_at": key.created_at,
                **({"expires_at": key.expires_at} if key.expires_at else {}),
                **({"revoked_at": key.revoked_at} if key.revoked_at else {}),
            }
            for key in await call.backend.credentials.of_project(call.project_id)
        ]
    )


async def revoke_api_key(call: Call) -> Answer:
    """Revoke an API key: within seconds it opens nothing any more."""
    await call.backend.credentials.revoke(call.project_id, call.path["key_id"])
    return Answer({"status": "revoked"})


_SCOPE = "api-keys:manage"

OPERATIONS = (
    Operation(
        "POST",
        "/v1/api-keys",
        create_api_key,
        "Make an API key",
        "api-keys",
        _SCOPE,
        body=NewApiKey,
        status=201,
        answer=CreatedApiKey,
    ),
    Operation("GET", "/v1/api-keys", list_api_keys, "List API keys", "api-keys", _SCOPE, answer=list[ApiKey]),
    Operation(
        "DELETE", "/v1/api-keys/{key_id}", revoke_api_key, "Revoke an API key", "api-keys", _SCOPE, answer=Revoked
    ),
)
