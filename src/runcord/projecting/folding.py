"""Folding: one batch of steps into the rows of projections."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

import psycopg

from runcord.projecting.projection import AnyProjection, Step
from runcord.projecting.steps import Unreadable


class UnreadableEvent(Exception):
    """A projection reads an event that nobody can read."""


class Batch:
    """Steps that follow each other, sorted by what happened in them, so that projections pass over the others."""

    def __init__(self, steps: Sequence[Step], whole: "Batch | None" = None) -> None:
        """`whole` has the steps with whole runs for projections that are not outlined, if `steps` hold outlines."""
        self.steps = steps
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

    def save(self, conn: psycopg.Connection[Any], project_id: str) -> None:
        """Write it."""
        table = self.projection.table
        params = {"project_id": project_id, "generation": self.generation}
        if self.removed:
            conn.execute(table.remove, {**params, **table.lookup_arrays(self.removed)})
        if self.added:
            conn.execute(table.insert, {**params, **table.arrays(self.added)})
        if self.changed:
            conn.execute(table.save, {**params, **table.arrays(self.changed)})


def write(conn: psycopg.Connection[Any], project_id: str, sheets: Sequence[Sheet]) -> None:
    """Fold sheets into the rows that are there, and store what comes of it."""
    for found in sheets:
        found.load(conn, project_id)
    with conn.pipeline():  # the database writes the rows of one while those of the next are folded
        for found in sheets:
            found.fold().save(conn, project_id)


def sheet(projection: AnyProjection, generation: int, batch: Batch, skips: Collection[int]) -> Sheet:
    """Return which rows of a generation a batch concerns; the events at the positions `skips` are passed over.

    Raises:
        UnreadableEvent: nobody can read one of the events.
    """
    batch = batch.for_projection(projection)
    steps = batch.of(projection.reads)
    if skips:
        steps = [step for step in steps if step.recorded.position not in skips]
    if batch.has_unreadable:
        for step in steps:
            if step.recorded.event.__class__ is Unreadable:
                raise UnreadableEvent(step.recorded.event.reason)
    return Sheet(projection, generation, projection.gather(steps))
