"""What an exchange means for its attempt. Pure."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from runcord import json_text
from runcord.dispatch.exchange import MAX_RESULT, NoReply, Reply
from runcord.errors import Invalid
from runcord.run.events import Failure

MAX_RETRY_AFTER_SECS = 24 * 3600.0
"""An endpoint that asks for more is asked again after this."""

_RETRIED = {408: "timeout", 425: "transient", 429: "rate_limited"}
_MAX_SHOWN = 1000


@dataclass(frozen=True)
class Succeeded:
    """The work is done."""

    result: Any


@dataclass(frozen=True)
class Accepted:
    """The endpoint will report through the API."""


@dataclass(frozen=True)
class Refused:
    """The attempt has failed."""

    failure: Failure
    retryable: bool
    retry_after_secs: float | None = None
    blames_endpoint: bool = False
    """Whether it could not be reached, or is broken: this counts for its circuit breaker."""
    tries_fallback: bool = False
    timed_out: bool = False
    """Whether the attempt's own time was over."""

    @property
    def error_class(self) -> str | None:
        """The class of the failure."""
        return self.failure.type


Verdict = Succeeded | Accepted | Refused


def judge(outcome: Reply | NoReply, now: datetime) -> Verdict:
    """Return what the outcome of an exchange means; `now` is what a date in `Retry-After` is held against."""
    if isinstance(outcome, NoReply):
        return _unanswered(outcome)
    status = outcome.status
    if status == HTTPStatus.ACCEPTED:
        return Accepted()
    if 200 <= status < 300:
        return _result(outcome)
    if 300 <= status < 400:
        where = outcome.headers.get("location", "nowhere")[:_MAX_SHOWN]
        return Refused(
            _failure(
                outcome, "client", f"the endpoint redirects to {where}: redirects are not followed, change its URL"
            ),
            retryable=False,
        )
    failure_class = _class_of(status)
    failure = _failure(outcome, failure_class, f"the endpoint answered {_named(status)}")
    if failure_class in ("client", "auth"):
        return Refused(failure, retryable=False)
    return Refused(
        failure,
        retryable=True,
        retry_after_secs=_retry_after(outcome.headers.get("retry-after"), now) if status in (429, 503) else None,
        blames_endpoint=status >= 500,
        tries_fallback=status >= 500 or status == HTTPStatus.TOO_MANY_REQUESTS,
    )


def _unanswered(outcome: NoReply) -> Refused:
    if outcome.error_class == "address":
        return Refused(Failure(outcome.message, "client"), retryable=False)
    failure = Failure(outcome.message, outcome.error_class)
    timed_out = outcome.error_class == "timeout"
    return Refused(failure, retryable=True, blames_endpoint=True, tries_fallback=not timed_out, timed_out=timed_out)


def _class_of(status: int) -> str:
    if status in _RETRIED:
        return _RETRIED[status]
    if status in (401, 403):
        return "auth"
    if 400 <= status < 500:
        return "client"
    return "server" if status >= 500 else "unknown"


def _result(reply: Reply) -> Verdict:
    if reply.body is None:
        text = f"the endpoint's answer is larger than {MAX_RESULT:,} bytes: keep it elsewhere and answer where"
        return Refused(_failure(reply, "client", text), retryable=False)
    if not reply.body.strip():
        return Succeeded(None)
    try:
        return Succeeded(json_text.parse(reply.body))
    except json_text.MalformedJson:
        pass
    except Invalid as refusal:
        return _unusable(reply, refusal.message)
    try:
        text = reply.body.decode("utf-8")
    except UnicodeDecodeError:
        return _unusable(reply, "it is neither JSON nor text in UTF-8")
    if "\0" in text:
        return _unusable(reply, "text must not contain NUL (U+0000)")
    return Succeeded(text)


def _unusable(reply: Reply, why: str) -> Refused:
    return Refused(
        _failure(reply, "client", f"the endpoint's answer cannot be kept as a result: {why}"), retryable=False
    )


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _failure(reply: Reply, failure_class: str, message: str) -> Failure:
    details: dict[str, Any] = {"status_code": reply.status}
    excerpt = (reply.body or b"").decode("utf-8", "replace").replace("\0", "\ufffd").strip()
    if excerpt and not 200 <= reply.status < 300:
        details["body"] = excerpt[:_MAX_SHOWN]
    return Failure(message, failure_class, details=details)


def _retry_after(value: str | None, now: datetime) -> float | None:
    """Return how many seconds a `Retry-After` asks to wait (RFC 9110 10.2.3); None when it says nothing usable."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), MAX_RETRY_AFTER_SECS)
    try:
        secs = (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(secs, 0.0), MAX_RETRY_AFTER_SECS)
