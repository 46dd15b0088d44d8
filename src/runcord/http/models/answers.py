"""What is answered about jobs, and about making and taking runs."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from runcord.http.models.page import Document, Maybe
from runcord.http.models.run import AnyJson, JobDependency, JobRun, RunCheckpoint
from runcord.run.status import Status

# --- jobs ---------------------------------------------------------------------------------------------


class Job(Document):
    """A job at one of its versions. Settings that are not set are left out; durations are in seconds."""

    id: str
    project_id: str
    name: str
    slug: str
    endpoint_url: Annotated[str, Field(description="Empty when workers pull.")]
    max_attempts: int
    timeout_secs: float
    enabled: bool
    version: int
    version_id: str
    last_breaking_version: int
    created_at: datetime
    updated_at: datetime
    queue_name: str
    retry_strategy: Literal["exponential", "linear", "fixed", "custom"]
    retry_initial_delay_secs: float
    retry_max_delay_secs: float
    version_policy: Literal["pin", "latest", "minor"]
    created_by: Maybe[str] = None
    description: Maybe[str] = None
    fallback_endpoint_url: Maybe[str] = None
    payload_schema: AnyJson = None
    result_schema: AnyJson = None
    tags: Maybe[dict[str, str]] = None
    default_run_metadata: Maybe[dict[str, str]] = None
    max_concurrency: Maybe[int] = None
    max_concurrency_per_key: Maybe[int] = None
    run_ttl_secs: Maybe[float] = None
    retry_delays_secs: Maybe[list[float]] = None
    backwards_compatible: Maybe[bool] = None
    group_id: Maybe[str] = None
    environment_id: Maybe[str] = None
    cron: Maybe[str] = None
    timezone: Maybe[str] = None
    execution_window_cron: Maybe[str] = None
    rate_limit_max: Maybe[int] = None
    rate_limit_window_secs: Maybe[int] = None
    dedup_window_secs: Maybe[int] = None
    skip_if_running: Maybe[bool] = None
    debounce_window_secs: Maybe[int] = None
    batch_window_secs: Maybe[int] = None
    batch_max_size: Maybe[int] = None
    execution_mode: Maybe[str] = None
    machine_preset: Maybe[str] = None
    image_uri: Maybe[str] = None
    region: Maybe[str] = None
    webhook_url: Maybe[str] = None
    has_webhook_secret: Maybe[bool] = None
    has_endpoint_signing_secret: Maybe[bool] = None
    dependencies: Maybe[list[JobDependency]] = None


class JobVersion(Job):
    """A job as one of its versions was."""

    job_id: str


class JobRefused(Document):
    """Why one job of a batch was not made; `index` is its place in the request."""

    index: int
    code: str
    message: str


class JobBatch(Document):
    """The jobs of a batch that were made, in their order, and why the others were not."""

    created: list[Job]
    errors: list[JobRefused]


class Switched(Document):
    """How many jobs are enabled, or disabled, that were not so before; what is no job of the project."""

    updated: int
    not_found: Maybe[list[str]] = None


class JobHealth(Document):
    """How the runs of a job ended in a window of time: numbers of runs, seconds, and shares of one.

    `success_rate` is completed runs ÷ those that were neither canceled nor expired; 1 if there were none.
    `health_score` is 100 × the same with timed out, crashed and system-failed runs counted twice below the line.
    Durations are of the last attempts of completed runs; 0 if there were none.
    """

    job_id: str
    window: Literal["1h", "1d", "7d", "30d"]
    since: datetime
    total_runs: int
    completed_runs: int
    failed_runs: int
    dead_letter_runs: int
    timed_out_runs: int
    crashed_runs: int
    system_failed_runs: int
    canceled_runs: int
    expired_runs: int
    success_rate: float
    avg_duration_secs: float
    p95_duration_secs: float
    health_score: float


# --- making runs --------------------------------------------------------------------------------------


class TriggeredRun(JobRun):
    """The run that answers for a trigger, with the token that speaks for it.

    With `debounced` or `buffered` it waits for further triggers until `fire_at`; `run_id` is its id once more. With
    `batch` it has just been filled. What a batch has gathered, its `payload`, is left out of these answers.
    """

    payload_hash: Annotated[str, Field(description="Of the payload that was sent, as JSON with sorted keys.")]
    run_token: str
    idempotency_hit: Annotated[bool, Field(description="The run was found by the idempotency key.")]
    deduplicated: Maybe[Literal[True]] = None
    debounced: Maybe[Literal[True]] = None
    buffered: Maybe[Literal[True]] = None
    batch: Maybe[Literal[True]] = None
    fire_at: Maybe[datetime] = None
    run_id: Maybe[str] = None


class Validation(Document):
    """Whether a payload fits."""

    valid: bool
    problems: list[str]


class Rehearsal(Document):
    """What a trigger would do."""

    job: Job
    payload: AnyJson
    payload_hash: str
    validation: Validation
    validation_warnings: Maybe[list[str]] = None
    scheduled_at: Maybe[datetime] = None
    expires_at: Maybe[datetime] = None


class BatchItem(Document):
    """What became of one item of a bulk trigger."""

    id: str
    status: Status
    run_token: str
    idempotency_hit: bool
    deduplicated: Maybe[Literal[True]] = None


class Batch(Document):
    """What became of a bulk trigger; results are in the order of the items."""

    batch_id: str
    results: list[BatchItem]
    total: int
    created: int


# --- taking and settling runs -------------------------------------------------------------------------


class PreviousError(Document):
    """How the attempt before ended."""

    message: str
    type: Maybe[str] = None
    stack: Maybe[str] = None
    details: AnyJson = None


class ReceivedEvent(Document):
    """What the run had waited for."""

    event_key: str
    payload: AnyJson


class Claimed(Document):
    """A run that was taken, and what its earlier attempts left for this one."""

    run: JobRun
    run_token: str
    lease_expires_at: datetime
    checkpoint: Maybe[RunCheckpoint] = None
    event: Maybe[ReceivedEvent] = None
    previous_error: Maybe[PreviousError] = None


class Claims(Document):
    """The runs that were taken; none when nothing came in time."""

    data: list[Claimed]


class Refusal(Document):
    """Why one of many was refused."""

    code: str
    message: str


class Settled(Document):
    """What became of one settlement; `status` is the run's, or `not_found`."""

    run_id: str
    status: str
    error: Maybe[Refusal] = None


class Settlements(Document):
    """What became of all settlements, in their order."""

    results: list[Settled]


class Heartbeat(Document):
    """The lease as it was moved, and whether somebody wants the attempt to stop."""

    status: Literal["ok"]
    lease_expires_at: Maybe[datetime] = None
    cancel_requested: bool
    pause_requested: bool


class EventWait(Document):
    """What the run waits for."""

    status: Literal["waiting"]
    event_key: str
    expires_at: datetime
    trigger_id: str
