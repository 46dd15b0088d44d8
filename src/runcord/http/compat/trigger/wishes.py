"""From what Trigger.dev's clients ask for to requests for runs."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from runcord import json_text
from runcord.errors import Invalid
from runcord.handling.admission import Debouncing, Keys
from runcord.handling.idempotency import ANY_REQUEST
from runcord.handling.trigger import TriggerRequest
from runcord.http.compat.trigger.bodies import (
    Debounce,
    OperationBody,
    Queue,
    ReplayTaskBody,
    TriggerOptions,
    TriggerTaskBody,
)
from runcord.http.compat.trigger.duration import NoDuration, due_at, life_secs, seconds
from runcord.http.compat.trigger.tags import entries_of
from runcord.run.metadata import MetadataOperation, is_safe
from runcord.run.packet import NOTHING, PLAIN, Packet, read

HIGHEST_PRIORITY = 2**15 - 1
TASK_DEFAULTS: Mapping[str, Any] = {
    "max_attempts": 3,
    "retry_strategy": "exponential",
    "retry_initial_delay_secs": 1,
    "retry_max_delay_secs": 10,
    "timeout_secs": 3600,
}
"""The settings of a task that nobody has defined: Trigger.dev's, and an hour for an attempt."""
GIVEN_KEY = "idempotency_key"
"""The hint that holds what the user wrote for the key."""

_OWN_QUEUE = "task/"


def request_of(run_id: str, body: TriggerTaskBody, now: datetime, *, repeatable: bool = False) -> TriggerRequest:
    """Return the request for a run.

    Raises:
        Invalid: the payload is not of its type, or a member is not what it should be.
        NoDuration, TooManyTags: refused.
    """
    options = body.options or TriggerOptions()
    payload, packet = packet_of(body.payload, options.payloadType)
    return TriggerRequest(
        run_id=run_id,
        payload=payload,
        packet=packet,
        scheduled_at=None if options.delay is None else due_at(options.delay, now),
        ttl_secs=_ttl_secs(options.ttl),
        priority=_priority(options.priority),
        tags=None if options.tags is None else entries_of(_several(options.tags)),
        metadata=checked_metadata(options.metadata),
        concurrency_key=_text(options.concurrencyKey),
        idempotency_key=options.idempotencyKey,
        idempotency_ttl_secs=life_secs(options.idempotencyKeyTTL),
        fingerprint=ANY_REQUEST,
        parent_run_id=options.parentRunId,
        overrides=_overrides(options.maxAttempts, options.maxDuration),
        queue=_queue(options.queue),
        hints=_hints(options),
        repeatable=repeatable,
        keys=None if options.debounce is None else Keys(options.debounce.key, debouncing=_debouncing(options.debounce)),
    )


def packet_of(payload: Any, payload_type: str | None) -> tuple[Any, Packet]:
    """Return the plain payload, and what it does not tell of the packet.

    What is no text, or a text of no other type than JSON, is plain JSON as it is.
    """
    if payload is None or not isinstance(payload, str) or payload_type in (None, PLAIN):
        return payload, NOTHING
    return read(payload, payload_type, lambda text: json_text.parse(text.encode(), "the payload"))


