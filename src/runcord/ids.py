"""Identifiers: a prefix that says what it is, and a UUIDv7 that sorts by creation time."""

import secrets
import string
import uuid

import uuid_utils

_ALPHANUMERICS = "0123456789abcdefghijklmnopqrstuvwxyz"

_DIGITS = _ALPHANUMERICS[:32]
_PAIRS = tuple(a + b for a in _DIGITS for b in _DIGITS)
"""Two digits of base 32 for ten bits: the standard library's encoder takes four times as long."""

_SHIFTS = range(120, -1, -10)


def new_id(prefix: str) -> str:
    """Return `<prefix>_` and 26 lower-case alphanumerics (the base32hex form of a UUIDv7), sortable by time."""
    number = uuid_utils.uuid7().int << 2  # 128 bits, and two to fill the last digit
    return f"{prefix}_{''.join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])}"


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
