"""What workers say: when they take runs, about the run they work on, and when they settle many."""

from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field, WithJsonSchema, model_validator

from runcord.http.models.rules import exactly_one, given_if, or_flat, or_text, ruled
from runcord.http.models.value import (
    BigCount,
    EventKey,
    Json,
    Label,
    LeaseSecs,
    Line,
    Metadata,
    Positive,
    PositiveSecs,
    Priority,
    Ref,
    Secs,
    SmallJson,
    StateKey,
    Tags,
    Text,
    Time,
    Url,
)
from runcord.http.operation import Body
from runcord.queue.claims import MAX_CLAIM
from runcord.run.events import Failure

MAX_MESSAGE = 10_000
MAX_STACK = 64 * 1024


class DequeueBody(Body):
    """Which runs a worker takes, how many, and how long it waits for the first."""

    worker_id: Label
    jobs: Annotated[list[Ref], Field(min_length=1, max_length=1000)] | None = None
    queues: Annotated[list[Label], Field(min_length=1, max_length=1000)] | None = None
    run_id: Ref | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_CLAIM)] = 1
    wait_secs: Annotated[float, Field(ge=0, le=60)] = 0
    lease_secs: LeaseSecs = 60
    start: bool = False


_TEXT = {"type": "string"}


class ErrorReport(Body):
    """What went wrong, in the worker's words. Unknown members are kept as details.

    What is too long is cut and not refused: a failure that is not recorded is worse than one told in part.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=or_text)

    message: Annotated[Text, WithJsonSchema(_TEXT)]
    type: Label | None = None
    stack: Annotated[Annotated[str, Field(max_length=MAX_STACK)], WithJsonSchema(_TEXT)] | None = None
    details: Json = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"message": value}
        if isinstance(value, dict):
            return _cut(cast(dict[str, Any], value))
        return value

    def failure(self) -> Failure:
        """Return it as the run keeps it."""
        details, unknown = self.details, self.model_extra
        if unknown:
            known: dict[str, Any] = details if isinstance(details, dict) else {"details": details}  # pyright: ignore[reportUnknownVariableType]
            details = {**unknown, **known} if details is not None else unknown
        return Failure(self.message, self.type, self.stack, details)


def _cut(error: dict[str, Any]) -> dict[str, Any]:
    """Return an error whose message and stack have the lengths they may; a long message stays whole as the stack."""
    message, stack = error.get("message"), error.get("stack")
    if isinstance(message, str) and len(message) > MAX_MESSAGE:
        error = {**error, "message": f"{message[: MAX_MESSAGE - 1]}…", "stack": stack or message}
        stack = error["stack"]
    if isinstance(stack, str) and len(stack) > MAX_STACK:
        error = {**error, "stack": f"{stack[: MAX_STACK - 1]}…"}
    return error


class Settlement(Body):
    """How one attempt ended."""

    model_config = ruled(given_if("error", "status", "failed"))

    run_id: Ref
    attempt: Positive
    status: Literal["completed", "failed"]
    result: Json = None
    output_type: Line | None = None
    error: ErrorReport | None = None
    retryable: bool = True
    retry_after_secs: Secs | None = None
    run_token: Annotated[str, Field(max_length=4096)] | None = None
    fence: Positive | None = None

    @model_validator(mode="after")
    def _says_why(self) -> "Settlement":
        if self.status == "failed" and self.error is None:
            raise ValueError("a failed attempt needs an error")
        return self


class SettleBody(Body):
    """How many attempts ended, each on its own."""

    settlements: Annotated[list[Settlement], Field(min_length=1, max_length=1000)]


class HeartbeatBody(Body):
    """A sign of life."""

    lease_secs: LeaseSecs | None = None


class CompleteBody(Body):
    """The result of the run."""

    result: Json = None
    output_type: Line | None = None


class FailBody(Body):
    """Why the attempt failed."""

    error: ErrorReport
    retryable: bool = True
    retry_after_secs: Secs | None = None


class ReleaseBody(Body):
    """Why the attempt is given back, and when it may be taken again."""

    reason: Line | None = None
    delay_secs: Secs = 0


class WaitBody(Body):
    """Why the attempt waits, and until when it is to be queued again."""

    reason: Line | None = None
    until: Time | None = None


class NoBody(Body):
    """Nothing."""


class CheckpointBody(Body):
    """Where the work is."""

    state: Json
    source: Label = "sdk"


class ProgressBody(Body):
    """How far the work is."""

    percent: Annotated[float, Field(ge=0, le=100)]
    message: Text | None = None
    step: Line | None = None
    eta_seconds: Secs | None = None
    eta_secs: Annotated[Secs | None, Field(description="The same as `eta_seconds`.")] = None


class LogBody(Body):
    """A line of the log."""

    message: Text
    level: Label = "info"
    type: Label = "log"
    data: Json = None


class AnnotateBody(Body):
    """Metadata to be merged into the run's: under `annotations`, or as the body itself."""

    model_config = ConfigDict(json_schema_extra=or_flat("annotations"))

    annotations: Annotated[Metadata, Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _from_flat(cls, value: Any) -> Any:
        if isinstance(value, dict) and value and not isinstance(value.get("annotations"), dict):  # pyright: ignore[reportUnknownMemberType]
            return {"annotations": value}  # pyright: ignore[reportUnknownVariableType]
        return value  # pyright: ignore[reportUnknownVariableType]


class TagsBody(Body):
    """Tags to be merged into the run's."""

    tags: Annotated[Tags, Field(min_length=1)]


class UsageBody(Body):
    """What a call of a model used."""

    provider: Label
    model: Label
    prompt_tokens: BigCount = 0
    completion_tokens: BigCount = 0
    total_tokens: BigCount | None = None
    cost_microusd: BigCount = 0


class ToolCallBody(Body):
    """A call of a tool."""

    tool_name: Label
    status: Label = "completed"
    input: Json = None
    output: Json = None
    duration_ms: BigCount | None = None


class OutputBody(Body):
    """A named output; `key` is another name for `output_key`."""

    model_config = ruled(exactly_one("output_key", "key"))

    output_key: Annotated[StateKey | None, Field(description="Required, here or as `key`.")] = None
    key: StateKey | None = None
    value: Json
    schema_: Annotated[Json, Field(alias="schema")] = None

    @model_validator(mode="after")
    def _has_one_key(self) -> "OutputBody":
        if (self.output_key is None) == (self.key is None):
            raise ValueError("output_key is required (or key, which means the same; not both)")
        return self

    @property
    def name(self) -> str:
        """The key, under whichever name it was given."""
        return self.output_key or self.key or ""


class StateBody(Body):
    """A state key and its value."""

    key: StateKey
    value: SmallJson


class SpawnBody(Body):
    """A child run to be made."""

    model_config = ruled(exactly_one("job_slug", "job_id"))

    job_slug: Ref | None = None
    job_id: Ref | None = None
    project_id: Ref | None = None
    payload: Json = None
    priority: Priority = 0
    tags: Tags | None = None
    metadata: Metadata | None = None
    delay_secs: Secs | None = None
    ttl_secs: PositiveSecs | None = None
    concurrency_key: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    await_completion: bool = False
    await_timeout_secs: PositiveSecs | None = None

    @model_validator(mode="after")
    def _names_one_job(self) -> "SpawnBody":
        if (self.job_slug is None) == (self.job_id is None):
            raise ValueError("job_slug is required (or job_id; not both)")
        return self


class ContinueBody(Body):
    """The payload of the next run of the chain; this run's unless given."""

    payload: Json = None


class WaitForEventBody(Body):
    """The event to wait for."""

    event_key: EventKey
    timeout_secs: PositiveSecs = 3600
    notify_url: Url | None = None
