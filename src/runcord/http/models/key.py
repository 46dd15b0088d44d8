"""What callers say about API keys, and what they are told."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema, model_validator

from runcord.http.credentials import ALL_SCOPES
from runcord.http.models.page import Document, Maybe
from runcord.http.models.rules import only_with, ruled
from runcord.http.models.value import Name, Ref
from runcord.http.operation import Body
from runcord.key.commands import DEFAULT_GRACE_MINUTES, MAX_GRACE_MINUTES
from runcord.key.form import Environment, Form
from runcord.key.state import ALL


class NewApiKey(Body):
    """An API key to be made."""

    model_config = ruled(only_with("environment", "form"))

    project_id: Ref | None = None
    name: Name
    scopes: Annotated[
        list[Annotated[str, WithJsonSchema({"enum": [*ALL_SCOPES, ALL]})]] | None,
        Field(
            min_length=1,
            max_length=32,
            description='What the key may do; `["*"]` for everything. All that the calling key may do, when missing.',
        ),
    ] = None
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    environment_id: Annotated[
        Ref | None, Field(description="Kept and shown. It does not restrict the key: there are no environments here.")
    ] = None
    rotation_interval_days: Annotated[
        int | None,
        Field(
            ge=1,
            le=3650,
            description="How often somebody means to rotate the key: `next_rotation_at` says when it is time. "
            "Nothing is rotated by itself, because nobody would be shown the new key.",
        ),
    ] = None
    form: Annotated[
        Form | None,
        Field(
            description="What the key looks like: `trigger` is a root key of Trigger.dev (`tr_prod_…`), `trigger-sk` "
            "an additional one (`tr_prod_sk_…`), `trigger-pk` a public one (`pk_prod_…`), which reads runs without "
            "their payloads and outputs. `strait_…` when missing."
        ),
    ] = None
    environment: Annotated[
        Environment | None,
        Field(description="The environment in the key's text; `prod` when missing. It does not restrict the key."),
    ] = None

    @model_validator(mode="after")
    def _is_of_one_form(self) -> "NewApiKey":
        if self.environment is not None and self.form is None:
            raise ValueError("environment is for keys in one of the forms of Trigger.dev: give a form too, or neither")
        return self


class KeyRotation(Body):
    """How an API key is to be rotated."""

    grace_period_minutes: Annotated[
        int, Field(ge=0, le=MAX_GRACE_MINUTES, description="How long the old key goes on; 0 ends it at once.")
    ] = DEFAULT_GRACE_MINUTES


class ApiKey(Document):
    """An API key without the key itself."""

    id: str
    project_id: str
    name: str
    key_prefix: str
    scopes: list[str]
    created_at: datetime
    created_by: Annotated[Maybe[str], Field(description="Who made it: `apikey:` and an id, or `operator`.")] = None
    expires_at: Maybe[datetime] = None
    environment_id: Maybe[str] = None
    rotation_interval_days: Maybe[int] = None
    next_rotation_at: Annotated[Maybe[datetime], Field(description="When somebody should rotate it.")] = None
    replaces_key_id: Annotated[Maybe[str], Field(description="The key in whose place it was made.")] = None
    replaced_by_key_id: Annotated[Maybe[str], Field(description="The key that was made in its place.")] = None
    grace_expires_at: Annotated[Maybe[datetime], Field(description="Until when it goes on beside that one.")] = None
    revoked_at: Maybe[datetime] = None
    revoked_by: Maybe[str] = None
    form: Annotated[Maybe[Form], Field(description="Which of Trigger.dev's forms it has.")] = None
    environment: Annotated[Maybe[Environment], Field(description="The one in its text.")] = None


class CreatedApiKey(ApiKey):
    """An API key with the key itself, which is shown this once."""

    key: str


class RotatedApiKey(Document):
    """A key in the place of another, with the key itself, which is shown this once."""

    old_key_id: str
    new_key_id: str
    project_id: str
    name: str
    key: str
    key_prefix: str
    scopes: list[str]
    created_at: datetime
    grace_expires_at: Annotated[datetime, Field(description="Until when the old key goes on.")]
    expires_at: Maybe[datetime] = None


class Revoked(Document):
    """The key opens nothing any more."""

    status: Literal["revoked"]
