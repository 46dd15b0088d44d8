"""What the server answers, as typed models.

Members that this version does not know are kept (`model_extra`), so a newer server does no harm. Values that only
their author understands (payloads, results, states) are plain JSON values.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

FINISHED = frozenset(
    {"completed", "failed", "timed_out", "crashed", "system_failed", "canceled", "expired", "dead_letter"}
)
"""The statuses in which a run stays until somebody replays it."""


class Model(BaseModel):
    """Read leniently and stay as read."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Run(Model):
    """Show a run at one version."""

    id: str
    job_id: str
    project_id: str
    status: str
    attempt: int
    created_at: datetime
    version: int | None = None
    round: int = 1
    job_slug: str | None = None
    worker_id: str | None = None
    triggered_by: str | None = None
    priority: int = 0
    job_version: int | None = None
    job_version_id: str | None = None
    debug_mode: bool = False
    lineage_depth: int = 0
    payload: Any = None
    result: Any = None
    error: Any = None
    error_class: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    heartbeat_at: datetime | None = None
    next_retry_at: datetime | None = None
    expires_at: datetime | None = None
    parent_run_id: str | None = None
    continuation_of: str | None = None
    batch_id: str | None = None
    replay_of: str | None = None
    replayed_as: str | None = None
    idempotency_key: str | None = None
    concurrency_key: str | None = None
    created_by: str | None = None
    max_attempts_override: int | None = None
    timeout_secs_override: float | None = None
    retry_backoff: str | None = None
    retry_initial_delay_secs: float | None = None
    retry_max_delay_secs: float | None = None
    execution_trace: dict[str, int] | None = None

    @property
    def finished(self) -> bool:
        """Say whether nothing more happens to the run by itself. A dead letter counts, a paused run does not."""
        return self.status in FINISHED


class TriggeredRun(Run):
    """Show the run that answers for a trigger.

    An earlier trigger had made it with `idempotency_hit` (the same key) and `deduplicated` (the same payload). It waits
    for further triggers until `fire_at` with `debounced` and `buffered`; with `batch`, this trigger has filled it.
    """

    run_token: str | None = None
    payload_hash: str | None = None
    idempotency_hit: bool = False
    deduplicated: bool = False
    debounced: bool = False
    buffered: bool = False
    batch: bool = False
    fire_at: datetime | None = None


class Rehearsal(Model):
    """Show what a trigger would do; `scheduled_at` and `expires_at` are left out when there is no such time."""

    job: "Job"
    payload: Any = None
    payload_hash: str
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    validation_warnings: list[str] = Field(default_factory=list[str])


class BatchItem(Model):
    """Say what became of one item of a bulk trigger."""

    id: str
    status: str
    run_token: str | None = None
    idempotency_hit: bool = False
    deduplicated: bool = False


class Batch(Model):
    """Show a bulk trigger: its results are in the order of its items."""

    batch_id: str
    results: list[BatchItem]
    total: int
    created: int


class JobDependency(Model):
    """Show that runs of a job wait for another job's."""

    id: str
    job_id: str
    depends_on_job_id: str
    condition: str
    created_at: datetime


class RunDependency(JobDependency):
    """Show a dependency as it stands for one run, with the latest ending that counts for it."""

    satisfied: bool
    upstream_run_id: str | None = None
    upstream_status: str | None = None


class DependencyStatus(Model):
    """Show what a run's job depends on, and whether all of it holds."""

    run_id: str
    job_id: str
    status: str
    dependencies: list[RunDependency]
    dependencies_satisfied: bool


class JobHealth(Model):
    """Show how the runs of a job ended within a window; durations in seconds, `health_score` from 0 to 100."""

    job_id: str
    window: str
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


class Switched(Model):
    """Say how many jobs were enabled or disabled that were not so before, and which are not there."""

    updated: int
    not_found: list[str] = Field(default_factory=list)


