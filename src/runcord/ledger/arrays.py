"""Array parameters whose element type is known from the start.

psycopg finds the type of a list by looking into it, for each of the twenty-five arrays of a commit; that was a
third of the time that a single command took this process. These lists say what they hold, and go out in
PostgreSQL's binary format by psycopg's own element dumpers.
"""

import struct
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format
from psycopg.types.bool import BoolBinaryDumper
from psycopg.types.datetime import DatetimeBinaryDumper
from psycopg.types.numeric import Int2BinaryDumper, Int4BinaryDumper, Int8BinaryDumper
from psycopg.types.string import BytesBinaryDumper, StrBinaryDumper
from psycopg.types.uuid import UUIDBinaryDumper

_HEAD = struct.Struct("!iiIii")
_EMPTY = struct.Struct("!iiI")
_LENGTH = struct.Struct("!i")
_NULL = _LENGTH.pack(-1)


class Texts(list[str | None]):
    """`text[]`."""


class Smallints(list[int]):
    """`smallint[]`."""


class Integers(list[int | None]):
    """`integer[]`."""


class Bigints(list[int]):
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
    element_dumper: ClassVar[type[Dumper]]
    element_type: ClassVar[type]

    def __init__(self, cls: type, context: AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self._dump = self.element_dumper(self.element_type, context).dump

    def dump(self, obj: list[Any]) -> Buffer:
        """Return the array: one dimension, its bounds, and each element after its length."""
        if not obj:
            return _EMPTY.pack(0, 0, self.element_oid)
        dump, length = self._dump, _LENGTH.pack
        parts: list[Buffer] = [_HEAD.pack(1, None in obj, self.element_oid, len(obj), 1)]
        for item in obj:
            dumped = None if item is None else dump(item)
            if dumped is None:
                parts.append(_NULL)
            else:
                parts.append(length(len(dumped)))
                parts.append(dumped)
        return b"".join(parts)


def _register(cls: type, element: str, element_type: type, dumper: type[Dumper]) -> None:
    info = types[element]
    members = {
        "oid": info.array_oid,
        "element_oid": info.oid,
        "element_dumper": dumper,
        "element_type": element_type,
    }
    psycopg.adapters.register_dumper(cls, type(f"{cls.__name__}Dumper", (_ArrayDumper,), members))


_register(Texts, "text", str, StrBinaryDumper)
_register(Smallints, "int2", int, Int2BinaryDumper)
_register(Integers, "int4", int, Int4BinaryDumper)
_register(Bigints, "int8", int, Int8BinaryDumper)
_register(Booleans, "bool", bool, BoolBinaryDumper)
_register(Uuids, "uuid", UUID, UUIDBinaryDumper)
_register(Bytes, "bytea", bytes, BytesBinaryDumper)
_register(Times, "timestamptz", datetime, DatetimeBinaryDumper)
