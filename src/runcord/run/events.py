"""The events of a run: facts, past tense, never edited once released.

`TYPE` is the stable name under which the ledger keeps them. A field that has its default value is left out of
the stored bytes, so a default is part of the released shape. To change an event, add a version and an upcast
(`run.upcasts`), and leave this one as it is; `tests/golden` holds every released version for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from runcord.run.metadata import MetadataOperation
from runcord.run.retry import RetryPolicy, Seconds
from runcord.run.trace import ExecutionTrace
from runcord.run.trigger_events import Batched, Debounced, Json, Postponed, Triggered

FailureCause = Literal["error", "timeout", "crash"]
WaitKind = Literal["worker", "event", "child", "dependency"]
Endpoint = Literal["primary", "fallback"]


@dataclass(frozen=True)
class Failure:
    """What went wrong in an attempt, as far as it was told."""

    message: str
    type: str | None = None
    stack: str | None = None
    details: Json = None


@dataclass(frozen=True)
class Enqueued:
    """The run's time has come."""

    TYPE: ClassVar[str] = "run.enqueued.v1"


@dataclass(frozen=True)
class Dequeued:
    """A worker took the run. `fence` counts the claims of the whole life and tells this one from any other."""

    TYPE: ClassVar[str] = "run.dequeued.v1"
    worker_id: str
    attempt: int
    fence: int
    lease_secs: Seconds


@dataclass(frozen=True)
class Attempted:
    """The worker began to work on the attempt."""

    TYPE: ClassVar[str] = "run.attempted.v1"
    attempt: int


@dataclass(frozen=True)
class Dispatched:
    """The attempt was sent to its job's endpoint, which answered `status_code`; None when no answer came.

    What became of the attempt is said by the event that follows; none does after a 202, whose endpoint reports later.
    """

    TYPE: ClassVar[str] = "run.dispatched.v1"
    attempt: int
    endpoint: Endpoint
    trace: ExecutionTrace
    status_code: int | None = None
    error_class: str | None = None


@dataclass(frozen=True)
class JobVersionResolved:
    """The run follows its job's later version from here on, as the job's version policy says."""

    TYPE: ClassVar[str] = "run.job_version_resolved.v1"
    job_version: int
    policy: RetryPolicy


@dataclass(frozen=True)
class Checkpointed:
    """The worker saved where it is. `sequence` counts 1, 2, 3 …"""

    TYPE: ClassVar[str] = "run.checkpointed.v1"
    sequence: int
    state: Json
    source: str = "sdk"


@dataclass(frozen=True)
class Logged:
    """The worker said something."""

    TYPE: ClassVar[str] = "run.logged.v1"
    message: str
    level: str = "info"
    type: str = "log"
    data: Json = None


@dataclass(frozen=True)
class Progressed:
    """The worker said how far it is."""

    TYPE: ClassVar[str] = "run.progressed.v1"
    percent: int | float
    message: str | None = None
    step: str | None = None
    eta_seconds: Seconds | None = None


@dataclass(frozen=True)
class Annotated:
    """Metadata was merged into the run's."""

    TYPE: ClassVar[str] = "run.annotated.v1"
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class MetadataChanged:
    """Metadata was changed by operations, one after the other; where it had been is told by the events before."""

    TYPE: ClassVar[str] = "run.metadata_changed.v1"
    operations: tuple[MetadataOperation, ...]


@dataclass(frozen=True)
class Tagged:
    """Tags were merged into the run's."""

    TYPE: ClassVar[str] = "run.tagged.v1"
    tags: Mapping[str, str]


@dataclass(frozen=True)
class UsageRecorded:
    """A model was used. Cost in millionths of a US dollar."""

    TYPE: ClassVar[str] = "run.usage_recorded.v1"
    provider: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost_microusd: int = 0


