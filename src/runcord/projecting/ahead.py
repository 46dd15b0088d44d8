"""Building ahead: while the database writes one page, the next one is read and folded.

For generations that are far behind and go by outlines. A page is one transaction, as a batch of the projector is:
rows and position together, and what is killed at any moment goes on where it stood. Nothing is decided here: whatever
is in the way, an event that cannot be taken or a generation that somebody else has moved, is left to the projector.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from runcord.faults import fault_point
from runcord.ledger.database import connect_writer
from runcord.projecting import generations as g
from runcord.projecting.folding import Sheet, write
from runcord.projecting.generations import Generation
from runcord.projecting.outlines import Outlines, can_outline
from runcord.projecting.pace import Pace
from runcord.projecting.projection import AnyProjection
from runcord.projecting.taking import sheets_of

PAGE_EVENTS = 20_000
"""Long enough that most runs are over within a page, and their rows written once."""

WORTHWHILE = 2 * PAGE_EVENTS
"""Generations that are less far behind, in events, are the projector's work."""

CLOSE = 1_000
"""So many events before the ledger's end building ahead ends: what comes then is more than folding."""


class Interrupted(Exception):
    """Somebody else has moved a generation, or wants it no more."""


class Ahead:
    """Two connections, and a thread that writes. To be used as a context manager, by one thread."""

    def __init__(self, dsn: str, projections: Mapping[str, AnyProjection]) -> None:
        self._projections = projections
        with ExitStack() as opened:
            self._reader = opened.enter_context(connect_writer(dsn))
            self._writer = opened.enter_context(connect_writer(dsn))
            self._reader.autocommit = self._writer.autocommit = True
            self._thread = opened.enter_context(ThreadPoolExecutor(1, thread_name_prefix="writer"))
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def build(self, project_id: str, pace: Pace) -> int:
        """Move those generations of a project on that are furthest behind, until others join them or the end is near.

        Returns how many events they have taken.

        Raises:
            Exception: there was something in the way; all pages before are written.
        """
        group, end = self._furthest_behind(project_id)
        if not group:
            return 0
        begun = after = group[0].position
        outlines = Outlines(after)
        written: Future[None] | None = None
        try:
            while after < end:
                until = min(after + pace.portion(PAGE_EVENTS), end)
                sheets = self._sheets(project_id, group, outlines, until)
                if written is not None:
                    written.result()
                written = self._thread.submit(self._write, project_id, group, sheets, after, until)
                pace.keep(until - after)
                after = until
        finally:
            if written is not None:
                written.result()
        return after - begun

    def _furthest_behind(self, project_id: str) -> tuple[Sequence[Generation], int]:
        """Return the generations to build, and up to where; none if that is nothing for here."""
        end = g.head_position(self._reader, project_id) - CLOSE
        known = [
            one for one in g.load_generations(self._reader, project_id) if one.moves and one.name in self._projections
        ]
        after = min((one.position for one in known), default=end)
        group = [one for one in known if one.position == after]
        end = min([end, *(one.position for one in known if one.position > after)])
        plain = can_outline(self._projections[one.name] for one in group)
        return (group, end) if plain and end - after >= WORTHWHILE else ([], after)

    def _sheets(self, project_id: str, group: Sequence[Generation], outlines: Outlines, until: int) -> Sequence[Sheet]:
        with self._reader.transaction():
            skips = g.load_skips(self._reader, project_id)
            batch = outlines.follow(self._reader, project_id, until, group, self._projections)
        return sheets_of(self._projections, group, batch, skips)

    def _write(
        self, project_id: str, group: Sequence[Generation], sheets: Sequence[Sheet], after: int, until: int
    ) -> None:
        conn = self._writer
        with conn.transaction():
            held = g.lock(conn, project_id, [replace(one, position=after) for one in group])
            if len(held) < len(group):
                raise Interrupted("a generation is not where it was")
            write(conn, project_id, sheets)
            g.move(conn, project_id, group, until)
            fault_point("projector.before_commit")
        fault_point("projector.after_commit")
