"""What a run's worker left on record: checkpoints, messages, usage, tool calls, outputs and state keys.

Every fact is one event, read in the stream itself: its `id` is the event's, `version` is its place in the stream and
the cursor of its list. Lists are exact: a page goes on where the last one ended, whatever is recorded meanwhile.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from runcord.ledger.mapper import to_members
from runcord.ledger.statements import Read
from runcord.projecting.time_travel import LAST_VERSION, events_of_types, events_of_types_descending
from runcord.recorded import Recorded
from runcord.run import events as e

BEYOND_LAST = LAST_VERSION
"""As `before`: begin with the newest."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What all facts have. `created_at` is the ledger's time."""

    id: UUID
    run_id: str
    version: int
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Fact):
    """Where the worker was. `sequence` counts 1, 2, 3 …"""

    sequence: int
    state: Any
    source: str


@dataclass(frozen=True, kw_only=True)
class Message(Fact):
    """A log line, a report of progress (`type` progress; `data` has percent, step and eta_seconds), or a command that
    reached the run in debug mode (`type` and `level` debug; `data` has the command's name and input, the events or the
    refusal that came of it, and the times).
    """

    type: str
    level: str
    message: str
    data: Any


@dataclass(frozen=True, kw_only=True)
class Usage(Fact):
    """The use of a model. Cost in millionths of a US dollar."""

    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_microusd: int


@dataclass(frozen=True, kw_only=True)
class ToolCall(Fact):
    """A call of a tool."""

    tool_name: str
    status: str
    input: Any
    output: Any
    duration_ms: int | None


@dataclass(frozen=True, kw_only=True)
class Output(Fact):
    """The present value of a named output."""

    output_key: str
    value: Any
    schema: Any


@dataclass(frozen=True, kw_only=True)
class StateKey(Fact):
    """The present value of a state key; `created_at` is when it got that value."""

    state_key: str
    value: Any


# --- lists: newest first below `before`, or oldest first above `after` --------------------------------


async def checkpoints(
    read: Read, project_id: str, run_id: str, *, before: int = BEYOND_LAST, limit: int
) -> list[Checkpoint]:
    """Return the checkpoints below version `before`, newest first, at most `limit`."""
    found = await events_of_types_descending(read, project_id, run_id, [e.Checkpointed], before=before, limit=limit)
    return [checkpoint(recorded) for recorded in found]


async def usages(read: Read, project_id: str, run_id: str, *, before: int = BEYOND_LAST, limit: int) -> list[Usage]:
    """Return the uses of models below version `before`, newest first, at most `limit`."""
    found = await events_of_types_descending(read, project_id, run_id, [e.UsageRecorded], before=before, limit=limit)
    return [usage(recorded) for recorded in found]


async def tool_calls(
    read: Read, project_id: str, run_id: str, *, before: int = BEYOND_LAST, limit: int
) -> list[ToolCall]:
    """Return the tool calls below version `before`, newest first, at most `limit`."""
    found = await events_of_types_descending(read, project_id, run_id, [e.ToolCalled], before=before, limit=limit)
    return [tool_call(recorded) for recorded in found]


async def messages(
    read: Read,
    project_id: str,
    run_id: str,
    *,
    after: int = 0,
    limit: int,
    level: str | None = None,
    type: str | None = None,
) -> list[Message]:
    """Return messages above version `after`, of one level and type if asked, oldest first."""
    found: list[Message] = []
    async for recorded in _all(read, project_id, run_id, [e.Logged, e.Progressed, e.Debugged], after):
        one = message(recorded)
        if level in (None, one.level) and type in (None, one.type):
            found.append(one)
            if len(found) == limit:
                break
    return found


async def outputs(read: Read, project_id: str, run_id: str) -> list[Output]:
    """Return the present value of every output, in the order of the keys."""
    latest: dict[str, Output] = {}
    async for recorded in _all(read, project_id, run_id, [e.OutputSet]):
        latest[recorded.event.output_key] = output(recorded)
    return [latest[key] for key in sorted(latest)]


async def state_keys(read: Read, project_id: str, run_id: str) -> list[StateKey]:
    """Return the present value of every state key, in the order of the keys; deleted ones are gone."""
    present: dict[str, StateKey] = {}
    async for recorded in _all(read, project_id, run_id, [e.StateSet, e.StateDeleted]):
        if isinstance(recorded.event, e.StateSet):
            present[recorded.event.state_key] = state_key(recorded)
        else:
            present.pop(recorded.event.state_key, None)
    return [present[key] for key in sorted(present)]


# --- one event, one fact ------------------------------------------------------------------------------


def checkpoint(recorded: Recorded[e.Checkpointed]) -> Checkpoint:
    """Return the checkpoint that the event is."""
    event = recorded.event
    return Checkpoint(**_envelope(recorded), sequence=event.sequence, state=event.state, source=event.source)


def message(recorded: Recorded[e.Logged] | Recorded[e.Progressed] | Recorded[e.Debugged]) -> Message:
    """Return the message that the event is."""
    event = recorded.event
    if isinstance(event, e.Debugged):
        return Message(
            **_envelope(recorded), type="debug", level="debug", message=_decision(event), data=to_members(event)
        )
    if isinstance(event, e.Logged):
        return Message(
            **_envelope(recorded), type=event.type, level=event.level, message=event.message, data=event.data
        )
    data = {"percent": event.percent, "step": event.step, "eta_seconds": event.eta_seconds}
    return Message(
        **_envelope(recorded),
        type="progress",
        level="info",
        message=event.message or "",
        data={name: value for name, value in data.items() if value is not None},
    )


def _decision(event: e.Debugged) -> str:
    if event.refusal is not None:
        return f"{event.command} was refused: {event.refusal.message}"
    return f"{event.command}: {', '.join(event.events) or 'there was nothing to do'}"


def usage(recorded: Recorded[e.UsageRecorded]) -> Usage:
    """Return the use of a model that the event is."""
    event = recorded.event
    return Usage(
        **_envelope(recorded),
        provider=event.provider,
        model=event.model,
        prompt_tokens=event.prompt_tokens,
        completion_tokens=event.completion_tokens,
        total_tokens=event.total_tokens,
        cost_microusd=event.cost_microusd,
    )


def tool_call(recorded: Recorded[e.ToolCalled]) -> ToolCall:
    """Return the tool call that the event is."""
    event = recorded.event
    return ToolCall(
        **_envelope(recorded),
        tool_name=event.tool_name,
        status=event.status,
        input=event.input,
        output=event.output,
        duration_ms=event.duration_ms,
    )


def output(recorded: Recorded[e.OutputSet]) -> Output:
    """Return the output as the event set it."""
    event = recorded.event
    return Output(**_envelope(recorded), output_key=event.output_key, value=event.value, schema=event.schema)


def state_key(recorded: Recorded[e.StateSet]) -> StateKey:
    """Return the state key as the event set it."""
    return StateKey(**_envelope(recorded), state_key=recorded.event.state_key, value=recorded.event.value)


def _envelope(recorded: Recorded[Any]) -> dict[str, Any]:
    return {
        "id": recorded.event_id,
        "run_id": recorded.stream_id,
        "version": recorded.version,
        "created_at": recorded.at,
    }


async def _all(
    read: Read, project_id: str, run_id: str, types: Sequence[type], after: int = 0
) -> AsyncIterator[Recorded[Any]]:
    """Yield the events of those types above version `after`, page by page."""
    while page := await events_of_types(read, project_id, run_id, types, after=after):
        for recorded in page:
            yield recorded
        after = page[-1].version
