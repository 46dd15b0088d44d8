"""What Trigger.dev's clients are answered, for the OpenAPI document (`spec/trigger.md` §3)."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from runcord.http.models.page import Document, Maybe
from runcord.http.models.run import AnyJson

Count = Annotated[int, Field(ge=0)]


class TriggeredTask(Document):
    """The run that answers for a trigger; `isCached` if it was there before."""

    id: str
    isCached: bool


class RunId(Document):
    """A run."""

    id: str


class SerializedError(Document):
    """What went wrong."""

    message: str
    name: Maybe[str] = None
    stackTrace: Maybe[str] = None


class _Common(Document):
    id: str
    status: str
    taskIdentifier: str
    isQueued: bool
    isExecuting: bool
    isWaiting: bool
    isCompleted: bool
    isSuccess: bool
    isFailed: bool
    isCancelled: bool
    isTest: bool
    createdAt: datetime
    updatedAt: datetime
    startedAt: Maybe[datetime] = None
    finishedAt: Maybe[datetime] = None
    delayedUntil: Maybe[datetime] = None
    expiredAt: Maybe[datetime] = None
    tags: list[str]
    costInCents: float
    baseCostInCents: float
    durationMs: float
    ttl: Maybe[str] = None
    idempotencyKey: Maybe[str] = None
    version: Maybe[str] = None
    region: Maybe[str] = None
    metadata: Maybe[dict[str, AnyJson]] = None


class Environment(Document):
    """The project, as the environment that it is there."""

    id: str
    name: str


class TaskRunItem(_Common):
    """A run in a list."""

    env: Environment


class RelatedTaskRun(_Common):
    """A run of the same family."""

    depth: int
    triggerFunction: str
    batchId: Maybe[str] = None


class RelatedRuns(Document):
    """The family of a run: of its children the oldest hundred."""

    root: Maybe[RelatedTaskRun] = None
    parent: Maybe[RelatedTaskRun] = None
    children: list[RelatedTaskRun]


class TaskRun(RelatedTaskRun):
    """A whole run."""

    attempts: list[Any]
    attemptCount: Count
    relatedRuns: RelatedRuns
    payload: AnyJson = None
    output: AnyJson = None
    error: Maybe[SerializedError] = None


class Pagination(Document):
    """The cursors of the pages around this one."""

    next: Maybe[str] = None
    previous: Maybe[str] = None


class TaskRuns(Document):
    """A page of runs, newest first."""

    data: list[TaskRunItem]
    pagination: Pagination


class TaskRunResult(Document):
    """What a finished run came to: its output as a packet, or its error."""

    ok: bool
    id: str
    taskIdentifier: str
    output: Maybe[str] = None
    outputType: Maybe[str] = None
    error: Maybe[dict[str, AnyJson]] = None


class BatchResults(Document):
    """What the runs of a batch came to."""

    id: str
    items: list[TaskRunResult]


class RunMetadata(Document):
    """The metadata of a run."""

    metadata: dict[str, AnyJson]


class Said(Document):
    """What was done, in words."""

    message: str


class FreedKey(Document):
    """The key that was freed."""

    id: str


class OpenedBatch(Document):
    """A batch. `isCached` if all its items have their runs already: then there is nothing to send."""

    id: str
    runCount: int
    isCached: bool
    idempotencyKey: Maybe[str] = None


class TakenItems(Document):
    """What became of items: `sealed` once the batch has all."""

    id: str
    itemsAccepted: int
    itemsDeduplicated: int
    sealed: bool
    enqueuedCount: int
    expectedCount: int


class BatchRun(Document):
    """The run that answers for an item."""

    id: str
    taskIdentifier: str
    isCached: bool
    idempotencyKey: Maybe[str] = None


class TriggeredBatch(Document):
    """A batch and its runs."""

    id: str
    isCached: bool
    idempotencyKey: Maybe[str] = None
    runs: list[BatchRun]


class CountedBatch(Document):
    """A batch and how many runs it has."""

    id: str
    runCount: int


class BatchProcessing(Document):
    """What went wrong with items: nothing, as all of a request are taken or none."""

    errors: list[Any]


class TaskBatch(Document):
    """A batch."""

    id: str
    status: Literal["PENDING", "PROCESSING", "COMPLETED"]
    createdAt: datetime
    updatedAt: datetime
    runCount: int
    runs: list[str]
    idempotencyKey: Maybe[str] = None
    processing: Maybe[BatchProcessing] = None


class BulkCounts(Document):
    """How many runs a bulk action has, and what became of them."""

    total: Count
    success: Count
    failure: Count


class BulkAction(Document):
    """A bulk action."""

    id: str
    type: Literal["CANCEL", "REPLAY"]
    status: Literal["PENDING", "COMPLETED", "ABORTED"]
    counts: BulkCounts
    createdAt: datetime
    name: Maybe[str] = None
    completedAt: Maybe[datetime] = None


class BulkActions(Document):
    """A page of bulk actions, newest first."""

    data: list[BulkAction]
    pagination: Pagination


class BulkActionId(Document):
    """A bulk action."""

    id: str


class DownloadAddress(Document):
    """Where a packet is, for an hour."""

    presignedUrl: str


class UploadAddress(DownloadAddress):
    """Where a packet can be uploaded, for an hour, and how a trigger names it then."""

    storagePath: str


class Nothing(Document):
    """It was done."""


class _Span(Document):
    runId: str
    parentId: Maybe[str] = None
    message: str
    startTime: datetime
    duration: float
    isError: bool
    isPartial: bool
    isCancelled: bool
    level: str
    attemptNumber: Maybe[int] = None


class SpanData(Document):
    """What a span tells."""

    message: str
    startTime: datetime
    duration: float
    isError: bool
    isPartial: bool
    isCancelled: bool
    level: str
    taskSlug: Maybe[str] = None
    queueName: Maybe[str] = None
    events: list[AnyJson]
    properties: dict[str, AnyJson]


class SpanNode(Document):
    """A span and those below it; durations are in milliseconds."""

    id: str
    parentId: Maybe[str] = None
    runId: str
    data: SpanData
    children: list["SpanNode"]


class TraceTree(Document):
    """The spans of a run."""

    traceId: str
    rootSpan: SpanNode


class Trace(Document):
    """The run, its attempts and the runs that it spawned."""

    trace: TraceTree


class LeanSpan(_Span):
    """A span in a page."""

    id: str


class AttemptFailure(Document):
    """An attempt that failed."""

    spanId: str
    attemptNumber: int
    runId: str


class TracePage(Document):
    """A page of spans, each after the one that it is below."""

    data: list[LeanSpan]
    attemptFailures: list[AttemptFailure]
    pagination: Pagination


class TraceEvent(_Span):
    """A span in a list."""

    spanId: str


class TraceEvents(Document):
    """The spans of a run."""

    events: list[TraceEvent]


class SpawnedRun(Document):
    """A run that was spawned."""

    runId: str
    taskIdentifier: str
    status: str
    createdAt: datetime


class SpanDetail(Document):
    """A span."""

    spanId: str
    parentId: str | None
    runId: str
    message: str
    isError: bool
    isPartial: bool
    isCancelled: bool
    level: str
    startTime: datetime
    durationMs: float
    properties: dict[str, AnyJson]
    events: list[AnyJson]
    entityType: str
    triggeredRuns: Maybe[list[SpawnedRun]] = None
