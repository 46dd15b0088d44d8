"""Streams: what may be asked of them, and what is sent on them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from runcord.http.models.page import DIGITS, Document, Maybe, PageQuery
from runcord.http.models.run import AnyJson
from runcord.http.models.value import Label
from runcord.http.operation import Body, Query
from runcord.run.status import Status

MAX_CHUNK = 64 * 1024

MOST_DIGITS = 18
"""Of the number of a place."""

Place = Annotated[int, Field(ge=0, lt=10**MOST_DIGITS), DIGITS]


def _small(value: str) -> str:
    if len(value.encode()) > MAX_CHUNK:
        raise ValueError(f"should be no larger than {MAX_CHUNK:,} bytes: send it in pieces")
    return value


class ChunkBody(Body):
    """A piece of what the worker streams."""

    chunk: Annotated[str, AfterValidator(_small)]
    stream_id: Label = "default"
    done: Annotated[bool, Field(description="Whether this was the last piece of its stream.")] = False


class ChunkTaken(Document):
    """The chunk is kept."""

    status: Literal["ok"]


class StreamQuery(Query):
    """Where a stream begins: at the beginning, unless a place is given. `Last-Event-ID`, if sent, goes before both."""

    after: Annotated[Place, Field(description="The `id` of the last frame that was seen.")] = 0
    cursor: Annotated[Place | None, Field(description="The same as `after`.")] = None

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if value not in ("", [""])}

    @property
    def place(self) -> int:
        """The place, under whichever name it was given."""
        return self.after if self.cursor is None else self.cursor


StreamId = Annotated[str, StringConstraints(max_length=128)]


class ChunkStreamQuery(StreamQuery):
    """Where a stream of chunks begins, and which one it is."""

    stream_id: Annotated[StreamId | None, Field(description="Chunks of this stream alone.")] = None


class ChunksQuery(PageQuery):
    """Which chunks to list."""

    after: Annotated[Place, Field(description="Chunks after this sequence number.")] = 0
    stream_id: Annotated[StreamId | None, Field(description="Chunks of this stream alone.")] = None


class _Framed(Document):
    run_id: str
    timestamp: datetime
    position: Annotated[int, Field(description="The event's place in the project's ledger: the frame's `id`.")]
    version: Annotated[int, Field(description="The event's place in the run's history.")]
    actor: Maybe[str] = None


class StatusChangeFrame(_Framed):
    """The run's status changed."""

    type: Literal["status_change"]
    from_: Annotated[Status | None, Field(alias="from", description="Null for the event that made the run.")]
    to: Status
    job_id: str
    project_id: str
    event_type: Annotated[str, Field(description="The type of the recorded event, such as `run.retried.v1`.")]
    data: dict[str, AnyJson]
    error: Maybe[str] = None


class MessageFrame(_Framed):
    """A worker wrote to the log or reported progress, or a command reached the run in debug mode."""

    type: Literal["event"]
    event_type: Annotated[str, Field(description="`log`, `progress`, `debug`, or the worker's own word.")]
    level: str
    message: str
    data: AnyJson = None


class RunEventFrame(_Framed):
    """Anything else that was recorded of the run."""

    type: Literal["run_event"]
    event_type: Annotated[str, Field(description="The type of the recorded event, such as `run.checkpointed.v1`.")]
    data: dict[str, AnyJson]


class StreamedChunk(Document):
    """A piece of what a worker streamed; `attempt` is the one that wrote it."""

    run_id: str
    sequence: Annotated[int, Field(description="Its place among all chunks of the run: 1, 2, 3 …")]
    stream_id: str
    chunk: str
    done: bool
    attempt: int
    timestamp: datetime


class ChunkFrame(StreamedChunk):
    """A chunk, on a stream. The frame's `id` is its `sequence`."""

    type: Literal["stream_chunk"]


RunFrame = StatusChangeFrame | MessageFrame | RunEventFrame
