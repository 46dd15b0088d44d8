"""A run as its history made it: what `decide` decides on and what the run view shows.

Payload, result, logs, checkpoints, outputs and state keys can be large and are not here: the run keeps
the version of the event that holds the present payload and the last checkpoint, and they are read there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runcord.run.build import altered
from runcord.run.events import Failure, WaitKind
from runcord.run.retry import RetryPolicy, Seconds
from runcord.run.status import FINISHED, SLOT_HOLDING, TERMINAL, Status
from runcord.run.trace import ExecutionTrace, whole_ms
from runcord.run.trigger_events import Match, WindowKind


@dataclass(frozen=True)
class Wait:
    """What a waiting run waits for, and until when."""

    kind: WaitKind
    since: datetime
    until: datetime | None = None
    event_key: str | None = None
    trigger_id: str | None = None
    child_run_id: str | None = None
    reason: str | None = None
    match: Match | None = None
    match_key: str | None = None


@dataclass(frozen=True)
class Window:
    """What gathers triggers in a delayed run: those of one key, until the run is due."""

    kind: WindowKind
    key: str
    size: int = 1
    """How many triggers it has gathered."""
    bytes: int = 0
    """The size of their payloads, where they add up."""


@dataclass(frozen=True)
class Run:
    """One run. Times are the ledger's, in UTC; `version` counts its events."""

    run_id: str
    version: int
    status: Status
    job_id: str
    job_slug: str
    job_version: int
    triggered_by: str
    policy: RetryPolicy
    created_at: datetime
    updated_at: datetime
    due_at: datetime
    """When it became, or becomes, claimable."""
    queue: str = "default"
    created_by: str | None = None
    priority: int = 0
    attempt: int = 1
    """Number of the present attempt in this round; a failed one moves it on, a released one does not."""
    round: int = 1
    fence: int = 0
    """How often the run was claimed in its whole life: no two claims share it."""
    scheduled_at: datetime | None = None
    ttl_secs: Seconds | None = None
    expires_at: datetime | None = None
    """Until when it must be taken; only before it is taken for the first time in a round."""
    dequeued_at: datetime | None = None
    started_at: datetime | None = None
    timeout_at: datetime | None = None
    """Until when the executing attempt must end."""
    finished_at: datetime | None = None
    next_retry_at: datetime | None = None
    worker_id: str | None = None
    lease_secs: Seconds | None = None
    wait: Wait | None = None
    error: Failure | None = None
    tags: Mapping[str, str] | None = None
    metadata: Mapping[str, Any] | None = None
    overrides: Mapping[str, Any] | None = None
    concurrency_key: str | None = None
    idempotency_key: str | None = None
    parent_run_id: str | None = None
    parent_waits: bool = False
    batch_id: str | None = None
    continuation_of: str | None = None
    lineage_depth: int = 0
    replay_of: str | None = None
    replay_checkpoint: int | None = None
    replayed_as: str | None = None
    """The latest run made from this one."""
    continued_as: str | None = None
    debug_mode: bool = False
    debugged: int = 0
    """How many commands debug mode has written down."""
    machine_preset: str | None = None
    checkpoints: int = 0
    """How many checkpoints were saved: the last one's sequence number."""
    checkpoint_version: int | None = None
    """The version of the event that holds the last checkpoint."""
    event_version: int | None = None
    """The version of the event that holds what the run last waited for."""
    payload_version: int = 1
    """The version of the event that holds the present payload."""
    output_type: str | None = None
    trace: ExecutionTrace | None = None
    """How long the steps of the last push took, as measured then."""
    window: Window | None = None
    """Open for further triggers while the run is delayed and not due."""
    debounced_hash: str | None = None
    """Of the payload of the last trigger, if it was debounced and its job tells payloads apart: the earlier ones count
    for nothing."""
    payload_type: str | None = None
    """How the payload was written, where it was not plain JSON (`run.packet`)."""
    payload_text_kept: bool = False
    """Whether the event that holds the payload holds the text that was written, too: the payload does not tell it."""
    hints: Mapping[str, Any] | None = None
    """What was said at the trigger that has no effect."""

    streams: tuple[str, ...] = ()
    """The streams that were announced, in their order."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can follow."""
        return self.status in TERMINAL

    @property
    def is_finished(self) -> bool:
        """Whether no worker will touch it any more unless somebody asks: terminal, or dead-lettered."""
        return self.status in FINISHED

    @property
    def holds_slot(self) -> bool:
        """Whether an attempt is live."""
        return self.status in SLOT_HOLDING

    @property
    def execution_trace(self) -> ExecutionTrace | None:
        """How long the steps of the last attempt took: what was measured, and what the ledger's times tell."""
        if self.finished_at is None or self.dequeued_at is None:
            return self.trace
        known = self.trace or ExecutionTrace(
            queue_wait_ms=whole_ms(self.dequeued_at - self.due_at),
            dequeue_ms=whole_ms(self.started_at - self.dequeued_at) if self.started_at is not None else 0,
        )
        return replace(known, total_ms=whole_ms(self.finished_at - self.due_at))

    @property
    def is_held(self) -> bool:
        """Whether it waits for its job's dependencies: no worker has had it."""
        return self.wait is not None and self.wait.kind == "dependency"

    def altered(self, **changes: Any) -> "Run":
        """Return a copy with `changes`."""
        return altered(self, changes)
