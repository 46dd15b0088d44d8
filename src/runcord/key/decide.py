"""`decide(command, key, at) -> events` for API keys. Pure."""

from datetime import datetime, timedelta

from runcord.errors import Conflict, Forbidden, Invalid, KeyNotActive, NotFound
from runcord.key import commands as c
from runcord.key import events as e
from runcord.key.form import PUBLIC_SCOPES
from runcord.key.state import ALL, ApiKey


def decide(command: c.Command, key: ApiKey | None, at: datetime) -> tuple[e.Event, ...]:
    """Return the events that `command` causes at a time. Revoking twice causes nothing the second time.

    Raises:
        NotFound: there is no such key.
        Conflict: the key is there already.
        Forbidden: a scope would be given out that the grantor does not have.
        Invalid: a public key would do more than read runs.
        KeyNotActive: the key that is to be rotated was rotated before, was revoked or has expired.
    """
    match command:
        case c.CreateKey():
            if key is not None:
                raise Conflict("the key exists already")
            _require_held(command.scopes, command.grantor)
            if command.form == "trigger-pk" and command.scopes != PUBLIC_SCOPES:
                raise Invalid(f"a public key has the scope {PUBLIC_SCOPES[0]} and no other: anybody may see it")
            return (_created(command, at),)
        case _ if key is None:
            raise NotFound("there is no such API key in this project")
        case c.RotateKey():
            _require_held(key.scopes, command.grantor)
            _require_active(key, at)
            grace_ends_at = at + timedelta(minutes=command.grace_minutes)
            return (e.KeyRotated(command.new_key_id, min(grace_ends_at, key.expires_at or grace_ends_at)),)
        case c.RevokeKey():
            return () if key.revoked_at is not None else (e.KeyRevoked(),)


def _created(command: c.CreateKey, at: datetime) -> e.KeyCreated:
    expires_at = command.expires_at
    if command.expires_in_days is not None:
        expires_at = at + timedelta(days=command.expires_in_days)
    return e.KeyCreated(
        name=command.name,
        prefix=command.prefix,
        scopes=command.scopes,
        expires_at=expires_at,
        environment_id=command.environment_id,
        rotation_interval_days=command.rotation_interval_days,
        rotated_from=command.rotated_from,
        form=command.form,
        environment=command.environment,
    )


def _require_held(scopes: tuple[str, ...], grantor: frozenset[str] | None) -> None:
    if grantor is None or ALL in grantor:
        return
    for scope in scopes:
        if scope not in grantor:
            raise Forbidden(f"a key cannot grant what it does not have itself: {scope}")


def _require_active(key: ApiKey, at: datetime) -> None:
    if key.revoked_at is not None:
        raise KeyNotActive("the API key was revoked: make a new one")
    if key.rotated_to is not None:
        raise KeyNotActive(f"the API key was rotated before: {key.rotated_to} is in its place, rotate that one")
    if key.has_ended(at):
        raise KeyNotActive("the API key has expired: make a new one")
