"""The worker's calls that put facts on a run's record, and read what is there."""

from collections.abc import Callable
from typing import Any

import orjson

from runcord.errors import NotFound
from runcord.handling.runs import Reported
from runcord.handling.schema import check_value
from runcord.http.compat.strait.render import (
    render_checkpoint,
    render_message,
    render_output,
    render_state_key,
    render_tool_call,
    render_usage,
)
from runcord.http.models.run import AnyJson, JobRun, RunCheckpoint, RunEvent, RunOutput, RunState, RunToolCall, RunUsage
from runcord.http.models.worker import (
    AnnotateBody,
    CheckpointBody,
    LogBody,
    OutputBody,
    ProgressBody,
    StateBody,
    TagsBody,
    ToolCallBody,
    UsageBody,
)
from runcord.http.operation import Answer, Call, Operation
from runcord.http.run_answers import load_run, require_run
from runcord.http.sdk import SCOPE, TAG, report, run_answer, sdk_answer
from runcord.projecting import run_facts as facts
from runcord.run import commands as c


async def save_checkpoint(call: Call) -> Answer:
    """Save where the work is, so that a later attempt can go on from there."""
    body = call.body(CheckpointBody)
    return await _record(call, c.Checkpoint(body.state, body.source, call.claim), facts.checkpoint, render_checkpoint)


async def report_progress(call: Call) -> Answer:
    """Say how far the work is, in percent."""
    body = call.body(ProgressBody)
    eta = body.eta_seconds if body.eta_seconds is not None else body.eta_secs
    command = c.Progress(body.percent, body.message, body.step, eta, call.claim)
    return await _record(call, command, facts.message, render_message)


async def write_log(call: Call) -> Answer:
    """Write a line of the run's log."""
    body = call.body(LogBody)
    command = c.Log(body.message, body.level, body.type, body.data, call.claim)
    return await _record(call, command, facts.message, render_message)


async def annotate_run(call: Call) -> Answer:
    """Merge metadata into the run's."""
    return await run_answer(call, await report(call, c.Annotate(call.body(AnnotateBody).annotations, call.claim)))


async def tag_run(call: Call) -> Answer:
    """Merge tags into the run's."""
    return await run_answer(call, await report(call, c.Tag(call.body(TagsBody).tags, call.claim)))


async def record_usage(call: Call) -> Answer:
    """Record what a call of a model used. The total is the sum unless it is given."""
    body = call.body(UsageBody)
    command = c.RecordUsage(
        body.provider,
        body.model,
        body.prompt_tokens,
        body.completion_tokens,
        body.total_tokens,
        body.cost_microusd,
        call.claim,
    )
    return await _record(call, command, facts.usage, render_usage)


async def record_tool_call(call: Call) -> Answer:
    """Record a call of a tool."""
    body = call.body(ToolCallBody)
    command = c.CallTool(body.tool_name, body.status, body.input, body.output, body.duration_ms, call.claim)
    return await _record(call, command, facts.tool_call, render_tool_call)


async def set_output(call: Call) -> Answer:
    """Give a named output a value; a JSON Schema that is given with it must fit."""
    body = call.body(OutputBody)
    if body.schema_ is not None:
        check_value(body.schema_, body.value, "value")
    command = c.SetOutput(body.name, body.value, body.schema_, call.claim)
    return await _record(call, command, facts.output, render_output)


async def set_state(call: Call) -> Answer:
    """Give a key of the run's state a value."""
    body = call.body(StateBody)
    return await _record(call, c.SetState(body.key, body.value, call.claim), facts.state_key, render_state_key)


async def list_own_state(call: Call) -> Answer:
    """List the run's state, in the order of the keys."""
    return sdk_answer(call, [render_state_key(key) for key in await _state(call)])


async def get_state(call: Call) -> Answer:
    """Read one key of the run's state."""
    wanted = call.path["key"]
    for key in await _state(call):
        if key.state_key == wanted:
            return sdk_answer(call, render_state_key(key))
    raise NotFound(f"the run's state has no key {wanted[:256]!r}")


async def delete_state(call: Call) -> Answer:
    """Remove one key of the run's state, if it is there."""
    committed = await report(call, c.DeleteState(call.path["key"], call.claim))
    return sdk_answer(call, None, 204, position=committed.position)


async def get_payload(call: Call) -> Answer:
    """Read the run's payload: the JSON value itself, `null` if there is none."""
    _, (_, payload, *_) = await load_run(call)
    return sdk_answer(call, None if payload is None else orjson.Fragment(payload))


async def _state(call: Call) -> list[facts.StateKey]:
    await require_run(call)
    return await facts.state_keys(call.backend.read, call.project_id, call.path["run_id"])


async def _record(
    call: Call, command: c.WorkerCommand, fact_of: Callable[[Any], Any], render: Callable[[Any], dict[str, Any]]
) -> Answer:
    """Record one fact and answer it: its id is its event's."""
    committed = await report(call, command)
    reported: Reported = committed.value
    (recorded,) = reported.recorded
    return sdk_answer(call, render(fact_of(recorded)), 201, position=committed.position, version=reported.run.version)


def _operation(
    method: Any, name: str, handle: Any, summary: str, body: Any = None, status: int = 200, answer: Any = None
) -> Operation:
    return Operation(
        method,
        f"/sdk/v1/runs/{{run_id}}/{name}",
        handle,
        summary,
        TAG,
        SCOPE,
        access="run",
        body=body,
        status=status,
        answer=answer,
    )


OPERATIONS = (
    _operation("POST", "checkpoint", save_checkpoint, "Save a checkpoint", CheckpointBody, 201, RunCheckpoint),
    _operation("POST", "progress", report_progress, "Report progress", ProgressBody, 201, RunEvent),
    _operation("POST", "log", write_log, "Write a log line", LogBody, 201, RunEvent),
    _operation("POST", "annotate", annotate_run, "Merge metadata", AnnotateBody, answer=JobRun),
    _operation("POST", "tags", tag_run, "Merge tags", TagsBody, answer=JobRun),
    _operation("POST", "usage", record_usage, "Record the use of a model", UsageBody, 201, RunUsage),
    _operation("POST", "tool-call", record_tool_call, "Record a call of a tool", ToolCallBody, 201, RunToolCall),
    _operation("POST", "output", set_output, "Set an output", OutputBody, 201, RunOutput),
    _operation("POST", "state", set_state, "Set a state key", StateBody, 201, RunState),
    _operation("GET", "state", list_own_state, "List the state", answer=list[RunState]),
    _operation("GET", "state/{key:path}", get_state, "Read a state key", answer=RunState),
    _operation("DELETE", "state/{key:path}", delete_state, "Remove a state key", status=204),
    _operation("GET", "payload", get_payload, "Read the payload", answer=AnyJson),
)
