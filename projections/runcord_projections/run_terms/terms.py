"""Terms: the numbers under which a run is filed by what it was given.

A term is a CRC-32 of 32 bits: equal things have equal terms, on every machine and for ever, and migrations can make
them in SQL. Different things may share one, so whatever is found by terms has to be looked at.

Containment is found by terms because what contains something has all its terms: `terms_of_sought(a)` is a subset of
`terms_of_payload(b)` whenever PostgreSQL says `b @> a`.
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from zlib import crc32

MAX_PAYLOAD_TERMS = 512
"""A payload with more terms is filed as a large one, and under nothing else."""

LARGE = crc32(b"large payload")

_TAG, _METADATA = crc32(b"tag\0"), crc32(b"metadata\0")
_PAYLOAD = crc32(b"payload")
_MEMBER, _STRING, _NUMBER = 1, 2, 3
"""What is added to a path, to tell kinds of things apart."""
_OBJECT, _ARRAY = b"{", b"["
_KEPT = 4096

_double = struct.Struct(">d").pack


@lru_cache(_KEPT)
def job_term(job_id: str) -> int:
    """Return the term of the runs of a job."""
    return crc32(b"job\0" + job_id.encode())


def batch_term(batch_id: str) -> int:
    """Return the term of the runs of a batch."""
    return crc32(b"batch\0" + batch_id.encode())


@lru_cache(_KEPT)
def trigger_term(triggered_by: str) -> int:
    """Return the term of the runs that came about in one way."""
    return crc32(b"trigger\0" + triggered_by.encode())


@lru_cache(_KEPT)
def tag_terms(key: str, value: str) -> tuple[int, int]:
    """Return the terms of a tag: of its key alone, and of its key with its value."""
    return _label_terms(_TAG, key, value)


@lru_cache(_KEPT)
def metadata_terms(key: str, value: str) -> tuple[int, int]:
    """Return the terms of a metadata entry: of its key alone, and of its key with its value."""
    return _label_terms(_METADATA, key, value)


def terms_of_labels(tags: Mapping[str, str] | None, metadata: Mapping[str, Any] | None) -> set[int]:
    """Return all terms of tags and metadata: of an entry that is no string, that of its key."""
    terms: set[int] = set()
    if tags:
        for entry in tags.items():
            terms.update(tag_terms(*entry))
    if metadata:
        for key, value in metadata.items():
            of_key, of_both = metadata_terms(key, value if isinstance(value, str) else "")
            terms.update((of_key, of_both) if isinstance(value, str) else (of_key,))
    return terms


def terms_of_payload(payload: Any) -> set[int]:
    """Return the terms of a JSON value: one for each object, array, string, number, truth and null, by its path.

    Elements of an array have its path; what `@>` says does not depend on their order either. At most
    `MAX_PAYLOAD_TERMS`: a larger value has the term `LARGE` alone. No payload at all (None) has no terms.
    """
    terms: set[int] = set()
    if payload is not None:
        _collect(payload, _PAYLOAD, terms)
    return {LARGE} if len(terms) > MAX_PAYLOAD_TERMS else terms


def terms_of_sought(sought: Any) -> set[int]:
    """Return the terms that every payload has which contains this JSON value; null is one too.

    They are those of `terms_of_payload`, but for what contains something itself: that adds nothing to what is in it.
    """
    terms: set[int] = set()
    _collect_ends(sought, _PAYLOAD, terms)
    return terms


def _label_terms(kind: int, key: str, value: str) -> tuple[int, int]:
    of_key = crc32(key.encode(), kind)
    return of_key, crc32(b"\0" + value.encode(), of_key)


def _collect(value: Any, path: int, terms: set[int]) -> None:
    """Add the terms of what is at a path. This is done for each run that is triggered, under its ledger's lock."""
    kind = value.__class__
    if kind is dict:
        terms.add(crc32(_OBJECT, path))
        path ^= _MEMBER
        for name, member in value.items():
            kind = member.__class__
            if kind is str:  # the usual: spared two calls
                terms.add(crc32(member.encode(), crc32(name.encode(), path) ^ _STRING))
            elif kind is dict or kind is list or kind is tuple:
                _collect(member, crc32(name.encode(), path), terms)
            else:
                terms.add(_end(member, crc32(name.encode(), path)))
    elif kind is list or kind is tuple:
        terms.add(crc32(_ARRAY, path))
        for element in value:
            kind = element.__class__
            if kind is dict or kind is list or kind is tuple:
                _collect(element, path, terms)
            else:
                terms.add(_end(element, path))
    else:
        terms.add(_end(value, path))


def _collect_ends(value: Any, path: int, terms: set[int]) -> None:
    """Add the terms of what is at a path and has nothing in it."""
    kind = value.__class__
    if kind is dict and value:
        for name, member in value.items():
            _collect_ends(member, crc32(name.encode(), path ^ _MEMBER), terms)
    elif kind is list and value:
        for element in value:
            _collect_ends(element, path, terms)
    elif kind is dict or kind is list:
        terms.add(crc32(_OBJECT if kind is dict else _ARRAY, path))
    else:
        terms.add(_end(value, path))


def _end(value: Any, path: int) -> int:
    """Return the term of a string, number, truth or null."""
    kind = value.__class__
    if kind is str:
        return crc32(value.encode(), path ^ _STRING)
    if kind is int or kind is float:
        # As a double, because 1 and 1.0 are equal; numbers that only round to one double are told apart later.
        return crc32(_double(value + 0.0), path ^ _NUMBER)
    return crc32(b"t" if value is True else b"f" if value is False else b"n", path)