def changes_of(body: ReplayTaskBody, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a replay has otherwise than its original: in its trigger, and in its retry policy.

    Raises as `request_of` does.
    """
    given = body.model_fields_set
    changes: dict[str, Any] = {}
    if "payload" in given:
        payload, packet = packet_of(body.payload, body.payloadType)
        changes |= {"payload": payload, "payload_type": packet.type, "payload_text": packet.text}
    members = {
        "metadata": checked_metadata(body.metadata),
        "tags": None if body.tags is None else entries_of(_several(body.tags)),
        "queue": _queue(body.queue),
        "concurrency_key": _text(body.concurrencyKey),
        "due_at": None if body.delay is None else due_at(body.delay, now),
        "ttl_secs": _ttl_secs(body.ttl),
        "priority": None if body.priority is None else _priority(body.priority),
        "idempotency_key": body.idempotencyKey,
        "overrides": _overrides(body.maxAttempts, body.maxDuration),
        "hints": _present({"machine": body.machine, "version": body.version, "region": body.region}),
    }
    policy = _present({"max_attempts": body.maxAttempts, "timeout_secs": body.maxDuration}) or {}
    return changes | {name: value for name, value in members.items() if value is not None}, policy


def operations_of(bodies: Iterable[OperationBody] | None) -> tuple[MetadataOperation, ...]:
    """Return operations on metadata.

    Raises:
        Invalid: one has no key, or a key that may not be used, or a value that it cannot do anything with.
    """
    found = tuple(body.operation for body in bodies or ())
    for operation in found:
        if operation.type == "update":
            if not isinstance(operation.value, dict):
                raise Invalid("an operation `update` has an object as its value")
        elif operation.key is None:
            raise Invalid(f"an operation `{operation.type}` has a key")
        elif not is_safe(operation.key):
            raise Invalid(f"the key {operation.key[:64]!r} may not be used: JavaScript gives it a meaning of its own")
        elif operation.type == "increment" and (
            isinstance(operation.value, bool) or not isinstance(operation.value, int | float)
        ):
            raise Invalid("an operation `increment` has a number as its value")
    return found


def checked_metadata(metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return metadata as it is. Raises Invalid if a name may not be used."""
    for name in metadata or ():
        if not is_safe(name):
            raise Invalid(f"the metadata key {name[:64]!r} may not be used: JavaScript gives it a meaning of its own")
    return metadata


def _debouncing(wish: Debounce) -> Debouncing:
    """Return the window that a trigger brings. Raises NoDuration, or Invalid if nothing could ever be gathered."""
    secs = _debounce_secs("delay", wish.delay)
    most_secs = None if wish.maxDelay is None else _debounce_secs("maxDelay", wish.maxDelay)
    if most_secs is not None and most_secs <= secs:
        raise Invalid("debounce.maxDelay must be longer than debounce.delay: else no trigger could ever put a run off")
    return Debouncing(secs, wish.mode, most_secs)


def _debounce_secs(name: str, text: str) -> int:
    secs = seconds(text)
    if not secs:
        raise NoDuration(f"debounce.{name}: {text[:64]!r} is no duration of a second or more, such as `5s` or `1h30m`")
    return secs


def _hints(options: TriggerOptions) -> Mapping[str, Any] | None:
    given = options.idempotencyKeyOptions
    return _present(
        {
            "machine": options.machine,
            "region": options.region,
            "version": options.lockToVersion,
            "test": options.test or None,
            GIVEN_KEY: None if given is None else given.model_dump(exclude_none=True) or None,
        }
    )


def _overrides(max_attempts: int | None, max_duration: float | None) -> dict[str, Any] | None:
    return _present({"max_attempts_override": max_attempts, "timeout_secs_override": max_duration})


def _present(members: Mapping[str, Any]) -> dict[str, Any] | None:
    return {name: value for name, value in members.items() if value is not None} or None


def _several(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _queue(queue: Queue | str | None) -> str | None:
    name = queue.name if isinstance(queue, Queue) else queue
    return None if name is None or name.startswith(_OWN_QUEUE) else name


def _text(value: str | float | None) -> str | None:
    return str(value) if value is not None else None


def _priority(priority: float | None) -> int:
    return min(int(priority or 0), HIGHEST_PRIORITY)


def _ttl_secs(ttl: str | int | None) -> float | None:
    secs = seconds(ttl) if isinstance(ttl, str) else ttl
    if ttl is not None and secs is None:
        raise NoDuration(f"ttl: {str(ttl)[:64]!r} is no duration: give seconds, or a text such as `1h30m`")
    return secs or None