@dataclass(frozen=True)
class ToolCalled:
    """A tool was called."""

    TYPE: ClassVar[str] = "run.tool_called.v1"
    tool_name: str
    status: str = "completed"
    input: Json = None
    output: Json = None
    duration_ms: int | None = None


@dataclass(frozen=True)
class OutputSet:
    """A named output got a value; an earlier one stays readable in the history."""

    TYPE: ClassVar[str] = "run.output_set.v1"
    output_key: str
    value: Json
    schema: Json = None


@dataclass(frozen=True)
class StateSet:
    """A state key got a value."""

    TYPE: ClassVar[str] = "run.state_set.v1"
    state_key: str
    value: Json


@dataclass(frozen=True)
class StateDeleted:
    """A state key was removed."""

    TYPE: ClassVar[str] = "run.state_deleted.v1"
    state_key: str


@dataclass(frozen=True)
class Waited:
    """The run stopped to wait: for its worker's own reasons, for an event, or for a child.

    `until` ends the wait: it queues the run again (`worker`), or times the run out (`event`, `child`).
    """

    TYPE: ClassVar[str] = "run.waited.v1"
    kind: WaitKind
    reason: str | None = None
    until: datetime | None = None
    event_key: str | None = None
    trigger_id: str | None = None
    notify_url: str | None = None
    child_run_id: str | None = None


@dataclass(frozen=True)
class EventReceived:
    """The event that the run waited for came."""

    TYPE: ClassVar[str] = "run.event_received.v1"
    event_key: str
    payload: Json = None


@dataclass(frozen=True)
class Resumed:
    """The run goes on: in the same worker's hands (`executing`), or in the queue for any worker."""

    TYPE: ClassVar[str] = "run.resumed.v1"
    to: Literal["executing", "queued"]
    cause: Literal["worker", "event", "child", "until", "request", "dependency"]


@dataclass(frozen=True)
class Spawned:
    """The run made a child."""

    TYPE: ClassVar[str] = "run.spawned.v1"
    child_run_id: str
    job_id: str


@dataclass(frozen=True)
class Continued:
    """The run handed over to its continuation."""

    TYPE: ClassVar[str] = "run.continued.v1"
    continuation_run_id: str


@dataclass(frozen=True)
class Completed:
    """The work is done."""

    TYPE: ClassVar[str] = "run.completed.v1"
    attempt: int
    result: Json = None
    output_type: str | None = None


@dataclass(frozen=True)
class Retried:
    """An attempt ended badly; the next one is queued for `next_retry_at`."""

    TYPE: ClassVar[str] = "run.retried.v1"
    failed_attempt: int
    next_attempt: int
    next_retry_at: datetime
    error: Failure
    cause: FailureCause = "error"


@dataclass(frozen=True)
class DeadLettered:
    """The last attempt failed; the run lies in the dead-letter queue until somebody replays it."""

    TYPE: ClassVar[str] = "run.dead_lettered.v1"
    failed_attempt: int
    error: Failure


@dataclass(frozen=True)
class Failed:
    """The run failed for good; trying again would not help."""

    TYPE: ClassVar[str] = "run.failed.v1"
    failed_attempt: int
    error: Failure


@dataclass(frozen=True)
class TimedOut:
    """The last attempt, or a wait, took longer than it may."""

    TYPE: ClassVar[str] = "run.timed_out.v1"
    failed_attempt: int
    error: Failure


@dataclass(frozen=True)
class Crashed:
    """The worker of the last attempt was lost."""

    TYPE: ClassVar[str] = "run.crashed.v1"
    failed_attempt: int
    error: Failure


@dataclass(frozen=True)
class SystemFailed:
    """The run could not be worked on, through no fault of its work."""

    TYPE: ClassVar[str] = "run.system_failed.v1"
    error: Failure


@dataclass(frozen=True)
class Released:
    """The worker gave the attempt back unharmed; it does not count."""

    TYPE: ClassVar[str] = "run.released.v1"
    attempt: int
    due_at: datetime
    reason: str | None = None


