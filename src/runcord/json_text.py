"""JSON text from outside: strict, and nothing that could not be kept as it is."""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import orjson

from runcord.errors import Invalid

BLANK = b" \t\r\n"
"""What may stand around a value, and means nothing."""

MAX_DEPTH = 128
"""How deep a body may nest. What is accepted is stored within events and states, which may nest 200 deep to be read."""

_LEAST, _MOST = -(2**63), 2**64 - 1
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_MOST_DIGITS = 20


class MalformedJson(Invalid):
    """The body is not valid JSON."""

    code = "malformed_json"


def parse(raw: bytes, what: str = "the body") -> Any:
    """Return the JSON value. `what` names it in messages.

    Raises:
        MalformedJson: it is no JSON (RFC 8259), or holds a number no double can.
        Invalid: it nests more than `MAX_DEPTH` deep, a whole number in it does not fit 64 bits and would be rounded,
            or a string in it holds NUL, which PostgreSQL cannot keep.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"{what} is not valid JSON: {str(error)[:200]}") from error
    if b"\\u0000" in raw and holds_nul(value):
        raise Invalid("strings must not contain NUL (U+0000): remove it, or encode the data (base64, say)")
    # Few bodies have brackets enough to be too deep: only those are looked into.
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise Invalid(f"{what} nests more than {MAX_DEPTH} deep: flatten it, or send the inner part as a string")
    if _LONG_NUMBER.search(raw):
        json.loads(raw, parse_int=partial(_exact, what))
    return value


def holds_nul(value: Any) -> bool:
    """Return whether a string or name in a JSON value has NUL, which PostgreSQL's `text` and `jsonb` cannot hold."""
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if "\0" in item:
                return True
        elif isinstance(item, dict):
            members = cast(Mapping[str, Any], item)
            pending += [*members.keys(), *members.values()]
        elif isinstance(item, list):
            pending += cast(list[Any], item)
    return False


def _is_deeper(value: Any, levels: int) -> bool:
    layer: list[Any] = [value]
    for _ in range(levels):
        inner: list[Any] = []
        for item in layer:
            if isinstance(item, dict):
                inner.extend(item.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
            elif isinstance(item, list):
                inner.extend(item)  # pyright: ignore[reportUnknownArgumentType]
        if not inner:
            return False
        layer = inner
    return any(isinstance(item, dict | list) for item in layer)


def _exact(what: str, digits: str) -> int:
    number = int(digits) if len(digits) <= _MOST_DIGITS else None
    if number is None or not _LEAST <= number <= _MOST:
        raise Invalid(f"a whole number in {what} does not fit 64 bits and would be rounded: send it as a string")
    return number
