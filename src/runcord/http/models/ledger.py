"""The feed of a ledger's events: what may be asked of it, and what it answers."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from runcord.http.models.page import DIGITS, Document, Maybe
from runcord.http.models.run import AnyJson, HistoryEvent, split
from runcord.http.models.stream import StreamQuery

MAX_EVENTS = 1000

Format = Literal["runcord", "cloudevents"]


class LedgerQuery(StreamQuery):
    """Which events, from where on. All that is given must hold."""

    types: Annotated[
        list[str] | None,
        BeforeValidator(split),
        Field(max_length=64, description="Types of events, with or without their version: `run.retried`."),
    ] = None
    run_id: Annotated[str | None, Field(max_length=64, description="Events of this run.")] = None
    job: Annotated[
        str | None, Field(max_length=128, description="Events of this job, by id or slug, and of its runs.")
    ] = None
    tag: Annotated[
        list[str] | None,
        Field(max_length=20, description="Events of runs that have this tag now: `key:value`, or `key` for any value."),
    ] = None
    limit: Annotated[
        int, Field(ge=1, le=MAX_EVENTS, description="Events in an answer; a stream has no limit."), DIGITS
    ] = 100
    envelope: Annotated[bool, Field(description="Answer `{data, has_more, next_cursor}` instead of an array.")] = False
    format: Annotated[Format, Field(description="`cloudevents`: each event as a CloudEvent 1.0 in JSON.")] = "runcord"


class LedgerEvent(HistoryEvent):
    """One event of the ledger. `data` leaves out members that have their default value."""

    stream_id: Annotated[str, Field(description="The run, job, key or operation that it is an event of.")]


class CloudEvent(Document):
    """The same as a CloudEvent. `sequence` is the position, in digits that compare like it."""

    specversion: Literal["1.0"]
    id: str
    source: Annotated[str, Field(description="The project: `/projects/{project_id}`.")]
    type: Annotated[str, Field(description="The event's type after `runcord.`: `runcord.run.triggered.v1`.")]
    subject: Annotated[str, Field(description="The run, job, key or operation that it is an event of.")]
    time: str
    datacontenttype: Literal["application/json"]
    data: dict[str, AnyJson]
    sequence: Annotated[str, Field(pattern="^[0-9]{19}$")]
    streamversion: int
    actor: Maybe[str] = None
    requestid: Maybe[str] = None
    causation: Maybe[str] = None
    traceparent: Maybe[str] = None
