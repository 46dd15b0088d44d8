"""The follower: tells the feeds of runs which of them have new events.

The hub says how far a ledger has got. For each project that has feeds open, one task looks what of the new part
belongs to them: one query for all readers, however many there are, and none while the ledger stands still.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import structlog

from runcord.ledger.feed import Feed, Feeds
from runcord.ledger.hub import Hub
from runcord.ledger.statements import Read
from runcord.recorded import Recorded
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/ledger.sql")

PAUSE_SECS = 0.005
"""Between two looks at a ledger: under load, one look then finds what several commits have brought."""

STRIDE = 10_000
"""How many positions one look takes in."""

_RETRY_SECS = 0.5
_RECHECK_SECS = 5.0


class Follower:
    """Follows the ledgers of the projects whose runs anybody here reads."""

    def __init__(self, hub: Hub, feeds: Feeds[Recorded[Any]], read: Read) -> None:
        self._hub = hub
        self._feeds = feeds
        self._read = read
        self._projects: dict[str, _Project] = {}

    @asynccontextmanager
    async def follow(self, project_id: str, run_id: str) -> AsyncGenerator[Feed[Recorded[Any]]]:
        """Open the feed of a run's events. What is committed from now on is heard of, what was before can be read."""
        project = self._projects.get(project_id)
        if project is None:
            project = self._projects[project_id] = _Project()
            project.task = asyncio.create_task(self._keep_following(project_id, project))
        project.readers += 1
        try:
            with self._feeds.open(project_id, run_id) as feed:
                await project.begun.wait()
                yield feed
        finally:
            project.readers -= 1
            if not project.readers:
                del self._projects[project_id]
                project.task.cancel()

    async def close(self) -> None:
        """Stop following."""
        tasks = [project.task for project in self._projects.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_following(self, project_id: str, project: "_Project") -> None:
        while True:
            try:
                await self._follow(project_id, project)
            except Exception as error:  # a database that is away is waited for, and a bug must not leave readers deaf
                log.warning("follower_waits", project_id=project_id, error=str(error))
                await asyncio.sleep(_RETRY_SECS)

    async def _follow(self, project_id: str, project: "_Project") -> None:
        if not project.begun.is_set():
            # Read before any feed is, so that nothing falls between the two.
            [(project.position, *_)] = await self._read(SQL["head"], {"project_id": project_id})
            project.begun.set()
        while True:
            if await self._hub.moved(project_id, project.position, _RECHECK_SECS):
                await self._look(project_id, project)
                await asyncio.sleep(PAUSE_SECS)

    async def _look(self, project_id: str, project: "_Project") -> None:
        # The position is taken before the feeds: one that opens later reads for itself what lies up to there.
        until = min(self._hub.position(project_id), project.position + STRIDE)
        run_ids = [run_id for project, run_id in self._feeds.opened() if project == project_id]
        params = {"project_id": project_id, "after": project.position, "until": until, "stream_ids": run_ids}
        for run_id, version in await self._read(SQL["streams_that_moved"], params):
            self._feeds.hear(project_id, run_id, version)
        project.position = until


class _Project:
    """How far a ledger has been looked at, and for how many readers."""

    def __init__(self) -> None:
        self.position = 0
        self.readers = 0
        self.begun = asyncio.Event()
        self.task: asyncio.Task[None]
