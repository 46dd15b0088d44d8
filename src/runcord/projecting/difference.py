"""The difference between two JSON objects, as programs and as people read it."""

from collections.abc import Mapping
from typing import Any

import jsonpatch  # pyright: ignore[reportMissingTypeStubs]
import orjson

_SHOWN = 60
"""Characters of a value in a text."""


def patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON Patch (RFC 6902) that makes `after` of `before`."""
    return list(jsonpatch.make_patch(before, after))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what became of each member: `member`, `before` and `after` as far as they are there, and a `text`."""
    found: list[dict[str, Any]] = []
    for member in (*before, *(name for name in after if name not in before)):
        there, then = member in before, member in after
        if there and then and before[member] == after[member]:
            continue
        change: dict[str, Any] = {"member": member}
        if there:
            change["before"] = before[member]
        if then:
            change["after"] = after[member]
        change["text"] = _text(member, before, after)
        found.append(change)
    return found


def _text(member: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if member not in before:
        return f"{member}: {_shown(after[member])} (new)"
    if member not in after:
        return f"{member}: {_shown(before[member])} (gone)"
    return f"{member}: {_shown(before[member])} → {_shown(after[member])}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
