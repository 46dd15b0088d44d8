"""What is sent on streams, in Strait's words: `status_change`, `event` and `stream_chunk`, with our additions.

Strait publishes some transitions, logs and progress. Here a stream is the record: `status_change` comes with every
event that changes the status, and `run_event` with all that Strait has no word for. Each frame has the event's place
(`position` in the ledger, `version` in the run's history), and those two types the event itself (`event_type`,
`data`). In `event`, these are the worker's own, as Strait has them.
"""

from typing import Any

import orjson

from runcord.ledger import mapper
from runcord.projecting import run_facts as facts
from runcord.run import events as e
from runcord.streaming.chunks import Chunk
from runcord.streaming.events import Step, Undecoded


def event_frame(step: Step, *, project_id: str) -> dict[str, Any]:
    """Return the data of the frame for one event of a run."""
    recorded = step.recorded
    place = {
        "run_id": recorded.stream_id,
        "timestamp": recorded.at,
        "position": recorded.position,
        "version": recorded.version,
    }
    if "actor" in recorded.metadata:
        place["actor"] = recorded.metadata["actor"]
    if isinstance(recorded.event, e.Logged | e.Progressed | e.Debugged):
        return _message(facts.message(recorded)) | place
    type_name, data = _stored(recorded.event)
    members = place | {"event_type": type_name, "data": orjson.Fragment(data)}
    if step.before == step.after.status:
        return {"type": "run_event"} | members
    change = {
        "type": "status_change",
        "from": step.before,
        "to": step.after.status,
        "job_id": step.after.job_id,
        "project_id": project_id,
    }
    if step.error is not None:
        change["error"] = step.error.message
    return change | members


def chunk_frame(run_id: str, chunk: Chunk) -> dict[str, Any]:
    """Return the data of the frame for a chunk."""
    return {"type": "stream_chunk"} | render_chunk(run_id, chunk)


def render_chunk(run_id: str, chunk: Chunk) -> dict[str, Any]:
    """Return a chunk as JSON members."""
    return {
        "run_id": run_id,
        "sequence": chunk.sequence,
        "stream_id": chunk.stream_id,
        "chunk": chunk.text,
        "done": chunk.done,
        "attempt": chunk.attempt,
        "timestamp": chunk.recorded_at,
    }


def _message(message: facts.Message) -> dict[str, Any]:
    members: dict[str, Any] = {
        "type": "event",
        "event_type": message.type,
        "level": message.level,
        "message": message.message,
    }
    if message.data is not None:
        members["data"] = message.data
    return members


def _stored(event: Any) -> tuple[str, bytes]:
    return (event.type_name, event.data) if isinstance(event, Undecoded) else (event.TYPE, mapper.encode(event))
