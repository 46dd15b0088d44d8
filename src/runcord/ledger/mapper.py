"""Between events and stored bytes.

The registry is closed: a stored type name that is not in it is an `UnknownEventType`, never an import. Bytes are
compact JSON: fields that have their default value are left out, so that history stays small.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, partial
from typing import Any, Generic, TypeVar, cast, get_args, get_type_hints

import msgspec
import orjson

from runcord.batch import events as batch_events
from runcord.bulk import events as bulk_events
from runcord.errors import UnknownEventType
from runcord.job import events as job_events
from runcord.job.state import Job
from runcord.key import events as key_events
from runcord.ledger.upcasts import UPCASTS
from runcord.projection import events as projection_events
from runcord.recorded import Recorded
from runcord.run import events as run_events
from runcord.run.build import build
from runcord.run.outline import JOINING, SILENT, TriggerOutline
from runcord.run.retry import RetryPolicy
from runcord.run.state import Run

T = TypeVar("T")

_JSON_OPTIONS = orjson.OPT_UTC_Z


class Codec(Generic[T]):
    """Turns instances of one dataclass into compact JSON and back.

    Left out is what equals its field's default; a field without one is always there, null included.
    """

    def __init__(self, cls: type[T]) -> None:
        self._decode = msgspec.json.Decoder(cls).decode

    def encode(self, value: T) -> bytes:
        """Return compact JSON; equal values give equal bytes."""
        return orjson.dumps(_compact(value), option=_JSON_OPTIONS)

    def decode(self, data: bytes) -> T:
        """Return the value. What was left out is read from its class, and does not stand in its `__dict__`.

        Raises:
            ValueError: the bytes are not such a value.
        """
        try:
            return self._decode(data)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error


@dataclass(frozen=True)
class _Shape:
    """What is needed to write a dataclass compactly."""

    places: Mapping[str, int]
    """Where each field stands."""
    nullable: frozenset[str]
    """The fields that are left out when they hold None: it is their default."""
    defaults: Mapping[str, Any]
    """The defaults that are not None."""
    nested: frozenset[str]
    """The fields that hold dataclasses, or tuples of them."""


@cache
def _shape(cls: type) -> _Shape:
    hints = get_type_hints(cls)
    return _Shape(
        places={f.name: place for place, f in enumerate(fields(cls))},
        nullable=frozenset(f.name for f in fields(cls) if f.default is None),
        defaults={f.name: f.default for f in fields(cls) if f.default is not None and f.default is not MISSING},
        nested=frozenset(f.name for f in fields(cls) if _holds_dataclass(hints[f.name])),
    )


def _holds_dataclass(hint: Any) -> bool:
    return is_dataclass(hint) or any(_holds_dataclass(part) for part in get_args(hint))


def _written(value: Any) -> Any:
    """Return a nested dataclass, or a tuple of them, as it is to be written.

    The runs of a job share one policy, which is written once.
    """
    if type(value) is tuple:
        return [_written(item) for item in cast(tuple[Any, ...], value)]
    if value.__class__ is not RetryPolicy:
        return _compact(value)
    known = _POLICIES.get(id(value))
    if known is None:
        if len(_POLICIES) >= _POLICIES_KEPT:
            _POLICIES.clear()
        # The policy is kept beside its bytes, so that its id is not given to another.
        known = _POLICIES[id(value)] = (value, orjson.Fragment(orjson.dumps(_compact(value), option=_JSON_OPTIONS)))
    return known[1]


_POLICIES: dict[int, tuple[RetryPolicy, orjson.Fragment]] = {}
_POLICIES_KEPT = 1024


def _compact(value: Any) -> dict[str, Any]:
    shape = _shape(value.__class__)
    members = {n: v for n, v in value.__dict__.items() if v is not None or n not in shape.nullable}
    for name in shape.defaults.keys() & members.keys():
        if members[name] == shape.defaults[name]:
            del members[name]
    for name in shape.nested & members.keys():
        members[name] = None if members[name] is None else _written(members[name])
    places = [shape.places[name] for name in members]
    if places != sorted(places):
        # Equal values give equal bytes, in whatever order their fields were set.
        return dict(sorted(members.items(), key=lambda member: shape.places[member[0]]))
    return members


def to_members(value: Any) -> dict[str, Any]:
    """Return a dataclass as JSON members, without those that have their defaults."""
    return orjson.loads(orjson.dumps(_compact(value), option=_JSON_OPTIONS))


def to_json(value: Any) -> bytes:
    """Return `value` as JSON bytes; times in RFC 3339, UTC."""
    return orjson.dumps(value, option=_JSON_OPTIONS)


_EVENTS: tuple[type, ...] = (
    *get_args(run_events.Event),
    *get_args(job_events.Event),
    *get_args(key_events.Event),
    *get_args(bulk_events.Event),
    *get_args(batch_events.Event),
    projection_events.Event,
)

REGISTRY: Mapping[str, type] = {cast(Any, cls).TYPE: cls for cls in _EVENTS}
"""Every event type that Runcord writes, by its stable name."""

RUNS = Codec(Run)
"""What states of runs are written with, in the run view and in snapshots."""

JOBS = Codec(Job)
"""What states of jobs are written with."""

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


def _joining(cls: type[Any]) -> Callable[[bytes], Any]:
    decode = Codec(TriggerOutline).decode

    def decode_joining(data: bytes) -> Any:
        return build(cls, decode(data))

    return decode_joining


SILENT_EVENTS: Mapping[str, Any] = {cls.TYPE: build(cls, {}) for cls in SILENT if cls.TYPE not in UPCASTS}
"""What stands for events of which only their type is read for outlines, by their stored names."""

_OUTLINING: Mapping[str, Callable[[bytes], Any]] = {
    **{name: _CODECS[cls].decode for name, cls in REGISTRY.items()},
    **{cls.TYPE: _joining(cls) for cls in JOINING},
    **{name: partial(decode, name) for name in UPCASTS},
}


def decode_outline(type_name: str, data: bytes) -> Any:
    """Return an event with what outlines are made from, and perhaps nothing else.

    Raises:
        UnknownEventType: the name is not in the registry and no upcast leads there.
        ValueError: the bytes are not such an event.
    """
    decode = _OUTLINING.get(type_name)
    if decode is None:
        raise UnknownEventType(f"the event type {type_name!r} is not known")
    return decode(data)


def stored_names(types: Collection[type]) -> list[str]:
    """Return the names of all released versions of event types: a database knows old events by their old names."""
    stems = {_stem(name) for name, cls in REGISTRY.items() if cls in types}
    return [name for name in (*REGISTRY, *UPCASTS) if _stem(name) in stems]


def _stem(name: str) -> str:
    return name.rpartition(".v")[0]


def recorded(row: tuple[Any, ...]) -> Recorded[Any]:
    """Return the envelope for a row of the named statements `…_events`."""
    stream_id, version, position, at, event_id, type_name, data, metadata = row
    # By their places: this is done for every event that is read.
    return Recorded(stream_id, version, position, at, event_id, orjson.loads(metadata), decode(type_name, data))
