"""What the committer is given to keep in step with the log: inline views and inline projections.

An *inline view* holds the state of one kind of stream, so that commands are decided on a row instead of a
history. An *inline projection* derives further rows. Both write in the command's own transaction, from nothing
but the changes, so that a rebuild from the log gives the same rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runcord.recorded import Recorded

Statement = tuple[bytes, Mapping[str, Any]]
"""SQL with psycopg's named parameters, and their values."""


@dataclass(frozen=True)
class Change:
    """What one transaction did to one stream."""

    stream_id: str
    before: Any
    after: Any
    recorded: Sequence[Recorded[Any]]


class InlineProjection(Protocol):
    """Derives rows from changes."""

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterable[Statement]:
        """Return the statements that write what `changes` mean. Pure."""
        ...


class InlineView(InlineProjection, Protocol):
    """Holds the states of all streams whose ids begin with `prefix`."""

    @property
    def prefix(self) -> str:
        """The first part of the stream ids, with its underscore."""
        ...

    def load(self, project_id: str, stream_ids: Sequence[str]) -> Statement:
        """Return a query that gives rows of (stream id, version, stored state)."""
        ...

    def decode(self, stored: bytes) -> Any:
        """Return the state that was stored."""
        ...

    def evolve(self, state: Any, recorded: Recorded[Any]) -> Any:
        """Return the state after one more event."""
        ...
