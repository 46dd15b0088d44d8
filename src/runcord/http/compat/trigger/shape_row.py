"""Runs as rows of Trigger.dev's realtime (`spec/trigger.md` §4.3): every column a string in Postgres's text form."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import orjson

from runcord.http.compat.trigger.duration import duration
from runcord.http.compat.trigger.failure import task_run_error
from runcord.http.compat.trigger.status import realtime_status
from runcord.key.token_scopes import tag_texts
from runcord.run.packet import PLAIN
from runcord.run.state import Run
from runcord.run.status import Status
from runcord_projections.run_view.projection import work_ms

_TEXT, _TIME, _NUMBER, _COST = {"type": "text"}, {"type": "timestamp"}, {"type": "int4"}, {"type": "float8"}

COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "id": _TEXT,
    "friendlyId": _TEXT,
    "taskIdentifier": _TEXT,
    "status": _TEXT,
    "createdAt": _TIME,
    "updatedAt": _TIME,
    "startedAt": _TIME,
    "delayUntil": _TIME,
    "queuedAt": _TIME,
    "expiredAt": _TIME,
    "completedAt": _TIME,
    "number": _NUMBER,
    "isTest": {"type": "bool"},
    "usageDurationMs": _NUMBER,
    "costInCents": _COST,
    "baseCostInCents": _COST,
    "ttl": _TEXT,
    "idempotencyKey": _TEXT,
    "payload": _TEXT,
    "payloadType": _TEXT,
    "output": _TEXT,
    "outputType": _TEXT,
    "metadata": _TEXT,
    "metadataType": _TEXT,
    "runTags": {**_TEXT, "dims": 1},
    "realtimeStreams": {**_TEXT, "dims": 1},
    "error": {"type": "jsonb"},
}
"""All columns, and what the client is told of each."""

_ALWAYS = frozenset({"id", "taskIdentifier", "friendlyId", "status", "createdAt", "updatedAt"})
"""What clients cannot do without, whatever they ask to leave out."""

_INT4_MAX = 2**31 - 1


def columns_without(skipped: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that are left when some are left out, in their order."""
    left_out = frozenset(skipped) - _ALWAYS
    return tuple(name for name in COLUMNS if name not in left_out)


def schema(columns: Iterable[str]) -> str:
    """Return the header `electric-schema` for some columns."""
    return orjson.dumps({name: COLUMNS[name] for name in columns}).decode()


def row(
    run: Run, columns: Iterable[str], *, payload: str | None, output: str | None, new: bool
) -> dict[str, str | None]:
    """Return a run as a row. `payload` and `output` are the texts of its packets, `new` whether the client is a 4.x."""
    error = task_run_error(run)
    values: dict[str, str | None] = {
        "id": run.run_id,
        "friendlyId": run.run_id,
        "taskIdentifier": run.job_slug,
        "status": realtime_status(run, new=new),
        "createdAt": timestamp(run.created_at),
        "updatedAt": timestamp(run.updated_at),
        "startedAt": _time(run.started_at),
        "delayUntil": _time(run.scheduled_at),
        "queuedAt": None if run.status is Status.DELAYED else _time(run.due_at),
        "expiredAt": _time(run.finished_at) if run.status is Status.EXPIRED else None,
        # It is by this column that subscriptions end.
        "completedAt": _time(run.finished_at),
        "number": "0",
        "isTest": "t" if (run.hints or {}).get("test") is True else "f",
        "usageDurationMs": str(min(work_ms(run) or 0, _INT4_MAX)),
        "costInCents": "0",
        "baseCostInCents": "0",
        "ttl": None if run.ttl_secs is None else duration(run.ttl_secs),
        "idempotencyKey": run.idempotency_key,
        "payload": payload,
        "payloadType": run.payload_type or PLAIN,
        "output": output,
        "outputType": run.output_type or PLAIN,
        "metadata": None if run.metadata is None else orjson.dumps(run.metadata).decode(),
        "metadataType": PLAIN,
        "runTags": array(tag_texts(run.tags)),
        "realtimeStreams": array(_streams(run)),
        "error": None if error is None else orjson.dumps(error).decode(),
    }
    return {name: values[name] for name in columns}


def timestamp(at: datetime) -> str:
    """Return a time as Postgres writes a `timestamp`: UTC, with milliseconds and without a zone, which clients add."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def array(texts: Iterable[str]) -> str:
    """Return a Postgres array literal: every element quoted, `"` and the backslash in it escaped."""
    return "{" + ",".join('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts) + "}"


def _time(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def _streams(run: Run) -> Iterable[str]:
    """Return the names of a run's streams: of those announced, and those that 3.x has said in its metadata."""
    named = (run.metadata or {}).get("$$streams")
    said = [name for name in cast(list[Any], named) if isinstance(name, str)] if isinstance(named, list) else []
    return dict.fromkeys([*run.streams, *said])
