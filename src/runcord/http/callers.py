"""Who calls, and whether they may: the one place where credentials meet operations."""

from datetime import UTC, datetime
from typing import NamedTuple

from runcord.clock import unix_now
from runcord.errors import Forbidden, ScopeMissing, TokenExpired, TokenSpent, Unauthenticated
from runcord.http.backend import Backend
from runcord.http.credentials import SQL, Key
from runcord.http.operation import Call, Operation, TokenAccess
from runcord.http.public_tokens import PublicToken, token_of_public_key
from runcord.http.request import Request
from runcord.http.run_tokens import RunToken
from runcord.key.token_scopes import Action, Resource, permits

OUTLIVES_SECS = 24 * 3600
"""For how long after its end a token may go on with what was begun with it."""

_FAR = datetime(9999, 1, 1, tzinfo=UTC)


class Caller(NamedTuple):
    """One credential, of one kind."""

    key: Key | None = None
    token: RunToken | None = None
    public: PublicToken | None = None


async def authenticate(operation: Operation, request: Request, backend: Backend) -> Caller:
    """Return who calls.

    Raises:
        Unauthenticated: there is no credential, or it is not a good one.
        TokenExpired: it was a good one.
        Forbidden: it is of a kind that the operation does not take, or its key lacks the operation's scope.
        Unavailable: the database could not be asked.
    """
    if not operation.takes_credentials:
        return Caller()
    scheme, _, secret = request.fields.get("authorization", "").partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise Unauthenticated
    if not secret.startswith("eyJ"):  # the beginning of every JWT
        key = backend.credentials.known(secret) or await backend.credentials.find(secret)
        if key.form != "trigger-pk":
            _require_scope(operation, key)
            return Caller(key=key)
        return Caller(public=_admitted(operation, request, token_of_public_key(key)))
    if operation.access == "run":
        run_token = backend.run_tokens.read(secret)
        if run_token.run_id != request.path_params.get("run_id"):
            raise Forbidden("this run token belongs to another run")
        return Caller(token=run_token)
    if operation.tokens is None:
        raise Forbidden("a token does not open this: use an API key (a run token speaks for its run under /sdk/v1)")
    return Caller(public=_admitted(operation, request, await backend.public_tokens.read(secret)))


async def authorize(operation: Operation, call: Call) -> None:
    """Let a call with a public token through if the token permits it, and take the token if it is for one use.

    Calls with other credentials have shown all that they need before.

    Raises:
        ScopeMissing: none of its scopes is about what the call is about.
        Forbidden: the answer would show what it may not see.
        TokenSpent: it was for one use, and was used.
        Unavailable: the database could not be asked.
    """
    token, access = call.public, operation.tokens
    if token is None or access is None:
        return
    await _require_permission(access, call, token)
    if token.hidden and not access.hides:
        raise Forbidden(f"this shows what the credential may not see ({', '.join(sorted(token.hidden))})")
    if token.one_time and access.spends:
        await _spend(access, call, token)


def _require_scope(operation: Operation, key: Key) -> None:
    if operation.scope is not None and operation.scope not in key.scopes:
        key.require(operation.scope, *operation.other_scopes)


def _admitted(operation: Operation, request: Request, token: PublicToken) -> PublicToken:
    """Return the token if the operation takes such, and its key may what it is to permit."""
    access = operation.tokens
    if access is None:
        raise Forbidden("a public key reads runs and nothing else: use a secret key")
    if token.is_expired:
        is_late = token.expires_at + OUTLIVES_SECS <= unix_now()
        if is_late or not access.goes_on(request, token):
            raise TokenExpired
    _require_scope(operation, token.key)
    return token


async def _require_permission(access: TokenAccess, call: Call, token: PublicToken) -> None:
    wanted: Resource | None = None
    async for resource in access.target(call):
        if permits(token.scopes, access.action, resource):
            return
        wanted = wanted or resource  # what follows may be nothing that the caller knows of
    raise ScopeMissing(f"the token's scopes do not permit this: it takes {_scopes(access.action, wanted)}")


def _scopes(action: Action, resource: Resource | None) -> str:
    """Return the scopes that would do, as far as they are told."""
    if resource is None:
        return f"one to {action} it"
    whole = f"{action}:{resource.type}"
    several = " and " if resource.every else " or "
    some = several.join(f"{whole}:{one}" for one in sorted(resource.ids)[:5])
    return f"{whole} or {some}" if some else whole


async def _spend(access: TokenAccess, call: Call, token: PublicToken) -> None:
    expires_at = datetime.fromtimestamp(token.expires_at, UTC) if token.expires_at < _FAR.timestamp() else _FAR
    taken = await call.backend.touch(
        SQL["spend_token"],
        {
            "project_id": call.project_id,
            "token_hash": token.hash,
            "request_key": access.repeat_key(call),
            "expires_at": expires_at,
        },
    )
    if not taken:
        raise TokenSpent
