"""Reading the tag index: which tags there were at a position, and how many runs had each, by status."""

from collections.abc import Mapping
from typing import NamedTuple

from runcord.ledger.statements import Read
from runcord.run.status import Status
from runcord.sql import load
from runcord_projections.tag_index.projection import AREA_BITS, STATUSES, Tag, TagCounts

SQL = load("runcord_projections.tag_index", "view.sql")

_AT_ONCE = 1_000
_MOST_PASSED_OVER = 20_000
"""How many tags that no run had are passed over before a page ends short."""

_HIGHEST = "\U0010ffff" * 257
"""Sorts behind whatever a key or a value goes on with: values have at most 256 characters, keys fewer."""
_LOWEST = "\x01"
"""What a value goes on with in the one that follows it; PostgreSQL's texts have no NUL."""


class TagCount(NamedTuple):
    """How many runs had a tag, by status; statuses that none had are left out."""

    key: str
    value: str
    by_status: Mapping[Status, int]

    @property
    def total(self) -> int:
        """How many runs had the tag."""
        return sum(self.by_status.values())


class Choice(NamedTuple):
    """Which tags to read; all that is given must hold. A value or its prefix needs a key."""

    key: str | None = None
    value: str | None = None
    prefix: str = ""

    @property
    def start(self) -> Tag:
        """The first tag that there may be."""
        return self.key or "", max(self.value or "", self.prefix)

    @property
    def end(self) -> Tag:
        """What lies behind the last one."""
        if self.key is None:
            return _HIGHEST, ""
        ends = [] if self.value is None else [self.value + _LOWEST]
        return self.key, min([*ends, self.prefix + _HIGHEST])


async def tags_at(
    read: Read, project_id: str, position: int, choice: Choice, *, after: Tag | None = None, limit: int
) -> tuple[list[TagCount], Tag | None]:
    """Return tags that runs had at a position, in their order, beyond `after`; and where to go on if there may be more.

    At most `limit`; it may be fewer although there are more, where very many tags had no run at the position.
    """
    found: list[TagCount] = []
    start = choice.start if after is None else (after[0], after[1] + _LOWEST)
    passed_over, asked = 0, limit + 1
    while True:
        rows = await read(SQL["counts"], _params(project_id, position, start, choice.end, asked))
        for key, value, *counts in rows:
            by_status = _by_status(TagCounts(key, value, *counts), position) if counts[0] is not None else {}
            if not by_status:
                passed_over += 1
                continue
            if len(found) == limit:
                return found, (found[-1].key, found[-1].value)
            found.append(TagCount(key, value, by_status))
        if len(rows) < asked:
            return found, None
        if passed_over > _MOST_PASSED_OVER:
            return found, rows[-1][:2]
        start, asked = (rows[-1][0], rows[-1][1] + _LOWEST), min(2 * asked, _AT_ONCE)


def _params(project_id: str, position: int, start: Tag, end: Tag, limit: int) -> dict[str, object]:
    return {
        "project_id": project_id,
        "area": position >> AREA_BITS,
        "start_key": start[0],
        "start_value": start[1],
        "end_key": end[0],
        "end_value": end[1],
        "limit": limit,
    }


def _by_status(counts: TagCounts, position: int) -> dict[Status, int]:
    return {status: count for status, count in zip(STATUSES, counts.counts_at(position), strict=True) if count}
