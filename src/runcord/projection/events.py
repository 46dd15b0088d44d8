"""The events of a projection. The same rules hold as for `runcord.run.events`."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class EventSkipped:
    """Somebody decided that a projection passes over an event that it cannot take, in all its generations."""

    TYPE: ClassVar[str] = "projection.event_skipped.v1"
    position: int
    reason: str


Event = EventSkipped
