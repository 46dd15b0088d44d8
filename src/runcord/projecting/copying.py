"""Rows in PostgreSQL's binary form of COPY: what many rows at once are written by.

It spares this process half of what array parameters take, and the database a tenth.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import chain, repeat
from typing import Any

_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_LENGTH = struct.Struct("!i")
_NULL = _LENGTH.pack(-1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BIGINT_OID = 20
_TEXT_OID = 25

Field = Callable[[Any], bytes]
"""Returns a value after its length."""


def data(item: bytes) -> bytes:
    """Return a `bytea`."""
    return _LENGTH.pack(len(item)) + item


def text(item: str) -> bytes:
    """Return a `text`."""
    return data(item.encode())


integer: Callable[[int], bytes] = partial(struct.Struct("!ii").pack, 4)
bigint: Callable[[int], bytes] = partial(struct.Struct("!iq").pack, 8)
boolean: Callable[[bool], bytes] = partial(struct.Struct("!i?").pack, 1)


def timestamptz(item: datetime) -> bytes:
    """Return a `timestamptz`."""
    return bigint((item - _EPOCH) // _MICROSECOND)


def bigints(items: Sequence[int]) -> bytes:
    """Return a `bigint[]`."""
    return _bigints_of(len(items)) + b"".join(map(bigint, items))


@lru_cache(256)
def _bigints_of(count: int) -> bytes:
    """Return what stands before so many numbers: its length depends on nothing else."""
    whole = _array(_BIGINT_OID, count, bytes(12 * count))
    return whole[: len(whole) - 12 * count]


@lru_cache(4096)
def texts(items: tuple[str, ...]) -> bytes:
    """Return a `text[]`."""
    return _array(_TEXT_OID, len(items), b"".join(map(text, items)))


def _array(oid: int, count: int, elements: bytes) -> bytes:
    shape = struct.pack("!iiiii", 1, 0, oid, count, 1) if count else struct.pack("!iii", 0, 0, oid)
    return data(shape + elements)


def table_of(columns: Iterable[tuple[Sequence[Any], Field]], before: Iterable[bytes]) -> bytes:
    """Return rows from their columns, each with how its fields are written; `before` stands in front of every row."""
    first = list(before)
    fields = [_column(items, field) for items, field in columns]
    start = struct.pack("!h", len(first) + len(fields)) + b"".join(first)
    return b"".join([_HEAD, *chain.from_iterable(zip(repeat(start), *fields, strict=False)), _END])


def _column(items: Sequence[Any], field: Field) -> Iterable[bytes]:
    """Return the fields of a column; many say the same in every row."""
    if items.count(items[0]) == len(items):
        return repeat(_NULL if items[0] is None else field(items[0]), len(items))
    if None in items:
        return [_NULL if item is None else field(item) for item in items]
    return map(field, items)
