"""What callers say about events that runs wait for, and what they are told."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from runcord.http.models.page import Document, Maybe, PageQuery
from runcord.http.models.run import AnyJson
from runcord.http.models.value import Json
from runcord.http.operation import Body

WaitStatus = Literal["waiting", "received", "timed_out", "canceled"]


class SentEvent(Body):
    """An event for the run that waits for it."""

    payload: Json = None


class EventsQuery(PageQuery):
    """Which waits to list; all filters given must hold."""

    project_id: Annotated[str | None, Field(max_length=64, description="If given, the credential's own project.")] = (
        None
    )
    status: WaitStatus | None = None
    source_type: Annotated[
        Literal["job_run", "workflow_step"] | None, Field(description="Who waits: here it is always a run of a job.")
    ] = None
    workflow_run_id: Annotated[
        str | None, Field(max_length=128, description="There are no workflows here, so nothing has one.")
    ] = None
    envelope: Annotated[bool, Field(description="False answers the bare array that other lists answer.")] = True


class PurgeBody(Body):
    """Which waits to list no more."""

    older_than_days: Annotated[int, Field(ge=1, le=36_500, description="Waits that have been over for so long.")]
    dry_run: Annotated[bool, Field(description="Count them and leave them alone.")] = False


class EventTrigger(Document):
    """A run's wait for an event."""

    id: str
    event_key: str
    project_id: str
    source_type: Literal["job_run"]
    trigger_type: Literal["event"]
    job_run_id: str
    status: WaitStatus
    requested_at: datetime
    expires_at: Maybe[datetime] = None
    timeout_secs: Maybe[float] = None
    received_at: Maybe[datetime] = None
    sent_by: Annotated[Maybe[str], Field(description="Who sent the event: `apikey:` and an id.")] = None
    response_payload: AnyJson = None
    error: Maybe[str] = None
    notify_url: Annotated[Maybe[str], Field(description="As the worker gave it. Nothing is sent there.")] = None


class SentToPrefix(Document):
    """The waits that an event ended."""

    resolved: int
    triggers: list[EventTrigger]


class EventStats(Document):
    """How many waits there are, and how long those that are over took on average, in seconds."""

    total_count: int
    waiting_count: int
    received_count: int
    timed_out_count: int
    canceled_count: int
    avg_wait_duration_secs: float


class Purged(Document):
    """How many waits are listed no more, or would be."""

    deleted: int
    dry_run: bool
    would_delete: Maybe[int] = None
