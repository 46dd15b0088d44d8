"""A projection, as far as it is on record: which events it passes over."""

from dataclasses import dataclass

from runcord.projection.events import Event
from runcord.recorded import Recorded

PREFIX = "projection_"


def stream_of(name: str) -> str:
    """Return the id of the stream of a projection."""
    return PREFIX + name


@dataclass(frozen=True)
class Skips:
    """The positions of the events that a projection passes over, in the order in which this was decided."""

    projection_id: str
    version: int
    positions: tuple[int, ...]


def evolve(skips: Skips | None, recorded: Recorded[Event]) -> Skips:
    """Return the skips after `recorded`. Pure and total."""
    known = () if skips is None else skips.positions
    return Skips(recorded.stream_id, recorded.version, (*known, recorded.event.position))
