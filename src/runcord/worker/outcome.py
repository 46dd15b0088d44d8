"""How an attempt can end, what a handler may raise to say so, and what is told of an exception."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any

import orjson

from runcord.client.request import encode

LONGEST_MESSAGE = 8 * 1024
LONGEST_STACK = 16 * 1024
"""Characters of an exception that are kept; of a longer stack the end is kept, where the cause is."""


class Retry(Exception):
    """Raise it to fail the attempt and have it retried, after `after` seconds instead of the job's own backoff."""

    def __init__(self, message: str = "The handler asked for a retry.", *, after: float | timedelta | None = None):
        super().__init__(message)
        self.after = after.total_seconds() if isinstance(after, timedelta) else after


class Fatal(Exception):
    """Raise it to fail the run for good, whatever attempts remain."""


class Release(Exception):
    """Raise it to give the run back unharmed: queued again, after `delay` seconds, with no attempt counted."""

    def __init__(self, reason: str = "The handler gave the run back.", *, delay: float | timedelta | None = None):
        super().__init__(reason)
        self.delay = delay.total_seconds() if isinstance(delay, timedelta) else delay


class Cancelled(Exception):
    """The run was cancelled or paused, or the attempt is lost: stop working on it."""


class Suspended(BaseException):
    """The run waits for an event; this attempt is over. Not an Exception, so that handlers do not catch it."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned; `result` is its JSON, encoded once."""

    result: orjson.Fragment | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised. `retry_after` (seconds) overrides the job's backoff."""

    error: Mapping[str, Any]
    retryable: bool = True
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """The attempt is given back unharmed, to be taken again after `delay` seconds."""

    reason: str
    delay: float | None = None


Outcome = Completed | Failed | Released


def outcome_of_result(result: object) -> Outcome:
    """Return what a handler's return value means: completed, or failed for good when JSON cannot carry it."""
    if result is None:
        return Completed(None)
    try:
        return Completed(orjson.Fragment(encode(result)))
    except TypeError as error:
        return Failed(told(error) | {"message": f"The result cannot be sent as JSON: {error}"}, retryable=False)


def outcome_of_exception(exception: BaseException) -> Outcome:
    """Return what an exception that left a handler means."""
    match exception:
        case Release():
            return Released(_clean(str(exception)), exception.delay)
        case Retry():
            return Failed(told(exception), retry_after=exception.after)
        case Fatal():
            return Failed(told(exception), retryable=False)
        case _:
            return Failed(told(exception))


def told(exception: BaseException) -> dict[str, Any]:
    """Return `{type, message, stack}` of an exception, as text that every JSON reader takes.

    The stack begins in the handler: the frames of this package are left out.
    """
    kind = type(exception)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    stack = "".join(traceback.format_exception(kind, exception, _own_frames_left_out(exception.__traceback__)))
    return {
        "type": name,
        "message": _clean(_message(exception))[:LONGEST_MESSAGE],
        "stack": _clean(stack)[-LONGEST_STACK:],
    }


def _message(exception: BaseException) -> str:
    try:
        return str(exception)
    except Exception:  # an exception whose __str__ is itself broken must not hide that it was raised
        return f"<{type(exception).__qualname__} without a message>"


def _own_frames_left_out(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and str(frames.tb_frame.f_globals.get("__name__")).startswith("runcord.worker."):
        frames = frames.tb_next
    return frames


def _clean(text: str) -> str:
    """Replace what JSON or a database cannot carry: lone surrogates and NULs."""
    return text.encode("utf-8", "replace").decode().replace("\0", "�")
