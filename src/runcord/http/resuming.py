"""Streams that are taken up again: after what they go on."""

from typing import cast

from runcord.errors import Invalid
from runcord.http.models.stream import StreamQuery
from runcord.http.operation import Call
from runcord.http.sse import last_event_id
from runcord.streaming.events import last_position


async def position_after(call: Call) -> int:
    """Return the position of the project's ledger after which the caller wants to begin. Raises as `place_after`."""
    last = await last_position(call.backend.read, call.project_id)
    return place_after(call, last, "position that the project's ledger")


def place_after(call: Call, last: int, what: str, given: int | None = None) -> int:
    """Return the number after which the caller wants to begin: `given`, or what the query of a stream says.

    Raises:
        Invalid: it is none, or lies beyond the `last` one that there is.
    """
    place = last_event_id(call.request)
    if place is None:
        place = cast(StreamQuery, call.given_query).place if given is None else given
    if place > last:
        raise Invalid(f"{place} is beyond the last {what} has ({last}): send the id of the last frame that you saw")
    return place
