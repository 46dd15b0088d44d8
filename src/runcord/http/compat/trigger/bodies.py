"""What Trigger.dev's clients send (`spec/trigger.md` §2)."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from runcord.http.compat.trigger.body import LenientBody
from runcord.http.models.value import INT32_MAX, MAX_SECS, Json
from runcord.run.metadata import MetadataOperation

MOST_ITEMS = 1000
MOST_RUN_IDS = 500
MOST_KEY_BYTES = 2048
"""An index takes no longer keys."""


def _indexable(key: str) -> str:
    if len(key.encode()) > MOST_KEY_BYTES:
        raise ValueError(f"should have at most {MOST_KEY_BYTES:,} bytes in UTF-8: send a hash of it")
    return key


Task = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_indexable)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Texts = str | list[str]
"""One, or several."""
Object = dict[str, Json]
Attempts = Annotated[int, Field(ge=1, le=1000)]
Span = Annotated[str, StringConstraints(max_length=64)] | Annotated[int, Field(ge=0, le=MAX_SECS)]
"""A duration as text, or whole seconds."""


class Queue(LenientBody):
    """The queue that a run is put into."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class GivenKey(LenientBody):
    """What the user wrote for the idempotency key, of which the client sends a hash."""

    key: str | list[str] | None = None
    scope: str | None = None


class Debounce(LenientBody):
    """Which triggers are to be gathered into one run, for how long, and which of them says what it is."""

    key: Annotated[str, StringConstraints(max_length=512)]
    delay: Annotated[str, StringConstraints(max_length=64)]
    mode: Literal["leading", "trailing"] = "leading"
    maxDelay: Annotated[str, StringConstraints(max_length=64)] | None = None


class TriggerOptions(LenientBody):
    """How a run is wanted."""

    payloadType: Short | None = None
    idempotencyKey: Key | None = None
    idempotencyKeyTTL: str | None = None
    idempotencyKeyOptions: GivenKey | None = None
    queue: Queue | None = None
    concurrencyKey: Short | int | float | None = None
    delay: Annotated[str, StringConstraints(max_length=64)] | None = None
    ttl: Span | None = None
    tags: Texts | None = None
    metadata: Object | None = None
    maxAttempts: Attempts | None = None
    maxDuration: Annotated[float, Field(gt=0, le=MAX_SECS)] | None = None
    priority: Annotated[float, Field(ge=0, le=INT32_MAX)] | None = None
    machine: Json = None
    region: Short | None = None
    lockToVersion: Short | None = None
    test: bool | None = None
    parentRunId: Short | None = None
    debounce: Debounce | None = None


class TriggerTaskBody(LenientBody):
    """One run to be made. The payload is a text of the type that the options name, or plain JSON."""

    payload: Json = None
    options: TriggerOptions | None = None


class BatchItemBody(TriggerTaskBody):
    """One run of a batch; where items come in several requests, with its place in the batch."""

    task: Task


class NumberedItemBody(BatchItemBody):
    """One run of a batch that was opened before, and its place in it."""

    index: Annotated[int, Field(ge=0, lt=MOST_ITEMS)]


class BatchBody(LenientBody):
    """A whole batch."""

    items: Annotated[list[BatchItemBody], Field(min_length=1, max_length=MOST_ITEMS)]


class OpenBatchBody(LenientBody):
    """A batch to be given its items later."""

    runCount: Annotated[int, Field(ge=1, le=MOST_ITEMS)]
    taskIdentifiers: Annotated[list[Task], Field(max_length=MOST_ITEMS)] | None = None
    idempotencyKey: Key | None = None


class ReplayTaskBody(LenientBody):
    """What the new run has otherwise than the old one."""

    payload: Json = None
    payloadType: Short | None = None
    metadata: Object | None = None
    tags: Texts | None = None
    queue: Annotated[str, StringConstraints(min_length=1, max_length=128)] | Queue | None = None
    concurrencyKey: Short | int | float | None = None
    machine: Json = None
    version: Short | None = None
    region: Short | None = None
    delay: Annotated[str, StringConstraints(max_length=64)] | None = None
    ttl: Span | None = None
    idempotencyKey: Key | None = None
    idempotencyKeyTTL: str | None = None
    maxAttempts: Attempts | None = None
    maxDuration: Annotated[float, Field(gt=0, le=MAX_SECS)] | None = None
    priority: Annotated[float, Field(ge=0, le=INT32_MAX)] | None = None


class RescheduleTaskBody(LenientBody):
    """When the run is due: a time, or a duration from now."""

    delay: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class TagsBody(LenientBody):
    """Tags to be added."""

    tags: Texts


class OperationBody(LenientBody):
    """One operation on metadata."""

    type: Literal["set", "delete", "append", "remove", "increment", "update"]
    key: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    value: Json = None

    @property
    def operation(self) -> MetadataOperation:
        """The operation as the run records it."""
        return MetadataOperation(self.type, self.key, self.value)


Operations = Annotated[list[OperationBody], Field(max_length=10_000)]


class MetadataBody(LenientBody):
    """New metadata, operations on it, or both: the operations come after."""

    metadata: Object | None = None
    operations: Operations | None = None
    parentOperations: Operations | None = None
    rootOperations: Operations | None = None


class ResetKeyBody(LenientBody):
    """Whose key it is."""

    taskIdentifier: Task


class BulkFilter(LenientBody):
    """Which runs are meant: those for which everything given holds."""

    status: Texts | None = None
    taskIdentifier: Texts | None = None
    version: Texts | None = None
    tag: Texts | None = None
    queue: Any = None
    machine: Texts | None = None
    region: Texts | None = None
    batch: str | None = None
    schedule: str | None = None
    bulkAction: str | None = None
    isTest: bool | None = None
    to: Annotated[Any, Field(description="A time, as text or in milliseconds since 1970.")] = None
    since: Annotated[Any, Field(alias="from", description="As `to`.")] = None
    period: Annotated[str, StringConstraints(max_length=64)] | None = None


class BulkActionBody(LenientBody):
    """An action on the runs named, or on those of a filter."""

    action: Literal["cancel", "replay"]
    runIds: Annotated[list[Short], Field(min_length=1, max_length=MOST_RUN_IDS)] | None = None
    filter: BulkFilter | None = None
    name: Annotated[str, StringConstraints(max_length=256)] | None = None
