"""A run's events as a sequence to be followed: numbered by their versions."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from runcord.errors import UnknownEventType
from runcord.ledger import mapper
from runcord.ledger.feed import Entry, Feed
from runcord.ledger.statements import Read
from runcord.ledger.transaction import Row
from runcord.projecting.time_travel import events_of_types_descending
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.evolve import STATUS_EVENTS, evolve
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.sql import load
from runcord.streaming.patience import patiently

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/ledger.sql")

PAGE_EVENTS = 200
PAGE_BYTES = 256 * 1024
"""A page ends with the event that reaches this size."""


@dataclass(frozen=True)
class Undecoded:
    """An event of a type that this version of Runcord does not know: another one has written it."""

    type_name: str
    data: bytes


@dataclass(frozen=True)
class Step:
    """One event, and the run's status before and after it; None before there was a run."""

    recorded: Recorded[Any]
    before: Status | None
    after: Run
    error: e.Failure | None
    """What went wrong, if it was this event that said so."""


class Track:
    """The status of a run from event to event."""

    def __init__(self, run: Run | None) -> None:
        self._run = run

    @property
    def is_finished(self) -> bool:
        """Whether no worker will touch the run any more unless somebody asks."""
        return self._run is not None and self._run.is_finished

    def step(self, recorded: Recorded[Any]) -> Step:
        """Go on by one event."""
        before = self._run
        after = before if isinstance(recorded.event, Undecoded) else evolve(before, recorded)
        assert after is not None  # what begins a run is a type that every version knows
        self._run = after
        news = after.error if before is None or after.error is not before.error else None
        return Step(recorded, None if before is None else before.status, after, news)


async def load_events(read: Read, project_id: str, run_id: str, after: int) -> list[Entry[Recorded[Any]]]:
    """Return the next events of a run after a version."""
    params = {"project_id": project_id, "stream_id": run_id, "after": after, "limit": PAGE_EVENTS, "bytes": PAGE_BYTES}
    return [Entry(row[1], len(row[6]), _recorded(row)) for row in await read(SQL["stream_page"], params)]


async def last_position(read: Read, project_id: str) -> int:
    """Return how far a project's ledger has got."""
    rows = await read(SQL["head"], {"project_id": project_id})
    return rows[0][0] if rows else 0


async def track_from(read: Read, project_id: str, run: Run, version: int) -> Track:
    """Return the track of a run from a version on; any later state of the run will do."""
    if version == 0:
        return Track(None)
    last: Sequence[Recorded[Any]] = await events_of_types_descending(
        read, project_id, run.run_id, STATUS_EVENTS, before=version + 1, limit=1
    )
    begins = isinstance(last[0].event, e.Triggered)
    return Track(evolve(None if begins else run, last[0]))


async def follow_events(feed: Feed[Recorded[Any]], track: Track, version: int) -> AsyncGenerator[list[Step]]:
    """Yield the events after a version, in pages, as they come; end when the run is finished and all were given."""
    while True:
        page = await patiently(lambda: feed.page(version))  # noqa: B023
        version = page.reached
        if page.entries:
            yield [track.step(entry.value) for entry in page.entries]
        elif track.is_finished:
            return
        else:
            await feed.beyond(version)


def _recorded(row: Row) -> Recorded[Any]:
    try:
        return mapper.recorded(row)
    except UnknownEventType as error:
        log.warning("event_not_decoded", stream_id=row[0], version=row[1], error=error.message)
        stream_id, version, position, at, event_id, type_name, data, metadata = row
        event = Undecoded(type_name, data)
        return Recorded(stream_id, version, position, at, event_id, orjson.loads(metadata), event)
