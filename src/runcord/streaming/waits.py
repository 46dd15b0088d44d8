"""A wait for an event as a sequence to be followed: that it began, and how it ended."""

from contextlib import aclosing
from typing import Any

from runcord.handling.event_waits import EventWait, after_event, begun
from runcord.ledger import mapper
from runcord.ledger.feed import Feed
from runcord.ledger.statements import Read
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.streaming.events import SQL, Track, follow_events


async def wait_begun_at(read: Read, project_id: str, event_key: str, position: int) -> EventWait | None:
    """Return the wait for a key that began at a position of the ledger, as it was then; None if none did."""
    rows = await read(SQL["ledger_events"], {"project_id": project_id, "after": position - 1, "limit": 1})
    for row in rows:
        if row[5] == e.Waited.TYPE:
            recorded = mapper.recorded(row)
            if recorded.position == position and recorded.event.event_key == event_key:
                return begun(recorded)
    return None


async def end_of(wait: EventWait, feed: Feed[Recorded[Any]], track: Track, version: int) -> tuple[EventWait, int]:
    """Return a wait when it is over, and the position at which it ended.

    The feed is that of its run; `track` and `version` are where the run stood when the wait began.
    """
    async with aclosing(follow_events(feed, track, version)) as pages:
        async for steps in pages:
            for step in steps:
                wait = after_event(wait, step.recorded, step.after)
                if wait.status != "waiting":
                    return wait, step.recorded.position
    raise AssertionError(f"the run {wait.run_id} has finished and still waits")
