"""Array parameters whose element type is known from the start.

psycopg finds the type of a list by looking into it and its elements, for each of the twenty-five arrays of a commit;
that was a third of the time that a single command took this process. These lists say what they hold, and write
PostgreSQL's binary format (as in `array_send` and the element types' own `…send`) themselves.
"""

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

_HEAD = struct.Struct("!iiIii")
_EMPTY = struct.Struct("!iiI")
_LENGTH = struct.Struct("!i")
_NULL = _LENGTH.pack(-1)
_TIME = struct.Struct("!iq")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Texts(list[str | None]):
    """`text[]`."""


class Smallints(list[int]):
    """`smallint[]`."""


class Integers(list[int | None]):
    """`integer[]`."""


class Bigints(list[int | None]):
    """`bigint[]`."""


class Booleans(list[bool]):
    """`boolean[]`."""


class Uuids(list[UUID]):
    """`uuid[]`."""


class Bytes(list[bytes | None]):
    """`bytea[]`."""


class Times(list[datetime | None]):
    """`timestamptz[]`."""


class _ArrayDumper(Dumper):
    format = Format.BINARY
    element_oid: ClassVar[int]
    head_of_one: ClassVar[bytes]
    one_null: ClassVar[bytes]

    @staticmethod
    def write(item: Any) -> bytes:
        """Return an element after its length."""
        raise NotImplementedError

    def dump(self, obj: list[Any]) -> Buffer:
        """Return the array: one dimension, its bounds, and its elements."""
        count = len(obj)
        if not count:
            return _EMPTY.pack(0, 0, self.element_oid)
        first, write = obj[0], self.write
        if count == 1:
            return self.one_null if first is None else self.head_of_one + write(first)
        # Most columns of a group say the same in every row: nothing, or what the runs of one job have in common.
        if obj.count(first) == count:
            elements = (_NULL if first is None else write(first)) * count
            has_null = first is None
        elif has_null := None in obj:
            elements = b"".join([_NULL if item is None else write(item) for item in obj])
        else:
            elements = b"".join(map(write, obj))
        return _HEAD.pack(1, has_null, self.element_oid, count, 1) + elements


def _text(item: str) -> bytes:
    return _bytes(item.encode())


def _bytes(item: bytes) -> bytes:
    return _LENGTH.pack(len(item)) + item


def _uuid(item: UUID) -> bytes:
    return _bytes(item.bytes)


def _fixed(size: int, code: str) -> Callable[[Any], bytes]:
    pack = struct.Struct(f"!i{code}").pack
    return lambda item: pack(size, item)


def _timestamptz(item: datetime) -> bytes:
    since = item - _EPOCH
    return _TIME.pack(8, since.microseconds + 1_000_000 * (since.seconds + 86_400 * since.days))


def _register(cls: type, element: str, write: Callable[[Any], bytes]) -> None:
    info = types[element]
    members = {
        "oid": info.array_oid,
        "element_oid": info.oid,
        "head_of_one": _HEAD.pack(1, 0, info.oid, 1, 1),
        "one_null": _HEAD.pack(1, 1, info.oid, 1, 1) + _NULL,
        "write": staticmethod(write),
    }
    psycopg.adapters.register_dumper(cls, type(f"{cls.__name__}Dumper", (_ArrayDumper,), members))


_register(Texts, "text", _text)
_register(Smallints, "int2", _fixed(2, "h"))
_register(Integers, "int4", _fixed(4, "i"))
_register(Bigints, "int8", _fixed(8, "q"))
_register(Booleans, "bool", _fixed(1, "?"))
_register(Uuids, "uuid", _uuid)
_register(Bytes, "bytea", _bytes)
_register(Times, "timestamptz", _timestamptz)
