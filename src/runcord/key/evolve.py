"""`evolve(key, recorded) -> key`: what an event makes of a key. Pure and total."""

from dataclasses import replace

from runcord.key import events as e
from runcord.key.state import ApiKey
from runcord.recorded import Recorded


def evolve(key: ApiKey | None, recorded: Recorded[e.Event]) -> ApiKey | None:
    """Return the key after `recorded`; None stands for a key that is not there yet."""
    event = recorded.event
    if key is None:
        return _made(event, recorded) if isinstance(event, e.KeyCreated) else None
    match event:
        case e.KeyRotated():
            return replace(
                key, version=recorded.version, rotated_to=event.new_key_id, grace_ends_at=event.grace_ends_at
            )
        case e.KeyRevoked():
            return replace(
                key,
                version=recorded.version,
                revoked_at=event.since or recorded.at,
                revoked_by=recorded.metadata.get("actor"),
            )
        case e.KeyCreated():
            return replace(key, version=recorded.version)


def _made(event: e.KeyCreated, recorded: Recorded[e.Event]) -> ApiKey:
    return ApiKey(
        key_id=recorded.stream_id,
        version=recorded.version,
        name=event.name,
        prefix=event.prefix,
        scopes=event.scopes,
        created_at=event.since or recorded.at,
        created_by=recorded.metadata.get("actor"),
        expires_at=event.expires_at,
        environment_id=event.environment_id,
        rotation_interval_days=event.rotation_interval_days,
        rotated_from=event.rotated_from,
        form=event.form,
        environment=event.environment,
    )
