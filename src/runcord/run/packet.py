"""Packets: payloads and outputs as Trigger.dev's clients write and expect them, a text of some type.

Workers, filters and `/v1` know a payload as plain JSON. Of the packet that it came as, the type is kept, and the text
only where writing the plain payload anew, for that type, would give another: so it comes back byte for byte.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from runcord.errors import Invalid

Json = Any

PLAIN = "application/json"
SUPERJSON = "application/super+json"
TEXT = "text/plain"
STORE = "application/store"
"""The text is the path of an upload; it is read when the packet comes, and not kept as such."""


@dataclass(frozen=True)
class Packet:
    """What a payload does not tell of the text that it was read from. `type` of None is plain JSON."""

    type: str | None = None
    text: str | None = None


NOTHING = Packet()


def read(text: str, type: str, parse: Callable[[str], Json] = json.loads) -> tuple[Json, Packet]:
    """Return the plain payload that a text stands for, and what it does not tell of the text.

    `parse` reads JSON, and may be stricter than the standard library. What is of no type known here is a text.

    Raises:
        Invalid: the text is not of its type, or `parse` refuses it.
    """
    if type == PLAIN:
        payload = _parsed(text, type, parse)
    elif type == SUPERJSON:
        envelope = _parsed(text, type, parse)
        if not isinstance(envelope, dict):
            raise Invalid(f"a payload of the type {SUPERJSON} is an object with a member `json`")
        payload = cast(dict[str, Json], envelope).get("json")
    else:
        payload = text
    kept = None if _written(payload, type) == text else text
    return payload, Packet(None if type == PLAIN and kept is None else type, kept)


def text_of(payload: Json, packet: Packet) -> str | None:
    """Return the text of a payload; None if there is none at all."""
    if packet.text is not None:
        return packet.text
    return None if payload is None and packet.type is None else _written(payload, packet.type or PLAIN)


def _written(payload: Json, type: str) -> str:
    if type == SUPERJSON:
        return f'{{"json":{_compact(payload)}}}'
    if type != PLAIN and isinstance(payload, str):
        return payload
    return _compact(payload)


def _compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _parsed(text: str, type: str, parse: Callable[[str], Json]) -> Json:
    try:
        return parse(text)
    except ValueError as error:
        raise Invalid(f"the payload is not of the type {type}: {str(error)[:200]}") from error
