"""The events by which triggers make runs, and what they leave behind for the triggers after them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from runcord.run.retry import RetryPolicy, Seconds

Json = Any
"""Any JSON value: opaque to the domain."""

Match = Literal["any", "idempotency_key", "dependency_key"]
"""Which runs of the jobs that a job depends on count for one of its runs: those with the same key, or any."""
WindowKind = Literal["debounce", "batch"]
DebounceMode = Literal["leading", "trailing"]
"""Which trigger of a burst says what the run is: the first, or the last."""


@dataclass(frozen=True)
class Hold:
    """What a run is held back for: that endings of other runs, those with its `key`, meet its job's dependencies."""

    match: Match
    key: str = ""


@dataclass(frozen=True)
class Admission:
    """What a trigger left behind for those that come after it, by the settings that its job had then.

    With a `window` the run gathers further triggers of that kind and `key` until it is due. The same payload finds
    the run until `dedup_until`. The trigger counts against its job's rate limit for `rate_window_secs`.
    """

    window: WindowKind | None = None
    key: str = ""
    payload_bytes: int = 0
    """The size of the payload as JSON, in a window that adds payloads up."""
    payload_hash: str | None = None
    dedup_until: datetime | None = None
    rate_window_secs: int | None = None


@dataclass(frozen=True)
class Triggered:
    """Somebody asked for this run. It is queued, delayed until `due_at`, or held back until dependencies are met."""

    TYPE: ClassVar[str] = "run.triggered.v1"
    job_id: str
    job_slug: str
    job_version: int
    triggered_by: str
    policy: RetryPolicy
    queue: str = "default"
    payload: Json = None
    priority: int = 0
    due_at: datetime | None = None
    ttl_secs: Seconds | None = None
    tags: Mapping[str, str] | None = None
    metadata: Mapping[str, Json] | None = None
    concurrency_key: str | None = None
    idempotency_key: str | None = None
    idempotency_fingerprint: str | None = None
    idempotency_expires_at: datetime | None = None
    parent_run_id: str | None = None
    parent_waits: bool = False
    batch_id: str | None = None
    continuation_of: str | None = None
    lineage_depth: int = 0
    replay_of: str | None = None
    replay_checkpoint: int | None = None
    debug_mode: bool = False
    overrides: Mapping[str, Json] | None = None
    created_by: str | None = None
    hold: Hold | None = None
    admission: Admission | None = None
    payload_type: str | None = None
    """How the payload was written, where it was not plain JSON (`run.packet`)."""
    payload_text: str | None = None
    """What was written, where the payload and its type do not tell."""
    hints: Mapping[str, Json] | None = None
    """What the caller said that is kept and shown, and has no effect: on which machine to run, say."""


@dataclass(frozen=True)
class Debounced:
    """A later trigger of the same debounce key took the place of the one before; the run is put off again."""

    TYPE: ClassVar[str] = "run.debounced.v1"
    due_at: datetime
    job_version: int
    policy: RetryPolicy
    admission: Admission
    queue: str = "default"
    payload: Json = None
    priority: int = 0
    ttl_secs: Seconds | None = None
    tags: Mapping[str, str] | None = None
    metadata: Mapping[str, Json] | None = None
    concurrency_key: str | None = None
    idempotency_key: str | None = None
    idempotency_fingerprint: str | None = None
    idempotency_expires_at: datetime | None = None
    debug_mode: bool = False
    overrides: Mapping[str, Json] | None = None
    created_by: str | None = None
    payload_type: str | None = None
    payload_text: str | None = None
    hints: Mapping[str, Json] | None = None


@dataclass(frozen=True)
class Postponed:
    """A later trigger of the same debounce key put the run off again; all else is as the first one said."""

    TYPE: ClassVar[str] = "run.postponed.v1"
    due_at: datetime
    admission: Admission
    idempotency_key: str | None = None
    idempotency_fingerprint: str | None = None
    idempotency_expires_at: datetime | None = None


@dataclass(frozen=True)
class Batched:
    """A later trigger of the same batch key was added to the run: its payload became the last of the run's items.

    Tags and metadata are merged into the run's, the higher priority counts. A full batch is due at once.
    """

    TYPE: ClassVar[str] = "run.batched.v1"
    admission: Admission
    payload: Json = None
    full: bool = False
    priority: int = 0
    tags: Mapping[str, str] | None = None
    metadata: Mapping[str, Json] | None = None
    idempotency_key: str | None = None
    idempotency_fingerprint: str | None = None
    idempotency_expires_at: datetime | None = None
