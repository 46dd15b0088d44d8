"""The commands of one run: what somebody wants, imperative, and may be refused.

A command names no run and no time: it is decided on one run, at the time that the ledger gives (`decide`).
`claim` identifies the attempt that a worker speaks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from runcord.run.events import Batched, Debounced, Endpoint, Failure, Json, Postponed, Triggered
from runcord.run.limits import MAX_TAGS
from runcord.run.metadata import MetadataOperation
from runcord.run.trace import ExecutionTrace


@dataclass(frozen=True)
class Claim:
    """Which attempt a worker's call is about. None means that the call did not say."""

    attempt: int | None = None
    fence: int | None = None


ANY_CLAIM = Claim()


@dataclass(frozen=True)
class Trigger:
    """Make the run."""

    facts: Triggered


@dataclass(frozen=True)
class Debounce:
    """Take the place of the trigger before, and put the run off again."""

    facts: Debounced


@dataclass(frozen=True)
class Postpone:
    """Put the run off again, and leave it what it is."""

    facts: Postponed


@dataclass(frozen=True)
class AddToBatch:
    """Add a payload to the run's. The batch is full, and due, with `max_size` of them; None sets no such limit."""

    facts: Batched
    max_size: int | None = None


@dataclass(frozen=True)
class Enqueue:
    """Queue a delayed run that is due."""


@dataclass(frozen=True)
class Dequeue:
    """Take the run for a worker, and begin at once if `start`."""

    worker_id: str
    lease_secs: float
    start: bool = False


@dataclass(frozen=True)
class Start:
    """Begin the attempt."""

    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class RecordDispatch:
    """Record that the attempt was sent to an endpoint. `measured` holds what the sender can know of the trace."""

    endpoint: Endpoint
    measured: ExecutionTrace
    status_code: int | None = None
    error_class: str | None = None
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class Checkpoint:
    """Save where the work is."""

    state: Json
    source: str = "sdk"
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class Log:
    """Say something."""

    message: str
    level: str = "info"
    type: str = "log"
    data: Json = None
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class Progress:
    """Say how far the work is, in percent."""

    percent: float
    message: str | None = None
    step: str | None = None
    eta_seconds: float | None = None
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class Annotate:
    """Merge metadata."""

    annotations: Mapping[str, str]
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class ChangeMetadata:
    """Change metadata by operations."""

    operations: tuple[MetadataOperation, ...]
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class Tag:
    """Merge tags; the run has `most` then, or fewer."""

    tags: Mapping[str, str]
    claim: Claim = ANY_CLAIM
    most: int = MAX_TAGS


@dataclass(frozen=True)
class RecordUsage:
    """Record the use of a model."""

    provider: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int | None = None
    cost_microusd: int = 0
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class CallTool:
    """Record the call of a tool."""

    tool_name: str
    status: str = "completed"
    input: Json = None
    output: Json = None
    duration_ms: int | None = None
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class SetOutput:
    """Give a named output a value."""

    output_key: str
    value: Json
    schema: Json = None
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class SetState:
    """Give a state key a value."""

    state_key: str
    value: Json
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class DeleteState:
    """Remove a state key."""

    state_key: str
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class Wait:
    """Stop for a while; with `until`, any worker takes the run up then."""

    reason: str | None = None
    until: datetime | None = None
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class WaitForEvent:
    """Stop until the event comes, for at most `timeout_secs`."""

    event_key: str
    trigger_id: str
    timeout_secs: float = 3600
    notify_url: str | None = None
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class ReceiveEvent:
    """Hand the awaited event to the run and queue it again."""

    event_key: str
    payload: Json = None


@dataclass(frozen=True)
class ResumeWork:
    """Go on after a wait, in the same worker's hands."""

    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class EndWait:
    """The time of a wait is over."""


@dataclass(frozen=True)
class MeetDependencies:
    """The dependencies that the run was held back for are met."""


@dataclass(frozen=True)
class ChildEnded:
    """The child that the run waits for has ended."""

    child_run_id: str
    child_status: str
    result: Json = None


