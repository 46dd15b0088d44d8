"""What is on record: events, and what workers left behind."""

from datetime import datetime
from typing import Any

from pydantic import Field

from runcord.client.models.base import Model


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
