"""The follower: tells the feeds of runs which of them have new events.

The hub says how far a ledger has got. For each project that has feeds open, one task looks what of the new part
belongs to them: one query for all readers, however many there are, and none while the ledger stands still.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from runcord.ledger.feed import Feed, Feeds
from runcord.ledger.following import SQL, Following, Place
from runcord.ledger.hub import Hub
from runcord.ledger.statements import Read
from runcord.recorded import Recorded

STRIDE = 10_000
"""How many positions one look takes in."""


class Follower:
    """Follows the ledgers of the projects whose runs anybody here reads."""

    def __init__(self, hub: Hub, feeds: Feeds[Recorded[Any]], read: Read) -> None:
        self._hub = hub
        self._feeds = feeds
        self._read = read
        self._following = Following(hub, read, Place, self._look)

    @asynccontextmanager
    async def follow(self, project_id: str, run_id: str) -> AsyncGenerator[Feed[Recorded[Any]]]:
        """Open the feed of a run's events. What is committed from now on is heard of, what was before can be read."""
        async with self._following.joined(project_id):
            with self._feeds.open(project_id, run_id) as feed:
                yield feed

    async def close(self) -> None:
        """Stop following."""
        await self._following.close()

    async def _look(self, place: Place) -> None:
        # The position is taken before the feeds: one that opens later reads for itself what lies up to there.
        project_id = place.project_id
        until = min(self._hub.position(project_id), place.position + STRIDE)
        run_ids = [run_id for project, run_id in self._feeds.opened() if project == project_id]
        params = {"project_id": project_id, "after": place.position, "until": until, "stream_ids": run_ids}
        for run_id, version in await self._read(SQL["streams_that_moved"], params):
            self._feeds.hear(project_id, run_id, version)
        place.position = until
