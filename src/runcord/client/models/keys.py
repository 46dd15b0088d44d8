"""API keys, and the public tokens made in their name."""

from datetime import datetime

from pydantic import Field

from runcord.client.models.base import Model


class ApiKey(Model):
    """Show what is known of an API key; the key itself is not."""

    id: str
    name: str
    key_prefix: str
    scopes: list[str]
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime | None = None
    grace_expires_at: datetime | None = None
    replaced_by_key_id: str | None = None
    replaces_key_id: str | None = None
    next_rotation_at: datetime | None = None
    revoked_at: datetime | None = None
    form: str | None = None
    environment: str | None = None


class NewApiKey(ApiKey):
    """Show a key just made; `key` is the key itself, told this once."""

    key: str = Field(repr=False)


class RotatedApiKey(Model):
    """Show a key in the place of another; `key` is the key itself, told this once."""

    old_key_id: str
    new_key_id: str
    name: str
    key: str = Field(repr=False)
    key_prefix: str
    scopes: list[str]
    grace_expires_at: datetime
    expires_at: datetime | None = None


class PublicToken(Model):
    """Show a public token just made, and when it ends."""

    token: str = Field(repr=False)
    expires_at: datetime
