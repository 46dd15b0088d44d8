"""Runs: what they are, what triggers answer, and how two versions differ."""

from datetime import datetime
from typing import Any

from pydantic import Field

from runcord.client.models.base import Model
from runcord.client.models.jobs import Job

FINISHED = frozenset(
    {"completed", "failed", "timed_out", "crashed", "system_failed", "canceled", "expired", "dead_letter"}
)
"""The statuses in which a run stays until somebody replays it."""


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


class KeyReset(Model):
    """Answer the release of a run's idempotency key."""

    status: str
    run_id: str


class Acknowledgement(Model):
    """Answer a call that has nothing to tell."""

    status: str
