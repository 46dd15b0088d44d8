"""Errors as answers: one body for all of them, with what each kind of client reads.

`error`, `code`, `message`, `details` and `request_id` are what Strait's clients read; `type`, `title`, `status` and
`detail` are the members of RFC 9457. An error of ours shows nothing of its inside.
"""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from runcord import errors

_STATUSES: tuple[tuple[type[errors.RuncordError], int], ...] = (
    (errors.TooLarge, 413),
    (errors.Unprocessable, 422),
    (errors.Invalid, 400),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.RateLimited, 429),
    (errors.Unavailable, 503),
)

RETRY_AFTER_SECS = 1


def status_of(error: errors.RuncordError) -> int:
    """Return the HTTP status for an error; 500 for one that no client can have caused."""
    return next((status for family, status in _STATUSES if isinstance(error, family)), 500)


def problem(error: errors.RuncordError, request_id: str, status: int | None = None) -> dict[str, Any]:
    """Return the body for an error."""
    status = status or status_of(error)
    if status >= 500 and not isinstance(error, errors.Unavailable):
        error = errors.InternalError()
    return problem_body(status, error.code, error.message, request_id, error.details)


def problem_body(
    status: int, code: str, message: str, request_id: str, details: Sequence[object] = ()
) -> dict[str, Any]:
    """Return the body of an error answer."""
    body: dict[str, Any] = {
        "error": message,
        "code": code,
        "message": message,
        "request_id": request_id,
        "type": f"urn:runcord:error:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
    }
    if details:
        body["details"] = list(details)
    return body


def problem_headers(status: int, error: errors.RuncordError | None = None) -> Mapping[str, str]:
    """Return the headers that go with an error, or at least with its status."""
    if isinstance(error, errors.RateLimited) and error.limit is not None:
        return {
            # Whole seconds, and never too early.
            "Retry-After": str(max(1, math.ceil(error.retry_after_secs))),
            "X-RateLimit-Limit": str(error.limit),
            "X-RateLimit-Remaining": str(error.remaining),
        }
    match status:
        case 401:
            return {"WWW-Authenticate": "Bearer"}
        case 429 | 503:
            return {"Retry-After": str(RETRY_AFTER_SECS)}
        case _:
            return {}
