"""Runs in requests and in answers, and what their workers left on record."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import WithJsonSchema

from runcord.http.models.page import DIGITS, Document, Maybe, PageQuery, QueryTime, split
from runcord.http.models.value import Json, Time
from runcord.http.operation import Body, Query
from runcord.projecting.time_travel import LAST_VERSION
from runcord.run.status import Status

# --- requests -----------------------------------------------------------------------------------------

Preset = Literal["micro", "small-1x", "small-2x", "medium-1x", "medium-2x", "large-1x", "large-2x"]
"""What a restarted run should run on, by Strait's names."""

VersionNumber = Annotated[int, Field(ge=1, le=LAST_VERSION), DIGITS]

VersionOrNone = Annotated[int, Field(ge=0, le=LAST_VERSION), DIGITS]
"""A version, or 0 for before there was any."""

Position = Annotated[int, Field(ge=1, le=2**53), DIGITS]

Reason = Annotated[str, Field(min_length=1, max_length=1024)]


class StatsQuery(Query):
    """Which runs to count."""

    job_id: Annotated[str | None, Field(max_length=128)] = None


class RunQuery(Query):
    """Which state of the run to answer: the present one, or one by its version, the ledger's position, or a time."""

    version: Annotated[VersionNumber | None, Field(description="The run as its event of this number left it.")] = None
    position: Annotated[
        Position | None, Field(description="The run as it was when the ledger was at this position.")
    ] = None
    at: Annotated[QueryTime | None, Field(description="The run as it was at this time (RFC 3339, with a zone).")] = None

    @model_validator(mode="after")
    def _is_one_moment(self) -> "RunQuery":
        if sum(given is not None for given in (self.version, self.position, self.at)) > 1:
            raise ValueError("give one of version, position and at: each names a moment")
        return self


class DiffQuery(Query):
    """Which two versions to compare."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=True)

    before: Annotated[
        VersionOrNone | None,
        Field(alias="from", description="A version; 0 is before there was a run. The one before `to` when missing."),
    ] = None
    after: Annotated[
        VersionNumber | None, Field(alias="to", description="A version. The present one when missing.")
    ] = None


class ReplayQuery(Query):
    """Where the new run begins."""

    from_checkpoint: Annotated[VersionNumber | None, Field(description="The sequence number of a checkpoint.")] = None


class MessagesQuery(PageQuery):
    """Which messages of a run to list."""

    level: Annotated[str | None, Field(max_length=64)] = None
    type: Annotated[str | None, Field(max_length=64)] = None


class CancelBody(Body):
    """Why the run is cancelled."""

    reason: Reason = "canceled by user"


class PauseBody(Body):
    """Why the run is paused."""

    reason: Reason | None = None


class RestartBody(Body):
    """On what the run should run."""

    machine_preset: Preset | None = None


class RescheduleBody(Body):
    """When the run is due, and its new payload; without that member it keeps the one it has."""

    scheduled_at: Time
    payload: Json = None


class DebugBody(Body):
    """Whether debug mode is on."""

    debug_mode: Annotated[bool, Field(strict=True)] = False


# --- answers ------------------------------------------------------------------------------------------

AnyJson = Annotated[Any, WithJsonSchema({})]
"""A JSON value that only its author understands."""


class Wait(Document):
    """What a waiting run waits for, and until when."""

    kind: Literal["worker", "event", "child", "dependency"]
    since: datetime
    until: Maybe[datetime] = None
    event_key: Maybe[str] = None
    trigger_id: Maybe[str] = None
    child_run_id: Maybe[str] = None
    reason: Maybe[str] = None


class ExecutionTrace(Document):
    """How long the steps of the last attempt took, in milliseconds; those of the exchange are 0 when workers pull."""

    queue_wait_ms: Annotated[int, Field(description="From when the run was due until it was claimed.")]
    dequeue_ms: Annotated[int, Field(description="From the claim until the work, or the request, began.")]
    connect_ms: Annotated[int, Field(description="Name, connection and TLS handshake.")]
    ttfb_ms: Annotated[int, Field(description="From the connection to the first byte of the answer.")]
    transfer_ms: Annotated[int, Field(description="From the first byte of the answer to its last.")]
    total_ms: Annotated[int, Field(description="From when the run was due until the attempt's end was recorded.")]
    dispatch_ms: Annotated[int, Field(description="The whole exchange, with that before a fallback.")]


class Window(Document):
    """What gathers further triggers in a delayed run, and how many it has gathered."""

    kind: Literal["debounce", "batch"]
    key: str
    size: int


class JobRun(Document):
    """A run. Members that have nothing to say are left out."""

    id: str
    job_id: str
    project_id: str
    status: Status
    attempt: int
    triggered_by: str
    priority: int
    job_version: int
    debug_mode: bool
    lineage_depth: int
    created_at: datetime
    updated_at: datetime
    version: Annotated[int, Field(description="The number of the run's last event; also its ETag.")]
    round: Annotated[int, Field(description="Counts from 1; a replayed dead letter begins the next one.")]
    job_slug: str
    queue: str
    payload: AnyJson = None
    result: AnyJson = None
    error: Maybe[str] = None
    error_class: Maybe[str] = None
    scheduled_at: Maybe[datetime] = None
    started_at: Maybe[datetime] = None
    finished_at: Maybe[datetime] = None
    next_retry_at: Maybe[datetime] = None
    expires_at: Maybe[datetime] = None
    parent_run_id: Maybe[str] = None
    idempotency_key: Maybe[str] = None
    continuation_of: Maybe[str] = None
    continued_as: Maybe[str] = None
    replay_of: Maybe[str] = None
    replay_checkpoint: Maybe[int] = None
    replayed_as: Maybe[str] = None
    created_by: Maybe[str] = None
    batch_id: Maybe[str] = None
    concurrency_key: Maybe[str] = None
    worker_id: Maybe[str] = None
    machine_preset: Maybe[str] = None
    output_type: Maybe[str] = None
    tags: Maybe[dict[str, str]] = None
    metadata: Maybe[dict[str, str]] = None
    max_attempts_override: Maybe[int] = None
    timeout_secs_override: Maybe[float] = None
    retry_backoff: Maybe[str] = None
    retry_initial_delay_secs: Maybe[float] = None
    retry_max_delay_secs: Maybe[float] = None
    checkpoint_count: Maybe[int] = None
    execution_trace: Maybe[ExecutionTrace] = None
    wait: Maybe[Wait] = None
    window: Maybe[Window] = None


class RunStats(Document):
    """How many runs there are, in all and by status; statuses that no run has are left out."""

    by_status: dict[Status, int]
    total: int


class DebugMode(Document):
    """Whether a run is in debug mode."""

    run_id: str
    debug_mode: bool


class DebugSet(Document):
    """What debug mode was set to."""

    status: Literal["ok"]
    debug_mode: bool


class IdempotencyReset(Document):
    """The run gave its idempotency key up."""

    status: Literal["reset"]
    run_id: str


class RunEvent(Document):
    """A log line or a report of progress of a worker, or a command that reached the run in debug mode."""

    id: str
    run_id: str
    type: str
    message: str
    created_at: datetime
    level: Maybe[str] = None
    data: AnyJson = None


class RunCheckpoint(Document):
    """Where a worker was; `sequence` counts from 1."""

    id: str
    run_id: str
    sequence: int
    source: str
    state: AnyJson
    created_at: datetime


class RunUsage(Document):
    """The use of a model; cost in millionths of a US dollar."""

    id: str
    run_id: str
    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_microusd: int
    created_at: datetime


class RunToolCall(Document):
    """A call of a tool."""

    id: str
    run_id: str
    tool_name: str
    status: str
    created_at: datetime
    input: AnyJson = None
    output: AnyJson = None
    duration_ms: Maybe[int] = None


class RunOutput(Document):
    """The present value of a named output."""

    id: str
    run_id: str
    output_key: str
    value: AnyJson
    created_at: datetime
    schema_: AnyJson = Field(default=None, alias="schema")


class RunState(Document):
    """The present value of a state key."""

    run_id: str
    state_key: str
    value: AnyJson
    updated_at: datetime


class DebugBundle(Document):
    """A run with everything that its workers left on record; the newest of each kind, oldest first for events."""

    run: JobRun
    events: list[RunEvent]
    checkpoints: list[RunCheckpoint]
    usage: list[RunUsage]
    tool_calls: list[RunToolCall]
    outputs: list[RunOutput]


class JobDependency(Document):
    """A job that another one depends on: what the latest ending of its runs has to be."""

    id: str
    job_id: str
    depends_on_job_id: str
    condition: Literal["completed", "failed", "any"]
    created_at: datetime


class RunDependency(JobDependency):
    """A dependency as it stands for one run; `upstream_…` tell the latest ending that counts for the run, if any."""

    satisfied: bool
    upstream_run_id: Maybe[str] = None
    upstream_status: Maybe[Status] = None


class DependencyStatus(Document):
    """What the run's job depends on, and whether all of it holds, or held when the run was queued."""

    run_id: str
    job_id: str
    status: Status
    dependencies: list[RunDependency]
    dependencies_satisfied: bool


