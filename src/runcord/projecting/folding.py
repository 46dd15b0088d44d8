"""Folding: one batch of steps into the rows of projections."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

import psycopg

from runcord.projecting.projection import AnyProjection, Step, steps_of
from runcord.projecting.steps import Unreadable
from runcord.run.stretches import Stretch

COPIED_ROWS = 500
"""So many new rows are copied; fewer are inserted together with all else, in one turn."""


class UnreadableEvent(Exception):
    """A projection reads an event that nobody can read."""


class Batch:
    """What follows each other in a ledger: steps, sorted by what happened in them so that projections pass over others,
    and stretches of runs that nothing unusual happens to."""

    def __init__(self, steps: Sequence[Step], stretches: Sequence[Stretch] = (), whole: "Batch | None" = None) -> None:
        """`whole` has the steps with whole runs for projections that are not outlined, if `steps` hold outlines."""
        self.steps = steps
        self.stretches = stretches
        self._whole = whole
        self._by_type: dict[type, list[tuple[int, Step]]] = {}
        for numbered in enumerate(steps):
            kind = numbered[1].recorded.event.__class__
            known = self._by_type.get(kind)
            if known is None:
                self._by_type[kind] = [numbered]
            else:
                known.append(numbered)

    def for_projection(self, projection: AnyProjection) -> "Batch":
        """Return the part of the batch that a projection goes by."""
        return self if self._whole is None or projection.outlined else self._whole

    @cached_property
    def unrolled(self) -> "Batch":
        """The same, told by steps alone."""
        if not self.stretches:
            return self
        steps = [*self.steps, *chain.from_iterable(map(steps_of, self.stretches))]
        return Batch(sorted(steps, key=lambda step: step.recorded.position))

    @property
    def has_unreadable(self) -> bool:
        """Whether there is an event among them that nobody can read."""
        return Unreadable in self._by_type

    def of(self, types: Collection[type]) -> Sequence[Step]:
        """Return the steps in which something of these types happened, in their order, and those nobody can read."""
        kinds = [kind for kind in self._by_type if kind in types or kind is Unreadable]
        if len(kinds) == len(self._by_type):
            return self.steps
        found = [self._by_type[kind] for kind in kinds]
        numbered = found[0] if len(found) == 1 else sorted(chain.from_iterable(found), key=itemgetter(0))
        return [step for _, step in numbered]

    def first(self, count: int) -> "Batch":
        """Return the batch of its first steps only."""
        return Batch(self.steps[:count])


@dataclass
class Sheet:
    """The rows of one generation that a batch concerns."""

    projection: AnyProjection
    generation: int
    concerned: Mapping[Any, Any]
    """What the batch says of each key."""
    rows: dict[Any, Any] = field(default_factory=dict[Any, Any])
    """By what they are looked up by."""

    def load(self, conn: psycopg.Connection[Any], project_id: str) -> None:
        """Read the rows that are there already."""
        table = self.projection.table
        is_first = self.projection.is_first
        wanted = {table.looked_up_by(key) for key, notes in self.concerned.items() if not is_first(notes)}
        if wanted:
            params = {"project_id": project_id, "generation": self.generation, **table.lookup_arrays(wanted)}
            rows = [table.read(values) for values in conn.execute(table.load, params, binary=True)]
            self.rows = {table.found_by(row): row for row in rows}

    def fold(self) -> "Changes":
        """Return what the steps make of the rows."""
        evolve, table = self.projection.evolve, self.projection.table
        rows, stored = self.rows, set(self.rows)
        changed: dict[Any, Any] = {}
        added: dict[Any, Any] = {}
        for key, notes in self.concerned.items():
            place = table.looked_up_by(key)
            before = rows.get(place)
            after = evolve(before, key, notes)
            if after is before:
                continue
            if after is None:
                del rows[place]
            else:
                (added if before is None or not table.goes_on(before, after) else changed)[key] = rows[place] = after
        return Changes(self.projection, self.generation, added.values(), changed.values(), stored - rows.keys())


@dataclass(frozen=True)
class Changes:
    """What a batch makes of a generation."""

    projection: AnyProjection
    generation: int
    added: Collection[Any]
    changed: Collection[Any]
    removed: Collection[Any]

    @property
    def has_many(self) -> bool:
        """Whether there are so many new rows that it pays to copy them."""
        return len(self.added) >= COPIED_ROWS

    def copy(self, conn: psycopg.Connection[Any], project_id: str) -> None:
        """Write new rows, all at once. Not in a pipeline: the protocol does not allow it."""
        table = self.projection.table
        rows = table.copied(project_id, self.generation, self.added)
        with conn.cursor() as cursor, cursor.copy(table.copy) as copy:
            copy.write(rows)

    def save(self, conn: psycopg.Connection[Any], project_id: str) -> None:
        """Write the rest."""
        table = self.projection.table
        params = {"project_id": project_id, "generation": self.generation}
        if self.removed:
            conn.execute(table.remove, {**params, **table.lookup_arrays(self.removed)})
        if self.added and not self.has_many:
            conn.execute(table.insert, {**params, **table.arrays(self.added)})
        if self.changed:
            conn.execute(table.save, {**params, **table.arrays(self.changed)})


def write(conn: psycopg.Connection[Any], project_id: str, sheets: Sequence[Sheet]) -> None:
    """Fold sheets into the rows that are there, and store what comes of it."""
    for found in sheets:
        found.load(conn, project_id)
    folded = [found.fold() for found in sheets]
    for changes in folded:
        if changes.has_many:
            changes.copy(conn, project_id)
    with conn.pipeline():
        for changes in folded:
            changes.save(conn, project_id)


def sheet(projection: AnyProjection, generation: int, batch: Batch, skips: Collection[int]) -> Sheet:
    """Return which rows of a generation a batch concerns; the events at the positions `skips` are passed over.

    Raises:
        UnreadableEvent: nobody can read one of the events.
    """
    batch = batch.for_projection(projection)
    if skips or not projection.by_stretches:
        batch = batch.unrolled
    steps = batch.of(projection.reads)
    if skips:
        steps = [step for step in steps if step.recorded.position not in skips]
    if batch.has_unreadable:
        for step in steps:
            if step.recorded.event.__class__ is Unreadable:
                raise UnreadableEvent(step.recorded.event.reason)
    noted = projection.gather(steps)
    if batch.stretches:
        noted = projection.gather_stretches(batch.stretches, dict(noted))
    return Sheet(projection, generation, noted)