@dataclass(frozen=True)
class Spawn:
    """Make a child run; with `await_completion`, wait for its end, for at most `await_timeout_secs`."""

    child_run_id: str
    job_id: str
    await_completion: bool = False
    await_timeout_secs: float | None = None
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class Continue:
    """Hand over to a continuation."""

    continuation_run_id: str
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class Complete:
    """The work is done."""

    result: Json = None
    output_type: str | None = None
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class Fail:
    """The attempt failed. `jitter` in [0, 1) spreads the retry delay."""

    error: Failure
    retryable: bool = True
    retry_after_secs: float | None = None
    jitter: float = 0.5
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class Release:
    """Give the attempt back unharmed."""

    reason: str | None = None
    delay_secs: float = 0
    claim: Claim = ANY_CLAIM


@dataclass(frozen=True)
class Crash:
    """The lease of the claim ran out."""

    fence: int
    jitter: float = 0.5


@dataclass(frozen=True)
class TimeOut:
    """The attempt took longer than it may."""

    jitter: float = 0.5


@dataclass(frozen=True)
class Expire:
    """Nobody took the run in time."""


@dataclass(frozen=True)
class Cancel:
    """Stop the run for good."""

    reason: str = "canceled by user"
    by_parent: bool = False


@dataclass(frozen=True)
class Pause:
    """Stop the run until somebody resumes it."""

    reason: str | None = None


@dataclass(frozen=True)
class Resume:
    """Queue a paused run again."""


@dataclass(frozen=True)
class Restart:
    """Queue the same run again from its beginning, or from its last checkpoint; without a preset, on what it had."""

    machine_preset: str | None = None


@dataclass(frozen=True)
class Reschedule:
    """Make the run due at another time, perhaps with another payload; `delayed_only` spares one that is queued."""

    due_at: datetime
    payload: Json = None
    replace_payload: bool = False
    delayed_only: bool = False


@dataclass(frozen=True)
class Replay:
    """Note that a new run is made from this one, which has ended, unless it may be in `any_status`."""

    new_run_id: str
    any_status: bool = False


@dataclass(frozen=True)
class StageReplay:
    """Pick the dead letter for a replay."""


@dataclass(frozen=True)
class ReplayDeadLetter:
    """Queue the dead letter again."""


@dataclass(frozen=True)
class OpenStream:
    """Announce a stream of the run. With a claim it is that attempt's word; without, somebody's from outside."""

    stream_id: str
    claim: Claim | None = None


@dataclass(frozen=True)
class ResetIdempotency:
    """Free an idempotency key that finds the run: its own, unless `key` is that of a trigger which it has gathered."""

    key: str | None = None


@dataclass(frozen=True)
class SetDebug:
    """Switch debug mode."""

    debug_mode: bool


@dataclass(frozen=True)
class FailSystem:
    """Give the run up through no fault of its work."""

    error: Failure


WorkerCommand = (
    Start
    | RecordDispatch
    | Checkpoint
    | Log
    | Progress
    | Annotate
    | ChangeMetadata
    | Tag
    | RecordUsage
    | CallTool
    | SetOutput
    | SetState
    | DeleteState
    | Wait
    | WaitForEvent
    | ResumeWork
    | Spawn
    | Continue
    | Complete
    | Fail
    | Release
)
"""What a worker says about its attempt; each carries its `claim`."""

OperatorCommand = (
    Cancel
    | Pause
    | Resume
    | Restart
    | Reschedule
    | Replay
    | StageReplay
    | ReplayDeadLetter
    | OpenStream
    | ResetIdempotency
    | SetDebug
    | ReceiveEvent
)
"""What somebody outside wants of the run."""

TimerCommand = Enqueue | Expire | Crash | TimeOut | EndWait | MeetDependencies | ChildEnded | FailSystem
"""What the passing of time, or another run, makes of the run."""

GatherCommand = Debounce | Postpone | AddToBatch
"""What a trigger does to a run that gathers triggers of its key."""

Command = Trigger | GatherCommand | Dequeue | WorkerCommand | OperatorCommand | TimerCommand
