"""Between events and stored bytes.

The registry is closed: a stored type name that is not in it is an `UnknownEventType`, never an import. Bytes are
compact JSON: fields that have their default value are left out, so that history stays small.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Generic, TypeVar, get_args

import orjson
from pydantic import TypeAdapter

from runcord.errors import UnknownEventType
from runcord.job import events as job_events
from runcord.ledger.upcasts import UPCASTS
from runcord.recorded import Recorded
from runcord.run import events as run_events

T = TypeVar("T")

_JSON_OPTIONS = orjson.OPT_UTC_Z


class Codec(Generic[T]):
    """Turns instances of one dataclass into compact JSON and back."""

    def __init__(self, cls: type[T]) -> None:
        self._adapter = TypeAdapter(cls)

    def encode(self, value: T) -> bytes:
        """Return compact JSON; equal values give equal bytes."""
        return orjson.dumps(_compact(value), option=_JSON_OPTIONS)

    def decode(self, data: bytes) -> T:
        """Return the value.

        Raises:
            ValueError: the bytes are not such a value.
        """
        return self._adapter.validate_json(data)


@cache
def _defaults(cls: type) -> Mapping[str, Any]:
    return {f.name: f.default if f.default is not MISSING else MISSING for f in fields(cls)}


def _compact(value: Any) -> dict[str, Any]:
    cls: type = type(value)  # pyright: ignore[reportUnknownVariableType]
    defaults = _defaults(cls)
    return {name: _compact(v) if is_dataclass(v) else v for name, v in value.__dict__.items() if v != defaults[name]}


def to_json(value: Any) -> bytes:
    """Return `value` as JSON bytes; times in RFC 3339, UTC."""
    return orjson.dumps(value, option=_JSON_OPTIONS)


REGISTRY: Mapping[str, type] = {cls.TYPE: cls for cls in (*get_args(run_events.Event), *get_args(job_events.Event))}
"""Every event type that Runcord writes, by its stable name."""

_CODECS: Mapping[type, Codec[Any]] = {cls: Codec(cls) for cls in REGISTRY.values()}


def encode(event: Any) -> bytes:
    """Return the bytes of an event of the registry."""
    return _CODECS[type(event)].encode(event)


def decode(type_name: str, data: bytes) -> Any:
    """Return the event, brought up to its type's latest version by upcasts.

    Raises:
        UnknownEventType: the name is not in the registry and no upcast leads there.
        ValueError: the bytes are not such an event.
    """
    upcast: Callable[[dict[str, Any]], tuple[str, dict[str, Any]]] | None = UPCASTS.get(type_name)
    if upcast is not None:
        type_name, changed = upcast(orjson.loads(data))
        return decode(type_name, orjson.dumps(changed))
    cls = REGISTRY.get(type_name)
    if cls is None:
        raise UnknownEventType(f"the event type {type_name!r} is not known")
    return _CODECS[cls].decode(data)


def recorded(row: tuple[Any, ...]) -> Recorded[Any]:
    """Return the envelope for a row of the named statements `…_events`."""
    stream_id, version, position, at, event_id, type_name, data, metadata = row
    return Recorded(
        stream_id=stream_id,
        version=version,
        position=position,
        at=at,
        event_id=event_id,
        metadata=orjson.loads(metadata),
        event=decode(type_name, data),
    )
