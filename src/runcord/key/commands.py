"""The commands of one API key.

`grantor` holds the scopes of the key that gives the command: it cannot grant others. None may grant all.
"""

from dataclasses import dataclass
from datetime import datetime

from runcord.key.form import Environment, Form

DEFAULT_GRACE_MINUTES = 60
MAX_GRACE_MINUTES = 10_080
"""A week."""


@dataclass(frozen=True)
class CreateKey:
    """Make the key. `expires_in_days` counts from the ledger's time; a key made in another's place has its end."""

    name: str
    prefix: str
    scopes: tuple[str, ...]
    expires_in_days: int | None = None
    expires_at: datetime | None = None
    environment_id: str | None = None
    rotation_interval_days: int | None = None
    rotated_from: str | None = None
    grantor: frozenset[str] | None = None
    form: Form | None = None
    environment: Environment | None = None


@dataclass(frozen=True)
class RotateKey:
    """Put another key in this one's place, which goes on for `grace_minutes`."""

    new_key_id: str
    grace_minutes: int
    grantor: frozenset[str] | None = None


@dataclass(frozen=True)
class RevokeKey:
    """End the key."""


Command = CreateKey | RotateKey | RevokeKey
