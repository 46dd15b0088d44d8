"""What is sent to an endpoint: the run's payload as the body, and in headers what an attempt has to know."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from runcord.ledger.mapper import to_json
from runcord.projecting.handover import Handover
from runcord.queue.claims import ClaimedRun
from runcord.run.state import Run

MAX_HEADER = 64 * 1024
"""The largest checkpoint, or event, that goes along; a larger one is to be read through the API."""

MAX_ERROR = 1024

TRACE_PARENT = "_trace_parent"
"""The metadata of a run in which its trigger's `Traceparent` is kept."""

_USER_AGENT = f"runcord/{metadata.version('runcord')}"

_W3C = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")


@dataclass(frozen=True)
class Message:
    """A request, but for its signature. `message_id` is the same however often an attempt is sent."""

    message_id: str
    headers: Mapping[str, str]
    body: bytes


def message(claimed: ClaimedRun, left: Handover, run_token: str) -> Message:
    """Return what is sent for an attempt. A run without a payload is sent as `{}`."""
    run = claimed.run
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/plain;q=0.5",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "User-Agent": _USER_AGENT,
        "X-Run-ID": run.run_id,
        "X-Job-ID": run.job_id,
        "X-Attempt": str(run.attempt),
        "X-Run-Token": run_token,
        "Traceparent": traceparent(run),
    }
    if run.error is not None:
        headers["X-Previous-Error"] = _line(run.error.message)
    if left.checkpoint is not None:
        headers["X-Checkpoint-At"] = to_json(left.checkpoint.created_at).decode().strip('"')
        headers |= _if_it_fits("X-Last-Checkpoint", left.checkpoint.state)
    if left.event is not None:
        headers |= _if_it_fits("X-Event", {"event_key": left.event.event_key, "payload": left.event.payload})
    body = b"{}" if claimed.payload is None else bytes(claimed.payload)
    return Message(f"{run.run_id}_{run.round}_{run.attempt}", headers, body)


def traceparent(run: Run) -> str:
    """Return a W3C trace context: a new span in the trace of the run's trigger, else in one of the run's own."""
    parent = (run.metadata or {}).get(TRACE_PARENT)
    given = _W3C.fullmatch(parent) if isinstance(parent, str) else None
    trace, flags = given.groups() if given else (hashlib.sha256(run.run_id.encode()).hexdigest()[:32], "01")
    return f"00-{trace}-{secrets.token_hex(8)}-{flags}"


def _if_it_fits(name: str, value: Any) -> dict[str, str]:
    text = json.dumps(value, separators=(",", ":"))  # ASCII alone, as headers must be
    return {name: text} if len(text) <= MAX_HEADER else {}


def _line(text: str) -> str:
    """Return text as one line of printable ASCII."""
    shown = "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in text[:MAX_ERROR])
    return shown.strip() or "?"
