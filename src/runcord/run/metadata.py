"""Metadata of a run: a JSON object, and the operations that change it.

The operations are those of Trigger.dev's clients (`spec/trigger.md` §2.5) and do what their own copy of the metadata
does with them, so that both sides agree. Total: an operation that does not fit what is there changes nothing.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

Json = Any

OperationType = Literal["set", "delete", "append", "remove", "increment", "update"]

UNSAFE = frozenset({"__proto__", "constructor", "prototype"})
"""Names that no key leads through: clients in JavaScript would change what all their objects inherit."""

_PATH = re.compile(r"""\.?([^.\[\]]+)|\[(?:'([^']*)'|"([^"]*)"|(\d+))\]""")
_MISSING: Any = object()

Place = str | int


@dataclass(frozen=True)
class MetadataOperation:
    """One change. `key` names a member or, beginning with `$.`, a path (`$.steps[0].name`); `update` has none."""

    type: OperationType
    key: str | None = None
    value: Json = None


def applied(metadata: Mapping[str, Json], operations: Sequence[MetadataOperation]) -> dict[str, Json]:
    """Return the metadata after the operations; what was given stays as it is."""
    after = dict(metadata)
    for operation in operations:
        after = _apply(after, operation)
    return after


def is_safe(key: str) -> bool:
    """Return whether a key may be used: it leads through no name that JavaScript gives a meaning."""
    return UNSAFE.isdisjoint(str(place) for place in places_of(key))


def places_of(key: str) -> tuple[Place, ...]:
    """Return the names and indexes that a key leads through: one for a plain key."""
    if not key.startswith("$."):
        return (key,)
    found: list[Place] = []
    for bare, single, double, index in _PATH.findall(key[1:]):
        if index:
            found.append(int(index))
        elif bare:
            found.append(int(bare) if bare.isascii() and bare.isdigit() else bare)
        else:
            found.append(single or double)
    return tuple(found) or (key,)


def size_of(metadata: Mapping[str, Json]) -> int:
    """Return how many bytes the metadata has as compact JSON."""
    return len(json.dumps(metadata, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _apply(metadata: dict[str, Json], operation: MetadataOperation) -> dict[str, Json]:
    if operation.type == "update":
        value = operation.value
        return dict(cast(Mapping[str, Json], value)) if isinstance(value, Mapping) else metadata
    key = operation.key
    if key is None or not is_safe(key):
        return metadata
    if operation.type == "delete":
        # As Trigger.dev's clients have it: a path is not followed here, and names no member.
        return {name: value for name, value in metadata.items() if name != key}
    places = places_of(key)
    there = _at(metadata, places)
    value = _changed(there, operation)
    return metadata if value is _MISSING else cast(dict[str, Json], _with(metadata, places, value))


def _changed(there: Json, operation: MetadataOperation) -> Json:
    """Return what takes the place of what is there, `_MISSING` for nothing."""
    match operation.type:
        case "append":
            if there is _MISSING:
                return [operation.value]
            return [*_items(there), operation.value] if _is_list(there) else [there, operation.value]
        case "remove":
            if not _is_list(there):
                return _MISSING
            return [item for item in _items(there) if not _equal(item, operation.value)]
        case "increment":
            return (there if _is_number(there) else 0) + (operation.value if _is_number(operation.value) else 0)
        case _:
            return operation.value


def _at(value: Json, places: tuple[Place, ...]) -> Json:
    for place in places:
        value = _member(value, place)
    return value


def _member(value: Json, place: Place) -> Json:
    if isinstance(value, Mapping):
        return cast(Mapping[str, Json], value).get(str(place), _MISSING)
    if _is_list(value) and isinstance(place, int):
        items = _items(value)
        return items[place] if place < len(items) else _MISSING
    return _MISSING


def _with(value: Json, places: tuple[Place, ...], changed: Json) -> Json:
    """Return a copy of `value` with what is at `places` changed; objects on the way that are missing are made."""
    place, *rest = places
    inner = _with(_member(value, place), tuple(rest), changed) if rest else changed
    if _is_list(value) and isinstance(place, int):
        items = _items(value)
        if place > len(items):
            return items  # a hole is no JSON
        return [*items[:place], inner, *items[place + 1 :]]
    if isinstance(value, Mapping):
        return {**cast(Mapping[str, Json], value), str(place): inner}
    return {str(place): inner} if value is _MISSING or value is None else value  # pyright: ignore[reportUnknownVariableType]


def _is_list(value: Json) -> bool:
    return isinstance(value, list | tuple)


def _items(value: Json) -> list[Json]:
    return list(cast(Sequence[Json], value))


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(one: Json, other: Json) -> bool:
    """Return whether two JSON values are equal; truths are no numbers, though Python takes them for some."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        ours, theirs = cast(Mapping[str, Json], one), cast(Mapping[str, Json], other)
        return ours.keys() == theirs.keys() and all(_equal(ours[name], theirs[name]) for name in ours)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        mine, yours = cast(Sequence[Json], one), cast(Sequence[Json], other)
        return len(mine) == len(yours) and all(map(_equal, mine, yours))
    return one == other
