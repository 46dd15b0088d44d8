"""Identifiers: a prefix that says what it is, and a UUIDv7 that sorts by creation time."""

import secrets
import string
import uuid

import uuid_utils

_ALPHANUMERICS = "0123456789abcdefghijklmnopqrstuvwxyz"

_DIGITS = _ALPHANUMERICS[:32]
_TRIPLES = tuple(a + b + c for a in _DIGITS for b in _DIGITS for c in _DIGITS)
"""Three digits of base 32 for fifteen bits: the standard library's encoder takes many times as long."""

_HALF_BITS = 65
_HALF = (1 << _HALF_BITS) - 1


def new_id(prefix: str) -> str:
    """Return `<prefix>_` and 26 lower-case alphanumerics (the base32hex form of a UUIDv7), sortable by time."""
    number = uuid_utils.uuid7().int << 2  # 128 bits, and two to fill the last digit
    return f"{prefix}_{_half(number >> _HALF_BITS)}{_half(number & _HALF)}"


def _half(number: int) -> str:
    """Return thirteen digits."""
    return (
        f"{_TRIPLES[number >> 50]}{_TRIPLES[number >> 35 & 32767]}{_TRIPLES[number >> 20 & 32767]}"
        f"{_TRIPLES[number >> 5 & 32767]}{_DIGITS[number & 31]}"
    )


def new_event_id() -> uuid.UUID:
    """Return a UUIDv7 for one event."""
    return uuid.UUID(int=uuid_utils.uuid7().int)


def new_api_key() -> str:
    """Return a secret API key: `strait_` and 64 hexadecimal digits (256 random bits)."""
    return f"strait_{secrets.token_hex(32)}"


def random_characters(count: int) -> str:
    """Return so many random characters of `[0-9A-Za-z]`, of nearly six bits each."""
    return "".join(secrets.choice(string.digits + string.ascii_letters) for _ in range(count))


def new_version_id() -> str:
    """Return the id of a job's version, as Strait writes them: `ver_` and 12 of `[0-9a-z]` (62 random bits)."""
    return f"ver_{''.join(secrets.choice(_ALPHANUMERICS) for _ in range(12))}"