@dataclass(frozen=True)
class Expired:
    """Nobody took the run within its time to live."""

    TYPE: ClassVar[str] = "run.expired.v1"


@dataclass(frozen=True)
class Canceled:
    """Somebody cancelled the run, or its parent."""

    TYPE: ClassVar[str] = "run.canceled.v1"
    reason: str
    by_parent: bool = False


@dataclass(frozen=True)
class Paused:
    """Somebody paused the run; its attempt is over, its checkpoints stay."""

    TYPE: ClassVar[str] = "run.paused.v1"
    reason: str | None = None


@dataclass(frozen=True)
class Restarted:
    """The same run is queued again; `machine_preset` is what it runs on from here, None what it ran on before."""

    TYPE: ClassVar[str] = "run.restarted.v1"
    machine_preset: str | None = None


@dataclass(frozen=True)
class Rescheduled:
    """The run is due at another time, perhaps with another payload. Its time to live counts anew."""

    TYPE: ClassVar[str] = "run.rescheduled.v1"
    due_at: datetime
    payload: Json = None
    payload_replaced: bool = False


@dataclass(frozen=True)
class Replayed:
    """A new run was made from this one."""

    TYPE: ClassVar[str] = "run.replayed.v1"
    new_run_id: str


@dataclass(frozen=True)
class ReplayStaged:
    """The dead letter is picked for a replay that has yet to reach it."""

    TYPE: ClassVar[str] = "run.replay_staged.v1"


@dataclass(frozen=True)
class DeadLetterReplayed:
    """The dead letter is queued again, as attempt 1 of a new round; the old attempts stay in the history."""

    TYPE: ClassVar[str] = "run.dead_letter_replayed.v1"
    round: int


@dataclass(frozen=True)
class StreamOpened:
    """A stream of the run was announced: whoever follows the run can find its chunks."""

    TYPE: ClassVar[str] = "run.stream_opened.v1"
    stream_id: str


@dataclass(frozen=True)
class IdempotencyReset:
    """The run's idempotency key was freed for another run."""

    TYPE: ClassVar[str] = "run.idempotency_reset.v1"
    idempotency_key: str


@dataclass(frozen=True)
class DebugSet:
    """Debug mode was switched."""

    TYPE: ClassVar[str] = "run.debug_set.v1"
    debug_mode: bool


@dataclass(frozen=True)
class Refusal:
    """Why a command was refused: the error's stable code and its message."""

    code: str
    message: str


@dataclass(frozen=True)
class Debugged:
    """A command reached the run in debug mode: what it said, what was decided, and how long that took.

    `events` are the types recorded on this run because of it; neither those nor a `refusal` mean that there was
    nothing to do. Times in microseconds: from the request's arrival to the decision, and for the decision itself.
    """

    TYPE: ClassVar[str] = "run.debugged.v1"
    command: str
    input: Json
    events: tuple[str, ...] = ()
    refusal: Refusal | None = None
    waited_us: int | None = None
    decided_us: int = 0


Event = (
    Triggered
    | Debounced
    | Postponed
    | Batched
    | Enqueued
    | Dequeued
    | Attempted
    | Dispatched
    | JobVersionResolved
    | Checkpointed
    | Logged
    | Progressed
    | Annotated
    | MetadataChanged
    | Tagged
    | UsageRecorded
    | ToolCalled
    | OutputSet
    | StateSet
    | StateDeleted
    | Waited
    | EventReceived
    | Resumed
    | Spawned
    | Continued
    | Completed
    | Retried
    | DeadLettered
    | Failed
    | TimedOut
    | Crashed
    | SystemFailed
    | Released
    | Expired
    | Canceled
    | Paused
    | Restarted
    | Rescheduled
    | Replayed
    | ReplayStaged
    | DeadLetterReplayed
    | StreamOpened
    | IdempotencyReset
    | DebugSet
    | Debugged
)
"""Everything that can happen to a run: a closed union."""
