"""Taking a batch: having generations write what its steps make of their rows.

Nearly always all of them can take all of it, and it is written in one go. Where that fails, whether an event cannot be
read, a projection cannot fold it or the database refuses its rows, each generation is given the batch by itself, and
takes what comes before the first event that it cannot take.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from runcord.projecting.folding import Batch, Sheet, UnreadableEvent, sheet, write
from runcord.projecting.generations import Generation
from runcord.projecting.projection import AnyProjection

DATABASE_AWAY = (psycopg.OperationalError, psycopg.InterfaceError)
"""Errors that say nothing about the events: the same would succeed at another time."""


@dataclass(frozen=True)
class Refusal:
    """Why a generation could not take an event."""

    position: int
    reason: str


class Taking:
    """A batch and those that are to take it, within a transaction of the caller."""

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        project_id: str,
        projections: Mapping[str, AnyProjection],
        skips: Mapping[str, Collection[int]],
    ) -> None:
        self._conn = conn
        self._project_id = project_id
        self._projections = projections
        self._skips = skips

    def all(self, group: Sequence[Generation], batch: Batch) -> None:
        """Have generations take a whole batch.

        Raises:
            Exception: one of them cannot; the transaction has to be given up.
        """
        write(self._conn, self._project_id, sheets_of(self._projections, group, batch, self._skips))

    def up_to_refused(self, generation: Generation, batch: Batch) -> Refusal | None:
        """Have a generation take a batch, or what comes before its first event that it cannot take."""
        error = self._attempt(generation, batch)
        if error is None:
            return None
        taken, refused = 0, len(batch.steps)
        while refused - taken > 1:
            middle = (taken + refused) // 2
            found = self._attempt(generation, batch.first(middle), undo=True)
            if found is None:
                taken = middle
            else:
                refused, error = middle, found
        self.all([generation], batch.first(taken))
        return Refusal(batch.steps[taken].recorded.position, _reason(error))

    def _attempt(self, generation: Generation, batch: Batch, *, undo: bool = False) -> Exception | None:
        """Return why a generation cannot take a batch; if it can, it has taken it, unless that is to be undone."""
        try:
            with self._conn.transaction(force_rollback=undo):
                self.all([generation], batch)
        except DATABASE_AWAY:
            raise
        except Exception as error:
            return error
        return None


def sheets_of(
    projections: Mapping[str, AnyProjection],
    group: Sequence[Generation],
    batch: Batch,
    skips: Mapping[str, Collection[int]],
) -> list[Sheet]:
    """Return which rows of each generation a batch concerns, and what it says of them."""
    return [sheet(projections[one.name], one.number, batch, skips.get(one.name, ())) for one in group]


def _reason(error: Exception) -> str:
    first_line = str(error).partition("\n")[0]
    return first_line if isinstance(error, UnreadableEvent) else f"{type(error).__name__}: {first_line}"
