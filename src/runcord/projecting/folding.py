"""Folding: one projection's rows over one batch of steps."""

from collections.abc import Collection, Sequence
from typing import Any

import psycopg

from runcord.projecting.projection import Projection, Step
from runcord.projecting.steps import Unreadable


class Poisoned(Exception):
    """A projection cannot take an event."""

    def __init__(self, position: int, reason: str) -> None:
        self.position = position
        self.reason = reason
        super().__init__(f"position {position}: {reason}")


def fold(
    conn: psycopg.Connection[Any],
    projection: Projection[Any],
    project_id: str,
    generation: int,
    steps: Sequence[Step],
    skips: Collection[int] = (),
) -> None:
    """Bring the rows of a generation up to date with the steps that follow those it has seen.

    Nothing is committed here. The events at the positions `skips` are passed over.

    Raises:
        Poisoned: the projection cannot take one of the events, or nobody can read it. Nothing was written.
    """
    params = {"project_id": project_id, "generation": generation}
    concerned = _concerned(projection, steps, skips)
    if not concerned:
        return
    table = projection.table
    wanted = {key for key, _ in concerned}
    if projection.rows_are_runs:
        wanted -= {step.recorded.stream_id for _, step in concerned if step.before is None}
    rows: dict[Any, Any] = {}
    if wanted:
        stored = conn.execute(table.load, {**params, **table.key_arrays(wanted)}, binary=True)
        found = [table.row(*values) for values in stored]
        rows = {table.key_of(row): row for row in found}
    changed, removed = _evolve(projection, rows, concerned)
    if removed:
        conn.execute(table.remove, {**params, **table.key_arrays(removed)})
    if changed:
        conn.execute(table.save, {**params, **table.arrays(changed)})


def _concerned(projection: Projection[Any], steps: Sequence[Step], skips: Collection[int]) -> list[tuple[Any, Step]]:
    """Return each key with each step that concerns it, in the order of the steps."""
    reads, keys = projection.reads, projection.keys
    concerned: list[tuple[Any, Step]] = []
    for step in steps:
        kind = step.recorded.event.__class__
        if kind in reads:
            if skips and step.recorded.position in skips:
                continue
            try:
                concerned.extend([(key, step) for key in keys(step)])
            except Exception as error:
                raise _poisoned(step, error) from error
        elif kind is Unreadable and step.recorded.position not in skips:
            raise Poisoned(step.recorded.position, step.recorded.event.reason)
    return concerned


def _evolve(
    projection: Projection[Any], rows: dict[Any, Any], concerned: Sequence[tuple[Any, Step]]
) -> tuple[Collection[Any], Collection[Any]]:
    """Fold, and return the rows to store and the keys of the rows to remove."""
    evolve, identity = projection.evolve, projection.table.identity
    stored = set(rows)
    changed: dict[Any, Any] = {}
    for key, step in concerned:
        before = rows.get(key)
        try:
            after = evolve(before, key, step)
        except Exception as error:
            raise _poisoned(step, error) from error
        if after is before:
            continue
        if after is None:
            changed.pop(identity(before), None)
            del rows[key]
        else:
            changed[identity(after)] = rows[key] = after
    return changed.values(), stored - rows.keys()


def _poisoned(step: Step, error: Exception) -> Poisoned:
    return Poisoned(step.recorded.position, f"{type(error).__name__}: {error}")
