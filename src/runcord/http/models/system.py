"""What a server says about itself, and about whoever asks."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from runcord.http.models.page import Document, Maybe


class Alive(Document):
    """The process answers."""

    status: Literal["ok"]


class Checks(Document):
    """What was found, one by one: `ok`, or what is wrong."""

    database: str
    migrations: str
    tail: Annotated[str, Field(description="Whether the server follows the ledgers closely.")]


class Readiness(Document):
    """Whether this server should be sent requests."""

    status: Literal["ready", "not_ready"]
    checks: Checks


class Component(Document):
    """A part of the server, as Strait's clients know it."""

    name: str
    status: Literal["up", "down"]
    error: Maybe[str] = None


class Health(Document):
    """Whether this server should be sent requests, as Strait's clients know it."""

    status: Literal["up", "degraded"]
    components: list[Component]


class Identity(Document):
    """Who the caller's key speaks for, and what it may do."""

    project_id: str
    key_id: str
    scopes: list[str]
    expires_at: Maybe[datetime] = None


class QueueStats(Document):
    """How many runs of the project there are that are not over, by status, and how many dead letters."""

    queued: int
    executing: int
    delayed: int
    dequeued: int
    waiting: int
    paused: int
    dead_letter: int
