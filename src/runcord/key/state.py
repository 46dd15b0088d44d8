"""An API key as it is now: what it may do, and until when. The key itself is not here."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from runcord.key.form import Environment, Form

ALL = "*"
"""The scope that stands for all scopes."""


@dataclass(frozen=True)
class ApiKey:
    """One key. `version` counts its events; times are the ledger's, in UTC."""

    key_id: str
    version: int
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime | None = None
    environment_id: str | None = None
    rotation_interval_days: int | None = None
    rotated_from: str | None = None
    rotated_to: str | None = None
    grace_ends_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    form: Form | None = None
    environment: Environment | None = None
    """The one in the key's text."""

    @property
    def ends_at(self) -> datetime | None:
        """From when on the key opens nothing; None for never."""
        ends = [at for at in (self.expires_at, self.grace_ends_at, self.revoked_at) if at is not None]
        return min(ends, default=None)

    @property
    def next_rotation_at(self) -> datetime | None:
        """When somebody should rotate the key; None when nobody needs to."""
        if self.rotation_interval_days is None or self.rotated_to is not None or self.revoked_at is not None:
            return None
        return self.created_at + timedelta(days=self.rotation_interval_days)

    def has_ended(self, at: datetime) -> bool:
        """Whether the key opens nothing at a time."""
        return self.ends_at is not None and self.ends_at <= at
