"""The feed of a ledger's events: what may be asked of it, and what it answers.

It shares its path with Strait's list of waits for events.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from runcord.errors import Invalid
from runcord.http.models.event import EventsQuery
from runcord.http.models.page import Document, Maybe, split
from runcord.http.models.run import AnyJson, HistoryEvent
from runcord.http.models.stream import MOST_DIGITS, Place

MAX_EVENTS = 1000
"""In one answer."""
DEFAULT_EVENTS = 100


class AnyEventsQuery(EventsQuery):
    """Which events of the ledger, from where on; or, if neither a place nor a choice among them is given, which waits.

    All that is given must hold.
    """

    after: Annotated[
        Place | None, Field(description="The ledger's events beyond this position: 0 is the beginning.")
    ] = None
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
    format: Annotated[
        Literal["runcord", "cloudevents"] | None,
        Field(description="`cloudevents`: each event as a CloudEvent 1.0 in JSON."),
    ] = None

    @property
    def is_of_ledger(self) -> bool:
        """Whether events of the ledger are meant."""
        return not self.model_fields_set.isdisjoint(("after", "types", "run_id", "job", "tag", "format"))

    @property
    def place_in_ledger(self) -> int:
        """The position to begin after.

        Raises:
            Invalid: the cursor is none of the ledger.
        """
        if self.cursor is None:
            return self.after or 0
        if not (self.cursor.isascii() and self.cursor.isdigit() and len(self.cursor) <= MOST_DIGITS):
            raise Invalid("the cursor is not one of the ledger: send the `X-Next-Cursor` of the page before, as it is")
        return int(self.cursor)

    @property
    def ledger_limit(self) -> int:
        """How many events to answer."""
        return min(self.limit, MAX_EVENTS) if "limit" in self.model_fields_set else DEFAULT_EVENTS

    @property
    def is_enveloped(self) -> bool:
        """Whether the answer about the ledger is to be an object."""
        return self.envelope and "envelope" in self.model_fields_set


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
