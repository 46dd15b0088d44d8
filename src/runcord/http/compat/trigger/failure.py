"""Errors of runs, in the two forms that Trigger.dev's clients know (`spec/trigger.md` §6.4)."""

from typing import Any

from runcord.run.state import Run
from runcord.run.status import Status

_CODES = {
    Status.CANCELED: "TASK_RUN_CANCELLED",
    Status.TIMED_OUT: "MAX_DURATION_EXCEEDED",
    Status.CRASHED: "TASK_RUN_CRASHED",
    Status.SYSTEM_FAILED: "TASK_EXECUTION_FAILED",
}
"""The codes of endings that are not the work's own: each is on the list of those that 4.x takes."""

_LOST = "LeaseLost"


def serialized_error(run: Run) -> dict[str, str] | None:
    """Return the error as the REST API shows it: `{message, name?, stackTrace?}`; None for a run without one."""
    error = run.error
    if error is None:
        return None
    members = {"message": error.message, "name": error.type, "stackTrace": error.stack}
    return {name: value for name, value in members.items() if value}


def task_run_error(run: Run) -> dict[str, Any] | None:
    """Return the error as realtime and results show it: a TaskRunError; None for a run without one."""
    error = run.error
    if error is None:
        return None
    if run.status is Status.EXPIRED:
        return {"type": "STRING_ERROR", "raw": error.message}
    code = _CODES.get(run.status)
    if code is not None:
        if error.type == _LOST:
            code = "TASK_RUN_HEARTBEAT_TIMEOUT"
        return {"type": "INTERNAL_ERROR", "code": code, "message": error.message}
    return {
        "type": "BUILT_IN_ERROR",
        "name": error.type or "Error",
        "message": error.message,
        "stackTrace": error.stack or "",
    }
