"""The shape protocol of Trigger.dev's realtime (`spec/trigger.md` §4): offsets, handles, messages and headers. Pure.

An offset is `<position>_0`: the position of the ledger up to which the answer is complete. While a long snapshot is
under way it is `<position>_<place>`: the position that the whole snapshot is of, and where it goes on.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

_VERSION = 1
"""Part of handles: raised when rows change so that clients have to fetch them anew."""

_OFFSET = re.compile(r"(-1|[0-9]{1,18})(?:_([0-9]{1,20}))?")
_HANDLE = re.compile(r"([0-9]+-[0-9a-f]{24})(?:-([0-9]{1,15}))?")

UP_TO_DATE: Mapping[str, Any] = {"headers": {"control": "up-to-date"}}
MUST_REFETCH: Mapping[str, Any] = {"headers": {"control": "must-refetch"}}


@dataclass(frozen=True)
class Offset:
    """How far a client has got."""

    position: int
    place: int = 0

    def __str__(self) -> str:
        return f"{self.position}_{self.place}"


def parse_offset(text: str) -> Offset | None:
    """Return an offset; None for `-1`, before everything.

    Raises:
        ValueError: it is none that was ever sent.
    """
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:64]!r} is no offset")
    return None if match[1] == "-1" else Offset(int(match[1]), int(match[2] or 0))


@dataclass(frozen=True)
class Shape:
    """What a client subscribes to; `names` are the run, the batch, or the tags."""

    kind: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    window: str | None = None
    """How far back the runs of tags reach, as the client has said it."""

    @property
    def hash(self) -> str:
        """The part of the handle that says of what it is: the same on every server, and after a restart."""
        named = orjson.dumps([self.kind, sorted(self.names), self.columns, self.window])
        return f"{_VERSION}-{hashlib.sha256(named).hexdigest()[:24]}"

    def handle(self, since_ms: int | None) -> str:
        """Return the handle; `since_ms` is since when runs are triggered, so that the window does not slide."""
        return self.hash if since_ms is None else f"{self.hash}-{since_ms}"

    def knows(self, handle: str | None) -> bool:
        """Return whether a handle is of this shape."""
        match = _HANDLE.fullmatch(handle or "")
        return match is not None and match[1] == self.hash and (match[2] is not None) == (self.kind == "tags")


def since_of(handle: str) -> int | None:
    """Return since when the runs of a handle's shape are triggered, in milliseconds; None for any time."""
    match = _HANDLE.fullmatch(handle)
    return None if match is None or match[2] is None else int(match[2])


def messages(rows: Iterable[Mapping[str, str | None]], *, operation: str, complete: bool) -> list[Mapping[str, Any]]:
    """Return the body of an answer: a message for each row, and at the end whether that is all there is."""
    found: list[Mapping[str, Any]] = [
        {"key": f"run/{one['id']}", "value": one, "headers": {"operation": operation}} for one in rows
    ]
    return [*found, UP_TO_DATE] if complete else found


def headers(
    handle: str, offset: Offset | None, *, live: bool, complete: bool = True, schema: str | None = None
) -> dict[str, str]:
    """Return the headers of an answer; without an `offset`, of a 409."""
    found = {"Cache-Control": "no-store", "electric-handle": handle}
    if offset is None:
        return found
    found["electric-offset"] = str(offset)
    if live:
        found["electric-cursor"] = str(offset.position)
    elif schema is not None:
        found["electric-schema"] = schema
        if complete:
            found["electric-up-to-date"] = ""
    return found


def names_in(text: str | None) -> Sequence[str]:
    """Return the names in a list with commas."""
    return [name for part in (text or "").split(",") if (name := part.strip())]


def is_handle(text: str | None) -> bool:
    """Return whether a text is a handle of some shape."""
    return _HANDLE.fullmatch(text or "") is not None