class Job(Model):
    """Show a job at its latest version."""

    id: str
    project_id: str
    name: str
    slug: str
    version: int
    created_at: datetime
    updated_at: datetime
    enabled: bool = True
    description: str | None = None
    endpoint_url: str | None = None
    queue_name: str | None = None
    cron: str | None = None
    timezone: str | None = None
    max_attempts: int = 3
    timeout_secs: float = 300
    max_concurrency: int | None = None
    max_concurrency_per_key: int | None = None
    run_ttl_secs: float | None = None
    rate_limit_max: int | None = None
    rate_limit_window_secs: int | None = None
    dedup_window_secs: int | None = None
    debounce_window_secs: int | None = None
    batch_window_secs: int | None = None
    batch_max_size: int | None = None
    retry_strategy: str | None = None
    retry_initial_delay_secs: float | None = None
    retry_max_delay_secs: float | None = None
    retry_delays_secs: list[float] | None = None
    payload_schema: Any = None
    tags: dict[str, str] = Field(default_factory=dict)
    dependencies: list[JobDependency] = Field(default_factory=list[JobDependency])
    version_id: str | None = None
    version_policy: str | None = None


class RunStats(Model):
    """Count runs; statuses that no run is in are left out."""

    by_status: dict[str, int]
    total: int

    @property
    def finished(self) -> int:
        """Return how many have finished, dead letters included."""
        return sum(count for status, count in self.by_status.items() if status in FINISHED)


class RunChange(Model):
    """What became of one member of a run; `text` says it for people."""

    member: str
    before: Any = None
    after: Any = None
    text: str


class RunDiff(Model):
    """The difference between two versions of a run: `patch` is a JSON Patch (RFC 6902)."""

    run_id: str
    before: int = Field(alias="from")
    after: int = Field(alias="to")
    patch: list[dict[str, Any]]
    changes: list[RunChange]
    events: list[str]


class BulkCancelItem(Model):
    """Say what became of one run that was to be cancelled; without an error, it is."""

    id: str
    status: str
    error: str | None = None


class BulkCanceled(Model):
    """Answer a cancel of many runs."""

    results: list[BulkCancelItem]
    total: int
    canceled: int
    failed: int


class BulkReplayItem(Model):
    """Say what became of one run that was to be replayed: replayed, skipped or failed."""

    original_run_id: str
    status: str
    new_run_id: str | None = None
    error: str | None = None


class BulkReplayed(Model):
    """Answer a replay of many runs."""

    results: list[BulkReplayItem]
    total: int
    replayed: int


class BulkRequeued(Model):
    """Wrap the dead letters that are queued again."""

    replayed: list[Run]


class BulkTargets(Model):
    """Tell how many runs an action is about; `run_ids` are the first of them."""

    total: int
    run_ids: list[str]


class BulkAccepted(Model):
    """Name the operation that was begun."""

    request_id: str


class BulkOutcome(Model):
    """Say what became of one run of an operation: succeeded, skipped or failed."""

    run_id: str
    result: str
    new_run_id: str | None = None
    code: str | None = None
    error: str | None = None


class BulkOperation(Model):
    """Show an operation on many runs. `total` is None until they are counted, `errors` are the first refusals."""

    id: str
    action: str
    status: str
    created_at: datetime
    updated_at: datetime
    total: int | None = None
    done: int = 0
    succeeded: int = 0
    skipped: int = 0
    failed: int = 0
    errors: list[BulkOutcome] = Field(default_factory=list[BulkOutcome])
    error: str | None = None
    finished_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Say whether nothing more happens: it is completed, canceled or failed."""
        return self.status not in {"pending", "running"}


class HistoryEvent(Model):
    """Show one recorded event: the `version`-th of its run, at `position` of the project's ledger."""

    version: int
    position: int
    recorded_at: datetime
    type: str
    event_id: str | None = None
    actor: Any = None
    data: Any = None


class LedgerEvent(HistoryEvent):
    """Show one event of the ledger: the `version`-th of the stream `stream_id`, a run or a job, say."""

    stream_id: str
    request_id: str | None = None


class RunEvent(Model):
    """Show what a worker said: a log line or a step of progress."""

    id: str
    run_id: str
    type: str
    message: str | None = None
    level: str | None = None
    data: Any = None
    created_at: datetime


class StreamEvent(Model):
    """Show one event of a run that is followed.

    `type` is `status_change` (with `from_status` and `to`), `event` (a worker's log line or progress, with `level`
    and `message`) or `run_event` (anything else). `position` is the id to go on after.
    """

    type: str
    run_id: str
    timestamp: datetime
    position: int
    version: int
    event_type: str
    actor: str | None = None
    from_status: str | None = Field(default=None, alias="from")
    to: str | None = None
    error: str | None = None
    level: str | None = None
    message: str | None = None
    data: Any = None


