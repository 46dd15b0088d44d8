"""How Trigger.dev's API refuses: `{"error": "text"}`, and what its clients make of statuses.

They send a request again after 408, 409, 429 and 5xx, for nine seconds, unless `x-should-retry` says not to. So no
conflict is 409 here, and an error of ours that would come again is marked.
"""

from collections.abc import Mapping
from typing import Any

from runcord import errors
from runcord.clock import utc_now
from runcord.http import problems
from runcord.http.dialect import Dialect
from runcord.http.models.page import Document, Maybe
from runcord.http.models.run import AnyJson

_CONFLICT = 422


class TriggerDevProblem(Document):
    """What every error answers: `error` is the text that clients show, `message` says more where there is more."""

    error: str
    code: str
    message: str
    request_id: str
    param: Maybe[str] = None
    type: Maybe[str] = None
    details: Maybe[list[AnyJson]] = None


def status_of(error: errors.RuncordError) -> int:
    """Return the HTTP status of an error."""
    return _CONFLICT if isinstance(error, errors.Conflict | errors.TooManyTags) else problems.status_of(error)


def body(error: errors.RuncordError, status: int, request_id: str) -> Mapping[str, Any]:
    """Return the body of an answer that refuses."""
    if status >= 500 and not isinstance(error, errors.Unavailable):
        error = errors.InternalError()
    said = {"message": error.message, "request_id": request_id}
    if isinstance(error, errors.ScopeMissing):
        return {
            "error": "Unauthorized",
            "code": "unauthorized",
            "param": "access_token",
            "type": "authorization",
            **said,
        }
    details = {"details": list(error.details)} if error.details else {}
    return {"error": error.message, "code": error.code, **said, **details}


def headers(error: errors.RuncordError, status: int) -> Mapping[str, str]:
    """Return the headers that go with an error."""
    found = dict(problems.problem_headers(status, error))
    if status == 429:
        secs = error.retry_after_secs if isinstance(error, errors.RateLimited) else problems.RETRY_AFTER_SECS
        found["X-RateLimit-Reset"] = str(int((utc_now().timestamp() + secs) * 1000))
    elif status >= 500 and not isinstance(error, errors.Unavailable):
        found["X-Should-Retry"] = "false"
    return found


TRIGGER = Dialect("trigger.dev", status_of, _CONFLICT, body, headers, TriggerDevProblem)
