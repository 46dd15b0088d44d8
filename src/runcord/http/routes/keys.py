"""API keys: make them, list them, rotate them, revoke them. Each is on record in the project's ledger."""

from typing import Any, cast

from runcord.errors import NotFound
from runcord.handling.keys import MakeKey, RevokeKey, RotateKey, Rotation
from runcord.http.credentials import Key, check_scopes, new_key
from runcord.http.models.key import ApiKey, CreatedApiKey, KeyRotation, NewApiKey, Revoked, RotatedApiKey
from runcord.http.models.page import PageQuery, encode_cursor, list_of, page
from runcord.http.newest_first import place_before
from runcord.http.operation import Answer, Call, Operation
from runcord.key import commands as c
from runcord.key.form import PUBLIC_SCOPES
from runcord.key.state import ApiKey as State
from runcord_projections.key_view.projection import CODEC, SQL

_KEYS = "keys"
_SECRET = {"Cache-Control": "no-store"}


async def create_api_key(call: Call) -> Answer:
    """Make an API key for the project. The key itself is shown here, once.

    Nobody can grant a scope that the key they call with does not have. A key in one of the forms of Trigger.dev opens
    the same as any other. Keys are kept as hashes; those that its clients sign public tokens with (`trigger` and
    `trigger-sk`) are kept sealed besides.
    """
    body = call.body(NewApiKey)
    call.require_own_project(body.project_id)
    grantor = cast(Key, call.key).scopes
    if body.scopes is not None:
        scopes = tuple(body.scopes)
    else:
        scopes = PUBLIC_SCOPES if body.form == "trigger-pk" else tuple(sorted(grantor))
    check_scopes(scopes)
    secret, known_by = new_key(call.project_id, call.backend.sealer, form=body.form, environment=body.environment)
    command = c.CreateKey(
        name=body.name,
        prefix=known_by.prefix,
        scopes=scopes,
        expires_in_days=body.expires_in_days,
        environment_id=body.environment_id,
        rotation_interval_days=body.rotation_interval_days,
        grantor=grantor,
    )
    committed = await call.backend.committer.execute(call.project_id, MakeKey(call.context, known_by, command))
    members = {**_render(committed.value, call.project_id), "key": secret}
    return Answer(members, 201, position=committed.position, headers=_SECRET)


async def list_api_keys(call: Call) -> Answer:
    """List the project's API keys, newest first, those that have ended too. The keys themselves are not shown."""
    query = call.query(PageQuery)
    params = {"before": await place_before(call, query, _KEYS), "limit": query.size + 1}
    rows = await call.backend.read(SQL["page"], {"project_id": call.project_id, **params})
    shown = rows[: query.size]
    next_cursor = encode_cursor(_KEYS, shown[-1][1]) if len(rows) > query.size else None
    keys = [_render(CODEC.decode(state), call.project_id) for state, _ in shown]
    return page(call, query, keys, next_cursor)


async def get_api_key(call: Call) -> Answer:
    """Get one API key, without the key itself."""
    rows = await call.backend.read(SQL["get"], {"project_id": call.project_id, "key_id": call.path["key_id"]})
    if not rows:
        raise NotFound("there is no such API key in this project")
    return Answer(_render(CODEC.decode(rows[0][0]), call.project_id))


async def rotate_api_key(call: Call) -> Answer:
    """Put a new key in the place of another. The new key itself is shown here, once.

    It has the old one's form, name, scopes and expiry. The old one goes on for the grace period, so that nothing stops
    while the new one is handed out; then it is refused with 401, and so are the public tokens that it has signed. A key
    that was rotated or revoked or has expired cannot be rotated (409), and nobody can rotate a key that may do what the
    calling key may not (403).
    """
    body = call.body(KeyRotation)
    key_id = call.path["key_id"]
    rows = await call.backend.read(SQL["get"], {"project_id": call.project_id, "key_id": key_id})
    form, environment = (old.form, old.environment) if rows and (old := CODEC.decode(rows[0][0])) else (None, None)
    secret, known_by = new_key(call.project_id, call.backend.sealer, form=form, environment=environment)
    handler = RotateKey(call.context, key_id, known_by, body.grace_period_minutes, cast(Key, call.key).scopes)
    committed = await call.backend.committer.execute(call.project_id, handler)
    rotation: Rotation = committed.value
    old, new = rotation.old, rotation.new
    _forget(call, old.key_id)
    members = {
        "old_key_id": old.key_id,
        "new_key_id": new.key_id,
        "project_id": call.project_id,
        "name": new.name,
        "key": secret,
        "key_prefix": new.prefix,
        "scopes": new.scopes,
        "created_at": new.created_at,
        "grace_expires_at": old.grace_ends_at,
    }
    if new.expires_at is not None:
        members["expires_at"] = new.expires_at
    return Answer(members, 201, position=committed.position, headers=_SECRET)


async def revoke_api_key(call: Call) -> Answer:
    """Revoke an API key: within a second or so it opens nothing any more. Revoking it twice does no harm."""
    committed = await call.backend.committer.execute(call.project_id, RevokeKey(call.context, call.path["key_id"]))
    _forget(call, call.path["key_id"])
    return Answer({"status": "revoked"}, position=committed.position)


def _forget(call: Call, key_id: str) -> None:
    """Let this process feel at once what it has done to a key."""
    call.backend.credentials.forget(key_id)
    call.backend.public_tokens.forget(key_id)


def _render(key: State, project_id: str) -> dict[str, Any]:
    members: dict[str, Any] = {
        "id": key.key_id,
        "project_id": project_id,
        "name": key.name,
        "key_prefix": key.prefix,
        "scopes": key.scopes,
        "created_at": key.created_at,
    }
    further = {
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "environment_id": key.environment_id,
        "rotation_interval_days": key.rotation_interval_days,
        "next_rotation_at": key.next_rotation_at,
        "replaces_key_id": key.rotated_from,
        "replaced_by_key_id": key.rotated_to,
        "grace_expires_at": key.grace_ends_at,
        "revoked_at": key.revoked_at,
        "revoked_by": key.revoked_by,
        "form": key.form,
        "environment": key.environment,
    }
    return members | {name: value for name, value in further.items() if value is not None}


_SCOPE = "api-keys:manage"
_ONE = "/v1/api-keys/{key_id}"


def _operation(method: Any, path: str, handle: Any, summary: str, answer: Any, **options: Any) -> Operation:
    return Operation(method, path, handle, summary, "api-keys", _SCOPE, answer=answer, **options)


OPERATIONS = (
    _operation("POST", "/v1/api-keys", create_api_key, "Make an API key", CreatedApiKey, body=NewApiKey, status=201),
    _operation("GET", "/v1/api-keys", list_api_keys, "List API keys", list_of(ApiKey), query=PageQuery),
    _operation("GET", _ONE, get_api_key, "Get an API key", ApiKey),
    _operation("DELETE", _ONE, revoke_api_key, "Revoke an API key", Revoked),
    _operation(
        "POST", f"{_ONE}/rotate", rotate_api_key, "Rotate an API key", RotatedApiKey, body=KeyRotation, status=201
    ),
)
