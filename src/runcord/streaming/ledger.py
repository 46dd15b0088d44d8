"""The ledger of a project as a sequence to be followed: every event, in the order of the commits, from any position on.

Events are given as they are stored, and decoded only if a later version of their type has taken their place. What a
reader has seen up to a position is complete: positions have no holes and are given in the order of the commits.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from runcord.ledger import mapper
from runcord.ledger.feed import Entry, Feed
from runcord.ledger.hub import Hub
from runcord.ledger.statements import Read
from runcord.ledger.upcasts import UPCASTS
from runcord.sql import load
from runcord.streaming.events import last_position
from runcord.streaming.patience import patiently

SQL = load("runcord.sql", "queries/feed.sql")

PAGE_BYTES = 1024 * 1024
"""A page ends with the event that reaches this size."""
STRIDE = 10_000
"""How many positions one look for chosen events takes in."""
PAGE_EVENTS = 1000
"""How many events a reader that is behind gets at once."""
LIVE_EVENTS, LIVE_BYTES = 200, 64 * 1024
"""The same for readers at the end of the ledger, and how many bytes."""
PAUSE_SECS = 0.005
_RECHECK_SECS = 5.0


class StoredEvent(NamedTuple):
    """One event as it is stored: `data` and `metadata` are JSON. Times are the ledger's."""

    stream_id: str
    version: int
    position: int
    recorded_at: datetime
    event_id: UUID
    type: str
    data: bytes
    metadata: bytes

    def latest(self) -> "StoredEvent":
        """Return the event in the latest version of its type, if this version of Runcord knows one."""
        if self.type not in UPCASTS:
            return self
        event = mapper.decode(self.type, self.data)
        return self._replace(type=event.TYPE, data=mapper.encode(event))


class Page(NamedTuple):
    """Events in their order. Up to the position `reached`, there are no others that were chosen."""

    events: Sequence[StoredEvent]
    reached: int


@dataclass(frozen=True)
class Choice:
    """Which events of a ledger: of these types, of one run, of a job and its runs, of runs with all these tags.

    Tags are those that a run has when it is looked at. Streams of the `hidden` kinds are left out.
    """

    types: tuple[str, ...] | None = None
    """Stored names."""
    run_id: str | None = None
    job_id: str | None = None
    tags: Mapping[str, str] | None = None
    tag_keys: tuple[str, ...] | None = None
    hidden: tuple[str, ...] = ()

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """The parameters of the statements."""
        return {
            "types": None if self.types is None else list(self.types),
            "run_id": self.run_id,
            "job_id": self.job_id,
            "tags": None if self.tags is None else orjson.dumps(self.tags).decode(),
            "tag_keys": None if self.tag_keys is None else list(self.tag_keys),
            "hidden": list(self.hidden),
            "asks_for_runs": self._asks_for_runs,
        }

    @property
    def is_everything(self) -> bool:
        """Whether no more is left out than what is hidden."""
        return self.types is None and self.run_id is None and not self._asks_for_runs

    @property
    def _asks_for_runs(self) -> bool:
        return self.job_id is not None or self._asks_for_tags

    @property
    def _asks_for_tags(self) -> bool:
        return self.tags is not None or self.tag_keys is not None

    async def of(self, read: Read, project_id: str, events: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Return those of `events` that are chosen."""
        found = [event for event in events if self._may_have(event)]
        if not self._asks_for_runs or not found:
            return found
        run_ids = sorted({event.stream_id for event in found})
        rows = await read(SQL["runs_chosen"], {"project_id": project_id, "run_ids": run_ids, **self.params})
        chosen = {run_id for (run_id,) in rows}
        if not self._asks_for_tags and self.job_id is not None:
            chosen.add(self.job_id)
        return [event for event in found if event.stream_id in chosen]

    def _may_have(self, event: StoredEvent) -> bool:
        return (
            (self.types is None or event.type in self.types)
            and (self.run_id is None or event.stream_id == self.run_id)
            and event.stream_id.partition("_")[0] not in self.hidden
        )


async def load_page(read: Read, project_id: str, choice: Choice, after: int, head: int, limit: int) -> Page:
    """Return the next chosen events after a position, at most `limit`, as far as one look goes.

    `head` is a position that the ledger has reached. A page without events says how far there are none.
    """
    params = {"project_id": project_id, "after": after, "limit": limit, "bytes": PAGE_BYTES, **choice.params}
    if choice.run_id is not None:
        found = [StoredEvent(*row) for row in await read(SQL["page_of_run"], params)]
        return Page(await choice.of(read, project_id, found), found[-1].position if found else max(after, head))
    stride = limit if choice.is_everything else STRIDE
    found = [StoredEvent(*row) for row in await read(SQL["page"], {**params, "stride": stride})]
    return Page(found, found[-1].position if found else max(after, min(after + stride, head)))


async def load_window(read: Read, project_id: str, after: int) -> list[Entry[StoredEvent]]:
    """Return the next events after a position, for all readers at the end of the ledger."""
    params = {"project_id": project_id, "after": after, "limit": LIVE_EVENTS, "bytes": LIVE_BYTES}
    rows = await read(SQL["page"], {**params, "stride": LIVE_EVENTS, **Choice().params})
    return [Entry(row[2], len(row[6]), StoredEvent(*row)) for row in rows]


async def follow_ledger(
    read: Read, hub: Hub, feed: Feed[StoredEvent], project_id: str, choice: Choice, after: int
) -> AsyncGenerator[Sequence[StoredEvent]]:
    """Yield the chosen events after a position, in pages, as they come, without end.

    A reader that is behind reads for itself; at the end of the ledger all share what one query brings.
    """
    head = await patiently(lambda: last_position(read, project_id))
    while after < head:
        page = await patiently(lambda: load_page(read, project_id, choice, after, head, PAGE_EVENTS))  # noqa: B023
        after = page.reached
        if page.events:
            yield page.events
    while True:
        window = await patiently(lambda: feed.page(after))  # noqa: B023
        after = window.reached
        if window.entries:
            events = [entry.value for entry in window.entries]
            chosen = await patiently(lambda: choice.of(read, project_id, events))  # noqa: B023
            if chosen:
                yield chosen
        elif await hub.moved(project_id, after, _RECHECK_SECS):
            # Under load, one look then finds what several commits have brought.
            await asyncio.sleep(PAUSE_SECS)
            feed.hear(hub.position(project_id))