class HistoryEvent(Document):
    """One event of a history. `data` leaves out members that have their default value."""

    version: Annotated[int, Field(description="Its place in the history: 1, 2, 3 … without a hole.")]
    position: Annotated[int, Field(description="Its place in the project's ledger.")]
    event_id: str
    recorded_at: datetime
    type: str
    data: dict[str, AnyJson]
    actor: Maybe[str] = None
    request_id: Maybe[str] = None
    trace: Maybe[str] = None
    causation: Maybe[str] = None


class PatchOperation(Document):
    """One step from the one to the other (RFC 6902)."""

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: str
    source: Annotated[Maybe[str], Field(alias="from")] = None
    value: Maybe[AnyJson] = None


class RunChange(Document):
    """What became of one member of the run. A member that is not there is not told: `before` of one that is new."""

    member: str
    before: Maybe[AnyJson] = None
    after: Maybe[AnyJson] = None
    text: Annotated[str, Field(description="The change for people: `status: queued → executing`.")]


class RunDiff(Document):
    """The difference between two versions of a run, as programs and as people read it."""

    run_id: str
    before: Annotated[int, Field(alias="from")]
    after: Annotated[int, Field(alias="to")]
    patch: Annotated[list[PatchOperation], Field(description="JSON Patch that makes the one run of the other.")]
    changes: Annotated[list[RunChange], Field(description="The same by the members of the run.")]
    events: Annotated[list[str], Field(description="The types of the events in between, in their order.")]


class HistoryQuery(PageQuery):
    """Which part of a history to list."""

    after: Annotated[int, Field(ge=0, le=LAST_VERSION, description="Events after this version."), DIGITS] = 0
    types: Annotated[
        list[str] | None,
        BeforeValidator(split),
        Field(max_length=64, description="Types of events, with or without their version: `run.retried`."),
    ] = None
    actor: Annotated[
        str | None, Field(max_length=256, description="Who caused them: `apikey:…`, `run:…`, `scheduler`.")
    ] = None
    request_id: Annotated[
        str | None, Field(max_length=128, description="In which request: the `X-Request-ID` of its answer.")
    ] = None
