"""Reading what a subscription has missed: versions of runs, or runs as they are, page by page from the database.

All of it is bounded: a page is some thousand positions of the ledger, or less if there is more in them than some bytes.
"""

from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

from runcord.ledger.statements import Read
from runcord.ledger.transaction import Row
from runcord.streaming.selection import Selection
from runcord.streaming.versions import SQL, Fold, Version, version_of_row

STRIDE = 5_000
"""How many positions one page takes in."""
PAGE_VERSIONS = 200
PAGE_BYTES = 256 * 1024
"""A page ends with the version that reaches this size."""
LIST_ROWS = 1_000


class Page(NamedTuple):
    """Versions in the order of their positions. Up to the position `reached`, there are no others."""

    versions: Sequence[Version]
    reached: int


async def every_version(
    read: Read, project_id: str, fold: Fold, selection: Selection, after: int, head: int, stride: int = STRIDE
) -> Page:
    """Return what the next events after a position have made of the selected runs. The ledger has reached `head`."""
    limits = {"limit": PAGE_VERSIONS, "bytes": PAGE_BYTES}
    if selection.run_id is not None:
        until = head
        place = {"project_id": project_id, "run_id": selection.run_id, "after": after, "until": head}
        rows = await read(SQL["events_of_run"], {**place, **limits})
    else:
        until = min(after + stride, head)
        place = {"project_id": project_id, "after": after, "until": until}
        rows = await read(SQL["events_selected"], {**place, **limits, **selection.params})
    reached = rows[-1][2] if _is_full(rows, 6) else max(after, until)
    return Page(await fold.versions(rows, selection.has), reached)


async def latest_versions(
    read: Read, project_id: str, selection: Selection, after: int, head: int, stride: int = STRIDE
) -> Page:
    """Return the selected runs whose last events lie after a position, as they are. The ledger has reached `head`.

    A run that moves beyond `head` meanwhile may be left out: its last event lies beyond what the page has reached.
    """
    if selection.run_id is not None:
        place = {"project_id": project_id, "run_id": selection.run_id, "after": after}
        rows = await read(SQL["run_moved"], place)
        return Page(_selected(rows, selection), max([head, after, *(row[0] for row in rows)]))
    until = min(after + stride, head)
    params = {"project_id": project_id, "after": after, "until": until, **selection.params}
    rows = await read(SQL["runs_moved"], {**params, "limit": PAGE_VERSIONS, "bytes": PAGE_BYTES})
    reached = rows[-1][0] if _is_full(rows, 1, 2, 3) else max(after, until)
    return Page(_selected(rows, selection), reached)


async def at_rest(
    read: Read, project_id: str, selection: Selection, positions: Sequence[int], size: int
) -> tuple[list[Version], int]:
    """Return the selected runs whose last events are at some positions, as they are; and how many positions were taken.

    As many as have `size` bytes together, and at least one; runs that have moved on since are left out.
    """
    taken = len(positions)
    while True:
        params = {"project_id": project_id, "positions": list(positions[:taken]), "bytes": size}
        rows = await read(SQL["runs_at_rest"], params)
        if taken <= 1 or _size(rows, 1, 2, 3) < size:
            return _selected(rows, selection), taken
        taken //= 2


class Listing:
    """The present state of the selected runs, by the positions of their last events.

    First the positions are gathered, eight bytes for each run; then the runs are read at these. One that moves
    meanwhile is left out: it is found after `head`, the position from which to go on when the listing is over.
    """

    def __init__(self, read: Read, project_id: str, selection: Selection, head: int) -> None:
        self._read = read
        self._project_id = project_id
        self._selection = selection
        self._head = head
        self._lists = list(selection.lists)
        self._before: int | None = None
        self._found = array("q")
        self._place: int | None = None

    async def next(self) -> Page | None:
        """Return the next page, which may be empty; None when all were given. What it has reached lies below `head`."""
        if self._lists:
            await self._gather()
            return Page((), 0)
        if self._place is None:
            self._found = array("q", sorted(set(self._found)))
            self._place = 0
        positions = self._found[self._place : self._place + PAGE_VERSIONS].tolist()
        if not positions:
            return None
        params = {"project_id": self._project_id, "positions": positions, "bytes": PAGE_BYTES}
        rows = await self._read(SQL["runs_at_rest"], params)
        # A page that was cut short of bytes goes on after its last run.
        last = rows[-1][0] if _is_full(rows, 1, 2, 3) else positions[-1]
        self._place += positions.index(last) + 1
        return Page(_selected(rows, self._selection), last)

    async def _gather(self) -> None:
        params = {**self._lists[0], "project_id": self._project_id, "limit": LIST_ROWS}
        params["before"] = self._head + 1 if self._before is None else self._before
        rows = await self._read(SQL["positions_of_runs"], params)
        self._found.extend(position for position, _ in rows if position <= self._head)
        if len(rows) == LIST_ROWS:
            self._before = rows[-1][1]
        else:
            self._lists.pop(0)
            self._before = None


def _is_full(rows: Sequence[Row], *sized: int) -> bool:
    """Whether a page was cut short, so that there may be more up to where it was looked."""
    return len(rows) >= PAGE_VERSIONS or _size(rows, *sized) >= PAGE_BYTES


def _size(rows: Sequence[Row], *sized: int) -> int:
    return sum(len(row[place] or b"") for row in rows for place in sized)


def _selected(rows: Sequence[Any], selection: Selection) -> list[Version]:
    return [version for row in rows if selection.has((version := version_of_row(row)).run)]
