"""Runs, jobs and facts as Strait's clients know them, with our additions.

Of each object, some members are always there; the others are left out when they are empty. Payloads and results
come as the JSON bytes that the ledger keeps and go into the answer as they are.

What we add to Strait's run: `version` (the number of its last event), `updated_at`, `round`, `job_slug`, `queue`,
`worker_id`, `wait`, `window`, `checkpoint_count`, `replay_of`, `replay_checkpoint`, `replayed_as`, `continued_as`,
`machine_preset`, `output_type` and `error_class`. To its job: all settings of ours, and `last_breaking_version`.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, cast

import orjson

from runcord.job.state import Dependency, Job, JobSettings
from runcord.projecting import run_facts as facts
from runcord.projecting.dependency_status import DependencyStatus
from runcord.run.state import Run, Wait

_RUN_FIELDS = (
    "scheduled_at",
    "started_at",
    "finished_at",
    "next_retry_at",
    "expires_at",
    "parent_run_id",
    "idempotency_key",
    "continuation_of",
    "continued_as",
    "replay_of",
    "replay_checkpoint",
    "replayed_as",
    "created_by",
    "batch_id",
    "concurrency_key",
    "worker_id",
    "machine_preset",
    "output_type",
)
"""Members of the answer that are members of the run under the same name, left out when empty."""

_WAIT_FIELDS = ("until", "event_key", "trigger_id", "child_run_id", "reason")

_JOB_ALWAYS = frozenset({"name", "slug", "endpoint_url", "max_attempts", "timeout_secs", "enabled"})

_JOB_SETTINGS = tuple(f.name for f in fields(JobSettings))


def render_run(
    run: Run, payload: bytes | None = None, result: bytes | None = None, *, project_id: str, **extra: Any
) -> dict[str, Any]:
    """Return a run as JSON members; `extra` members are added, or take the place of one, unless they are None."""
    members: dict[str, Any] = {
        "id": run.run_id,
        "job_id": run.job_id,
        "project_id": project_id,
        "status": run.status,
        "attempt": run.attempt,
        "triggered_by": run.triggered_by,
        "priority": run.priority,
        "job_version": run.job_version,
        "debug_mode": run.debug_mode,
        "lineage_depth": run.lineage_depth,
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "version": run.version,
        "round": run.round,
        "job_slug": run.job_slug,
        "queue": run.queue,
    }
    if payload is not None:
        members["payload"] = orjson.Fragment(payload)
    if result is not None:
        members["result"] = orjson.Fragment(result)
    if run.error is not None:
        members["error"] = run.error.message
        if run.error.type:
            members["error_class"] = run.error.type
    own = run.__dict__  # what is not there has its default, which is None
    for name in _RUN_FIELDS:
        value = own.get(name)
        if value is not None:
            members[name] = value
    if run.tags:
        members["tags"] = run.tags
    if run.metadata:
        members["metadata"] = _texts(run.metadata)
    if run.overrides:
        members.update({name: _number(value) for name, value in run.overrides.items() if value is not None})
    if (trace := run.execution_trace) is not None:
        members["execution_trace"] = asdict(trace)
    if run.checkpoints:
        members["checkpoint_count"] = run.checkpoints
    if run.wait is not None:
        members["wait"] = _wait(run.wait)
    if run.window is not None:
        members["window"] = {"kind": run.window.kind, "key": run.window.key, "size": run.window.size}
    members.update({name: value for name, value in extra.items() if value is not None})
    return members


def render_job(job: Job, *, project_id: str) -> dict[str, Any]:
    """Return a job as JSON members."""
    members: dict[str, Any] = {
        "id": job.job_id,
        "project_id": project_id,
        "version": job.version,
        "version_id": job.version_id,
        "last_breaking_version": job.last_breaking_version,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
    }
    for name in _JOB_SETTINGS:
        value = getattr(job.settings, name)
        if name in _JOB_ALWAYS or (value is not None and value is not False and value != ()):
            members[name] = _number(value)
    # Always there, and a string, also when workers pull and nothing is pushed anywhere.
    members["endpoint_url"] = job.settings.endpoint_url or ""
    if job.created_by is not None:
        members["created_by"] = job.created_by
    if job.dependencies:
        members["dependencies"] = [render_dependency(job.job_id, one) for one in job.dependencies]
    return members


def render_dependency(job_id: str, dependency: Dependency) -> dict[str, Any]:
    """Return a JobDependency."""
    return {
        "id": dependency.dependency_id,
        "job_id": job_id,
        "depends_on_job_id": dependency.depends_on_job_id,
        "condition": dependency.condition,
        "created_at": dependency.created_at,
    }


def render_run_dependency(job_id: str, status: DependencyStatus) -> dict[str, Any]:
    """Return a JobDependency as it stands for one run."""
    members = {**render_dependency(job_id, status.dependency), "satisfied": status.satisfied}
    ending = status.ending
    return members if ending is None else members | {"upstream_run_id": ending.run_id, "upstream_status": ending.status}


def render_message(message: facts.Message) -> dict[str, Any]:
    """Return a message as Strait's RunEvent."""
    return _present(
        _fact(message) | {"type": message.type, "message": message.message},
        level=message.level or None,
        data=message.data,
    )


def render_checkpoint(checkpoint: facts.Checkpoint) -> dict[str, Any]:
    """Return a RunCheckpoint."""
    return _fact(checkpoint) | {
        "sequence": checkpoint.sequence,
        "source": checkpoint.source,
        "state": checkpoint.state,
    }


def render_usage(usage: facts.Usage) -> dict[str, Any]:
    """Return a RunUsage."""
    return _fact(usage) | {
        "provider": usage.provider,
        "model": usage.model,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cost_microusd": usage.cost_microusd,
    }


def render_tool_call(call: facts.ToolCall) -> dict[str, Any]:
    """Return a RunToolCall."""
    return _present(
        _fact(call) | {"tool_name": call.tool_name, "status": call.status},
        input=call.input,
        output=call.output,
        duration_ms=call.duration_ms,
    )


def render_output(output: facts.Output) -> dict[str, Any]:
    """Return a RunOutput."""
    return _present(_fact(output) | {"output_key": output.output_key, "value": output.value}, schema=output.schema)


def render_state_key(key: facts.StateKey) -> dict[str, Any]:
    """Return a RunState."""
    return {
        "run_id": key.run_id,
        "state_key": key.state_key,
        "value": key.value,
        "updated_at": key.created_at,
    }


def _fact(fact: facts.Fact) -> dict[str, Any]:
    return {"id": fact.id, "run_id": fact.run_id, "created_at": fact.created_at}


def _wait(wait: Wait) -> dict[str, Any]:
    members: dict[str, str | datetime] = {"kind": wait.kind, "since": wait.since}
    return _present(members, **{name: getattr(wait, name) for name in _WAIT_FIELDS})


def _texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return metadata as Strait's clients know it: strings; anything else as the text of its JSON."""
    return {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in metadata.items()}


def _present(members: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    return {**members, **{name: value for name, value in others.items() if value is not None}}


def _number(value: Any) -> Any:
    """Return whole seconds as integers, as Strait's clients expect them; also those in a tuple."""
    if isinstance(value, tuple):
        return [_number(item) for item in cast(tuple[Any, ...], value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value
