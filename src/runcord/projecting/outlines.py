"""From stored events to what they do to outlines of runs, which most projections go by, at a fraction of the cost.

What a page holds is read without the bytes that nobody looks at, and without the events that change no outline and
that no projection of those at work reads. Runs that go plain ways are told by stretches (`runcord.run.stretches`), all
else by steps. Types that nobody knows are an error here: `runcord.projecting.steps` reads such pages, event by event.
"""

import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from runcord.ledger import mapper
from runcord.projecting.dividing import Page, divide, follow, places_of
from runcord.projecting.folding import Batch
from runcord.projecting.generations import Generation, snapshots_of
from runcord.projecting.projection import AnyProjection
from runcord.projecting.steps import whole_steps
from runcord.run.outline import CHANGES, JOINING, Outline
from runcord.run.status import FINISHED
from runcord.run.stretches import Ways
from runcord.sql import load

SQL = load("runcord.sql", "queries/projections.sql")

OUTLINES_KEPT = 50_000
"""How many outlines are remembered from one page to the next; about 600 bytes each."""

LARGE_BYTES = 2_000
"""Events that are larger are read by themselves, so that pages are small whatever they hold."""

AT_ONCE_BYTES = 16_000_000
"""So many bytes of large events are read together, or one event."""

_RUN = "run_"
_SILENT = mapper.SILENT_EVENTS


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""What PostgreSQL counts microseconds from."""


class Outlines:
    """The outlines of runs as they were at one position of a ledger, as far as they are remembered."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._known: dict[str, Outline] = {}
        self._ways = Ways()

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
        page, places = self._read(conn, project_id, until, shown, every)
        steps, stretches = divide(page, places, self._known, self._ways)
        run_ids = _due(page, every) if every else ()
        self.position = until
        if len(self._known) > OUTLINES_KEPT:
            self._forget(places)
        whole = whole_steps(conn, project_id, run_ids, after, until, every, snapshots_of(group)) if run_ids else []
        return Batch(steps, stretches, Batch(whole) if every else None)

    def _read(
        self,
        conn: psycopg.Connection[Any],
        project_id: str,
        until: int,
        projections: Collection[AnyProjection],
        every: int,
    ) -> tuple[Page, Mapping[str, Sequence[int]]]:
        """Return the events that these projections read or whose versions are multiples of `every`, and whose they are.

        What was before is known of all their runs then.
        """
        scope = {
            "project_id": project_id,
            "ignored": _ignored(projections),
            "silent": list(mapper.SILENT_EVENTS),
            "large": LARGE_BYTES,
        }
        params = {**scope, "after": self.position, "until": until, "every": every}
        [columns] = conn.execute(SQL["outlines_page"], params, binary=True).fetchall()
        page = _page(conn, project_id, *columns)
        known = self._known
        places = places_of(page)
        if unknown := _unknown(known, page, places):
            before = {**scope, "stream_ids": unknown, "position": self.position}
            rows = conn.execute(SQL["outlines_before"], before, binary=True).fetchall()
            large = _large(conn, project_id, [row[2] for row in rows if row[5] is None and row[4] not in _SILENT])
            for stream_id, _, position, at, name, data in rows:
                event = _SILENT.get(name)
                if event is None:
                    event = large[position] if data is None else mapper.decode_outline(name, data)
                follow(known, stream_id, at, event)
        return page, places

    def _forget(self, recent: Collection[str]) -> None:
        """Keep those that are still at work, or have just moved, unless they are too many as well."""
        kept = {run_id: run for run_id, run in self._known.items() if run.status not in FINISHED}
        if len(kept) > OUTLINES_KEPT:
            kept = {run_id: run for run_id, run in kept.items() if run_id in recent}
        self._known = kept


def can_outline(projections: Iterable[AnyProjection]) -> bool:
    """Tell whether projections can be moved on by outlines alone, but for those that want whole runs now and then."""
    return all(one.outlined or one.every > 1 for one in projections)


def _page(
    conn: psycopg.Connection[Any],
    project_id: str,
    stream_ids: str | None,
    names: str,
    versions: bytes,
    positions: bytes,
    times: bytes,
    data: Sequence[bytes | None] | None,
) -> Page:
    """Return a page from the columns of `outlines_page`.

    Raises:
        UnknownEventType: nobody can read one of the events.
        ValueError: likewise.
    """
    if stream_ids is None:
        return Page((), (), (), (), ())
    count = len(positions) // 8
    ids, types, places = stream_ids.split("\n"), names.split("\n"), struct.unpack(f"!{count}q", positions)
    if not len(ids) == len(types) == count:
        raise ValueError("a name has several lines")
    events = list(map(_SILENT.get, types))
    told = [n for n, event in enumerate(events) if event is None]
    if data is not None:
        large = _large(conn, project_id, [places[n] for n, one in zip(told, data, strict=True) if one is None])
        for n, one in zip(told, data, strict=True):
            events[n] = large[places[n]] if one is None else mapper.decode_outline(types[n], one)
    micros = struct.unpack(f"!{count}q", times)
    moments = {at: _EPOCH + timedelta(microseconds=at) for at in set(micros)}
    return Page(ids, struct.unpack(f"!{count}i", versions), places, [moments[at] for at in micros], events)


def _due(page: Page, every: int) -> Collection[str]:
    """Return the runs of which a page has a version that is a multiple of a number."""
    stream_ids = {page.stream_ids[n] for n, version in enumerate(page.versions) if not version % every}
    return [stream_id for stream_id in stream_ids if stream_id.startswith(_RUN)]


def _unknown(known: Mapping[str, Outline], page: Page, places: Mapping[str, Sequence[int]]) -> list[str]:
    """Return the runs of a page that were there before it, and that nothing is known of."""
    versions = page.versions
    return [
        stream_id
        for stream_id, mine in places.items()
        if versions[mine[0]] > 1 and stream_id not in known and stream_id.startswith(_RUN)
    ]


def _large(conn: psycopg.Connection[Any], project_id: str, positions: Iterable[int]) -> Mapping[int, Any]:
    """Return the events at positions, which were too large to be read along."""
    left = set(positions)
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
