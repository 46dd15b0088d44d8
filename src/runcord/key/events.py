"""The events of an API key. The same rules hold as for `runcord.run.events`.

The key itself and its hash are in none of them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from runcord.key.form import Environment, Form


@dataclass(frozen=True)
class KeyCreated:
    """A key was made, anew or in the place of another. `prefix` is what people tell keys apart by."""

    TYPE: ClassVar[str] = "key.created.v1"
    name: str
    prefix: str
    scopes: tuple[str, ...]
    expires_at: datetime | None = None
    environment_id: str | None = None
    rotation_interval_days: int | None = None
    rotated_from: str | None = None
    since: datetime | None = None
    """When, for a key that is older than its record."""
    form: Form | None = None
    environment: Environment | None = None


@dataclass(frozen=True)
class KeyRotated:
    """Another key took this one's place; this one opens what it did until `grace_ends_at`."""

    TYPE: ClassVar[str] = "key.rotated.v1"
    new_key_id: str
    grace_ends_at: datetime


@dataclass(frozen=True)
class KeyRevoked:
    """The key opens nothing any more."""

    TYPE: ClassVar[str] = "key.revoked.v1"
    since: datetime | None = None
    """When, for a key that is older than its record."""


Event = KeyCreated | KeyRotated | KeyRevoked
