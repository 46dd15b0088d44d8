"""From what a subscription asks for, in the words of a query, to the runs that it selects."""

from collections.abc import Sequence
from datetime import datetime
from itertools import product

from runcord.run.status import Status
from runcord.streaming.selection import Selection, Spelling, WantedTag
from runcord_projections.run_terms import RunFilter
from runcord_projections.run_terms.terms import tag_terms

_MOST_LISTS = 8
"""A list of the present state for each way to spell the tags, up to so many; further tags are left to be looked at."""


def tag(text: str, *, any_value: bool = False) -> WantedTag:
    """Return the tag that `text` stands for: that key without a value, or key and value around the first colon.

    With `any_value`, a text without a colon stands for its key with any value.
    """
    key, colon, value = text.partition(":")
    if not colon:
        spellings: tuple[Spelling, ...] = ((text, None if any_value else ""),)
    else:
        spellings = ((text, ""), (key, value)) if key else ((text, ""),)
    return WantedTag(spellings, tuple(_term(*spelling) for spelling in spellings))


def selection(
    *,
    tags: Sequence[WantedTag] = (),
    job_id: str | None = None,
    batch_id: str | None = None,
    statuses: Sequence[Status] | None = None,
    created_since: datetime | None = None,
) -> Selection:
    """Return the selection of runs for which everything given holds."""
    listed: list[WantedTag] = []
    lists = 1
    for one in tags:
        lists *= len(one.spellings)
        if lists > _MOST_LISTS:
            break
        listed.append(one)
    filters = [
        RunFilter(statuses=statuses, job_id=job_id, batch_id=batch_id, tags=dict(spelled))
        for spelled in product(*(one.spellings for one in listed))
    ]
    return Selection(
        tags=tuple(tags),
        job_id=job_id,
        batch_id=batch_id,
        statuses=None if statuses is None else frozenset(statuses),
        created_since=created_since,
        lists=tuple(one.params() for one in filters),
    )


def _term(key: str, value: str | None) -> int:
    of_key, of_both = tag_terms(key, value or "")
    return of_key if value is None else of_both