class StreamChunk(Model):
    """Show a piece of what a worker streamed. `sequence` is the id to go on after, `attempt` the one that wrote it."""

    run_id: str
    sequence: int
    stream_id: str
    chunk: str
    done: bool = False
    attempt: int | None = None
    timestamp: datetime


class Checkpoint(Model):
    """Show a state from which a run can go on; `sequence` counts from 1."""

    id: str
    run_id: str
    sequence: int
    state: Any = None
    source: str | None = None
    created_at: datetime


class Usage(Model):
    """Show what one call of a language model used; the cost is in millionths of a US dollar."""

    id: str
    run_id: str
    provider: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost_microusd: int = 0
    created_at: datetime


class ToolCall(Model):
    """Show one call of a tool."""

    id: str
    run_id: str
    tool_name: str
    status: str | None = None
    input: Any = None
    output: Any = None
    duration_ms: int | None = None
    created_at: datetime


class Output(Model):
    """Show a named output of a run."""

    id: str
    run_id: str
    output_key: str
    value: Any = None
    created_at: datetime


class StateEntry(Model):
    """Show one key of a run's state."""

    run_id: str
    state_key: str
    value: Any = None
    updated_at: datetime


class ReceivedEvent(Model):
    """Show the event that a run has waited for."""

    event_key: str
    payload: Any = None


class Claim(Model):
    """Show one taken run: its token, its lease, and what an earlier attempt left behind.

    `event` is what the run last waited for, until a checkpoint is saved after it.
    """

    run: Run
    run_token: str
    lease_expires_at: datetime
    checkpoint: Checkpoint | None = None
    event: ReceivedEvent | None = None
    previous_error: Any = None


class Claims(Model):
    """Wrap the answer to a dequeue."""

    data: list[Claim]


class Heartbeat(Model):
    """Answer a heartbeat: the moved lease, and whether somebody wants the attempt to stop."""

    status: str
    lease_expires_at: datetime | None = None
    cancel_requested: bool = False
    pause_requested: bool = False


class Settled(Model):
    """Answer one settlement; `error` is there when it was refused."""

    run_id: str
    status: str
    error: Any = None


class SettledMany(Model):
    """Wrap the answer to a settle."""

    results: list[Settled]


class EventWait(Model):
    """Show that a run waits for an event."""

    status: str
    event_key: str
    expires_at: datetime | None = None


class EventTrigger(Model):
    """Show a run's wait for an event, or what ended it."""

    event_key: str
    status: str
    id: str
    job_run_id: str
    requested_at: datetime | None = None
    expires_at: datetime | None = None
    received_at: datetime | None = None
    sent_by: str | None = None
    response_payload: Any = None


class SentToPrefix(Model):
    """Show the waits that one event has ended."""

    resolved: int
    triggers: list[EventTrigger]


class EventStats(Model):
    """Show how many waits there are, and how long those that are over took on average, in seconds."""

    total_count: int
    waiting_count: int
    received_count: int
    timed_out_count: int
    canceled_count: int
    avg_wait_duration_secs: float


class PurgedWaits(Model):
    """Show how many waits are listed no more, or, in a dry run, would be."""

    deleted: int
    would_delete: int | None = None


class ApiKey(Model):
    """Show what is known of an API key; the key itself is not."""

    id: str
    name: str
    key_prefix: str
    scopes: list[str]
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime | None = None
    grace_expires_at: datetime | None = None
    replaced_by_key_id: str | None = None
    replaces_key_id: str | None = None
    next_rotation_at: datetime | None = None
    revoked_at: datetime | None = None


class NewApiKey(ApiKey):
    """Show a key just made; `key` is the key itself, told this once."""

    key: str = Field(repr=False)


class RotatedApiKey(Model):
    """Show a key in the place of another; `key` is the key itself, told this once."""

    old_key_id: str
    new_key_id: str
    name: str
    key: str = Field(repr=False)
    key_prefix: str
    scopes: list[str]
    grace_expires_at: datetime
    expires_at: datetime | None = None


class BatchOperation(Model):
    """Show what a bulk trigger asked for and made. Its runs are listed by `batch_id`."""

    id: str
    job_id: str
    item_count: int
    created_count: int
    created_at: datetime
    created_by: str | None = None


class KeyReset(Model):
    """Answer the release of a run's idempotency key."""

    status: str
    run_id: str


class Acknowledgement(Model):
    """Answer a call that has nothing to tell."""

    status: str
