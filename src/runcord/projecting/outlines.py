"""From stored events to steps that hold outlines: what most projections go by, at a fraction of the cost of runs.

What a page holds is read without the bytes that nobody looks at, and without the events that change no outline and
that no projection of those at work reads. Types that nobody knows are an error here: `runcord.projecting.steps`
reads such pages, event by event.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg

from runcord.ledger import mapper
from runcord.projecting.folding import Batch
from runcord.projecting.generations import Generation, snapshots_of
from runcord.projecting.projection import AnyProjection, Step
from runcord.projecting.steps import whole_steps
from runcord.recorded import Recorded
from runcord.run.build import named_tuple
from runcord.run.outline import CHANGES, JOINING, Outline, first_outline
from runcord.run.status import FINISHED
from runcord.sql import load

SQL = load("runcord.sql", "queries/projections.sql")

OUTLINES_KEPT = 50_000
"""How many outlines are remembered from one page to the next; about 600 bytes each."""

LARGE_BYTES = 2_000
"""Events that are larger are read by themselves, so that pages are small whatever they hold."""

AT_ONCE_BYTES = 16_000_000
"""So many bytes of large events are read together, or one event."""

_RUN = "run_"
_NO_ID = UUID(int=0)
_NO_METADATA: Mapping[str, Any] = {}


class Outlines:
    """The outlines of runs as they were at one position of a ledger, as far as they are remembered."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._known: dict[str, Outline] = {}

    def follow(
        self,
        conn: psycopg.Connection[Any],
        project_id: str,
        until: int,
        group: Sequence[Generation],
        projections: Mapping[str, AnyProjection],
    ) -> Batch:
        """Return what the events after `position` and up to another say to generations that stand there; go on to it.

        Raises:
            UnknownEventType: nobody can read one of the events.
            ValueError: likewise.
        """
        after, shown = self.position, [projections[one.name] for one in group]
        every = max((one.every for one in shown if one.every > 1), default=0)
        steps = self._steps(conn, project_id, until, shown, every)
        if not every:
            return Batch(steps)
        run_ids = {step.recorded.stream_id for step in steps if not step.recorded.version % every and step.after}
        whole = whole_steps(conn, project_id, run_ids, after, until, every, snapshots_of(group)) if run_ids else []
        return Batch(steps, Batch(whole))

    def _steps(
        self,
        conn: psycopg.Connection[Any],
        project_id: str,
        until: int,
        projections: Collection[AnyProjection],
        every: int,
    ) -> list[Step]:
        """Return the steps whose events these projections read, or whose versions are multiples of `every`."""
        scope = {
            "project_id": project_id,
            "ignored": _ignored(projections),
            "silent": list(mapper.SILENT_EVENTS),
            "large": LARGE_BYTES,
        }
        params = {**scope, "after": self.position, "until": until, "every": every}
        page = conn.execute(SQL["outlines_page"], params, binary=True).fetchall()
        known = self._known
        if unknown := _unknown(known, page):
            before = {**scope, "stream_ids": unknown, "position": self.position}
            rows = conn.execute(SQL["outlines_before"], before, binary=True).fetchall()
            _steps(known, rows, _large(conn, project_id, rows))
        steps = _steps(known, page, _large(conn, project_id, page))
        self.position = until
        if len(known) > OUTLINES_KEPT:
            self._forget({stream_id for stream_id, *_ in page})
        return steps

    def _forget(self, recent: Collection[str]) -> None:
        """Keep those that are still at work, or have just moved, unless they are too many as well."""
        kept = {run_id: run for run_id, run in self._known.items() if run.status not in FINISHED}
        if len(kept) > OUTLINES_KEPT:
            kept = {run_id: run for run_id, run in kept.items() if run_id in recent}
        self._known = kept


def can_outline(projections: Iterable[AnyProjection]) -> bool:
    """Tell whether projections can be moved on by outlines alone, but for those that want whole runs now and then."""
    return all(one.outlined or one.every > 1 for one in projections)


def _steps(known: dict[str, Outline], rows: Iterable[tuple[Any, ...]], large: Mapping[int, Any]) -> list[Step]:
    """Return what events do, and have it done to the outlines that are known.

    This is done for every event of a ledger, so tuples are made without the detour through their constructors.
    """
    silent, decode, change = mapper.SILENT_EVENTS, mapper.decode_outline, CHANGES.get
    steps: list[Step] = []
    for stream_id, version, position, at, name, data in rows:
        event = silent.get(name)
        if event is None:
            event = large[position] if data is None else decode(name, data)
        recorded = named_tuple(Recorded, (stream_id, version, position, at, _NO_ID, _NO_METADATA, event))
        before = after = known.get(stream_id)
        if before is None:
            after = first_outline(recorded)
        elif (evolve := change(event.__class__)) is not None:
            after = evolve(before, event, at)
        if after is not None and after is not before:
            known[stream_id] = after
        steps.append(named_tuple(Step, (before, recorded, after)))
    return steps


def _unknown(known: Mapping[str, Outline], page: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the runs of a page that were there before it, and that nothing is known of."""
    met: set[str] = set()
    unknown: list[str] = []
    for row in page:
        stream_id = row[0]
        if stream_id not in met:
            met.add(stream_id)
            if row[1] > 1 and stream_id not in known and stream_id.startswith(_RUN):
                unknown.append(stream_id)
    return unknown


def _large(conn: psycopg.Connection[Any], project_id: str, rows: Sequence[tuple[Any, ...]]) -> Mapping[int, Any]:
    """Return the events, by their positions, that were too large to be read along."""
    silent = mapper.SILENT_EVENTS
    left = {row[2] for row in rows if row[5] is None and row[4] not in silent}
    found: dict[int, Any] = {}
    while left:
        params = {"project_id": project_id, "positions": list(left), "bytes": AT_ONCE_BYTES}
        for position, name, data in conn.execute(SQL["events_at"], params, binary=True):
            found[position] = mapper.decode_outline(name, data)
        left -= found.keys()
    return found


def _ignored(projections: Collection[AnyProjection]) -> list[str]:
    """Return the names of the events of which nothing is wanted. Names that nobody knows are not among them."""
    wanted = {*CHANGES, *JOINING}.union(*(one.reads for one in projections if one.outlined))
    return [name for name, cls in mapper.REGISTRY.items() if cls not in wanted]
