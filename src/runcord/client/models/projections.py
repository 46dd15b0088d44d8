"""Projections: read models and their generations."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from runcord.client.models.base import Model


class ProjectionGeneration(Model):
    """Show one build of a projection.

    `status` is `live` (it is read), `building`, `ready` (it has caught up), `retired` (it was live) or `dropping`;
    `progress` the part of the ledger that it has taken, 0 to 1; `behind` how many events it has still to take.
    """

    generation: int
    version: int
    status: str
    position: int
    behind: int
    progress: float
    switches: bool
    created_at: datetime | None = None
    moved_at: datetime | None = None
    parked_at: int | None = None
    error: str | None = None


class Projection(Model):
    """Show a projection with its generations; `head` is the position of the ledger's last event.

    `kind` is `tracked`, or `inline` for rows that commits themselves write, as generation 0.
    """

    name: str
    kind: str
    version: int
    head: int
    generations: Sequence[ProjectionGeneration]

    def in_status(self, status: str) -> ProjectionGeneration | None:
        """Return the newest generation in a status, or None."""
        return next((one for one in reversed(self.generations) if one.status == status), None)


class RowDifference(Model):
    """Show a row that only the live side has (`missing`), only the rebuilt one (`surplus`), or that `differs`."""

    key: Mapping[str, Any]
    how: str


class ProjectionComparison(Model):
    """Show how the rebuilt generation and the live one differ, both at `position`; `first` names some of the rows."""

    name: str
    position: int
    equal: bool
    live_generation: int
    rebuilt_generation: int
    live_rows: int
    rebuilt_rows: int
    differing: int
    missing: int
    surplus: int
    first: Sequence[RowDifference]
