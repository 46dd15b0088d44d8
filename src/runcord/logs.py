"""Logs: JSON lines or console text on stderr, from this package and from the libraries alike."""

import logging
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

current_request: ContextVar[MutableMapping[str, Any] | None] = ContextVar("current_request", default=None)
"""The ASGI scope of the request that is being answered; read only when something is logged."""

_LONGEST_ID = 128

# Libraries whose informative lines say what ours say already.
_QUIET_LIBRARIES = ("uvicorn.error", "psycopg.pool")


def configure_logging(level: str, format: Literal["json", "console"] | str) -> None:
    """Send every log line of this process to stderr, those of `level` and above.

    A line says when, how grave, what (`event`) and the facts; within a request also `request_id`, `trace_id`
    and `run_id`, as far as the caller sent them. May be called again; the last call counts.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_request_ids,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_to_json)]
        if format == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                exception_formatter=structlog.dev.plain_traceback,  # the rich one shows local variables: payloads, keys
            )
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # modules made theirs before this was called
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)


def add_request_ids(logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
    """Add the ids of the request that is being answered, unless the line names them itself."""
    scope = current_request.get()
    if scope is not None:
        for name, value in _ids(scope).items():
            event_dict.setdefault(name, value)
    return event_dict


def _ids(scope: MutableMapping[str, Any]) -> dict[str, str]:
    ids: dict[str, str] = {}
    for name, raw in scope.get("headers", ()):
        value = raw[:_LONGEST_ID].decode("latin-1")
        if name == b"x-request-id":
            ids["request_id"] = value
        elif name == b"traceparent" and value.count("-") >= 3:
            ids["trace_id"] = value.split("-")[1]  # version-trace-parent-flags: W3C Trace Context
    run_id = scope.get("path_params", {}).get("run_id")
    return ids if run_id is None else {**ids, "run_id": str(run_id)}


def _to_json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
