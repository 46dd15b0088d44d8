"""What can go wrong with a call, as seen by the caller: one class per way of dealing with it.

The server's `code` (for instance `run_not_found`) tells more than the class; statuses choose the class.
"""

from collections.abc import Mapping
from typing import Any, cast

import orjson


class RuncordClientError(Exception):
    """A call to Runcord did not succeed.

    `status` is the HTTP status, or None when no answer came; `code` is the server's stable name for the error;
    `request_id` finds the request in the server's log; `retry_after` is in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "error",
        request_id: str | None = None,
        details: object = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.request_id = request_id
        self.details = details
        self.retry_after = retry_after

    def __str__(self) -> str:
        facts = [str(self.status) if self.status is not None else "", self.code, self.request_id or ""]
        return f"{self.message} [{' '.join(fact for fact in facts if fact)}]"


class TransportError(RuncordClientError):
    """No answer came: the server could not be reached, or the connection broke.

    `sent` is False when the request certainly never reached the server.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message, code="transport_error")
        self.sent = sent


class UnexpectedAnswerError(RuncordClientError):
    """The answer is not what this client understands; is the address that of a Runcord server?"""


class ValidationError(RuncordClientError):
    """The request is not valid (400)."""


class TooLargeError(ValidationError):
    """The request is larger than the server takes (413)."""


class UnprocessableError(ValidationError):
    """The request contradicts an earlier one (422), for instance an idempotency key with another body."""


class AuthenticationError(RuncordClientError):
    """The credential is missing, unknown or expired (401)."""


class PermissionDeniedError(RuncordClientError):
    """The credential does not permit this (403)."""


class NotFoundError(RuncordClientError):
    """There is no such thing in this project (404)."""


class ConflictError(RuncordClientError):
    """The request does not fit the present state (409)."""


class StaleAttemptError(ConflictError):
    """The attempt is no longer the run's current one; nothing was changed (409 `stale_attempt`)."""


class RateLimitedError(RuncordClientError):
    """Too many requests (429); `retry_after` says when to come back."""


class ServerError(RuncordClientError):
    """Something went wrong on the server's side (5xx)."""


class UnavailableError(ServerError):
    """The server cannot serve just now (503)."""


class RunNotFinishedError(RuncordClientError):
    """The run had not finished when the time to wait was over."""


class BulkNotFinishedError(RuncordClientError):
    """The bulk operation had not ended when the time to wait was over."""


_BY_CODE: dict[str, type[RuncordClientError]] = {"stale_attempt": StaleAttemptError}

_BY_STATUS: dict[int, type[RuncordClientError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: TooLargeError,
    422: UnprocessableError,
    429: RateLimitedError,
    503: UnavailableError,
}


def error_from_answer(status: int, headers: Mapping[str, str], content: bytes, call: str) -> RuncordClientError:
    """Return the error that an unsuccessful answer means; `call` ("GET /v1/runs") stands in for a message."""
    body = _members(content)
    code = body.get("code")
    code = code if isinstance(code, str) else "error"
    message = body.get("message") or body.get("error")
    request_id = body.get("request_id") or headers.get("X-Request-Id")
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or (ServerError if status >= 500 else RuncordClientError)
    return kind(
        message if isinstance(message, str) else f"{call} was answered with status {status}",
        status=status,
        code=code,
        request_id=request_id if isinstance(request_id, str) else None,
        details=body.get("details"),
        retry_after=_seconds(headers.get("Retry-After")),
    )


def _members(content: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:  # a proxy's page, or nothing at all
        return {}
    return cast("Mapping[str, Any]", body) if isinstance(body, dict) else {}


def _seconds(retry_after: str | None) -> float | None:
    """Read `Retry-After` in its form of seconds; the form of a date is left unread."""
    try:
        return max(0.0, float(retry_after)) if retry_after is not None else None
    except ValueError:
        return None
