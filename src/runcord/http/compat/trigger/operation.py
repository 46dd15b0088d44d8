"""Operations of Trigger.dev's API: what all of them have in common."""

from collections.abc import Awaitable, Callable
from typing import Any

from runcord.http.compat.trigger.dialect import TRIGGER
from runcord.http.compat.trigger.status import is_new
from runcord.http.operation import Answer, Call, Method, Operation


def trigger_operation(
    method: Method, path: str, handle: Callable[[Call], Awaitable[Answer]], summary: str, **options: Any
) -> Operation:
    """Return an operation of the dialect.

    It takes a key that may read runs, or one that may write them, unless `options` say otherwise.
    """
    scope = "runs:read" if method == "GET" else "runs:write"
    usual: dict[str, Any] = {"tag": "trigger.dev", "scope": scope, "dialect": TRIGGER}
    return Operation(method=method, path=path, handle=handle, summary=summary, **{**usual, **options})


def wants_new(call: Call) -> bool:
    """Return whether the client knows the newer names of statuses."""
    return is_new(call.request.fields.get("x-trigger-api-version"))
