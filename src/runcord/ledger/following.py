"""Following the ledgers of the projects that anybody here reads: one task for each, and none while nobody does."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import structlog

from runcord.ledger.hub import Hub
from runcord.ledger.statements import Read
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/ledger.sql")

PAUSE_SECS = 0.005
"""Between two looks at a ledger that has moved during the first: then the second finds what several commits brought."""

_RETRY_SECS = 0.5
_RECHECK_SECS = 5.0


class Place:
    """How far a ledger has been looked at, and for how many readers."""

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.position = 0
        """Up to here, everything was looked at."""
        self.readers = 0
        self.begun = asyncio.Event()
        self.task: asyncio.Task[None]

    def begin(self, position: int) -> None:
        """Begin at a position: what comes from now on is looked at."""
        self.position = position
        self.begun.set()


P = TypeVar("P", bound=Place)


class Following(Generic[P]):
    """Calls `look` whenever a followed ledger has moved; it looks at what is new, and moves the place."""

    def __init__(
        self, hub: Hub, read: Read, new_place: Callable[[str], P], look: Callable[[P], Awaitable[None]]
    ) -> None:
        self._hub = hub
        self._read = read
        self._new_place = new_place
        self._look = look
        self._places: dict[str, P] = {}

    @property
    def readers(self) -> int:
        """How many there are, of all projects."""
        return sum(place.readers for place in self._places.values())

    def place(self, project_id: str) -> P | None:
        """Return the place in a project's ledger, if anybody follows it."""
        return self._places.get(project_id)

    @asynccontextmanager
    async def joined(self, project_id: str) -> AsyncGenerator[P]:
        """Follow a project's ledger while this is open. It has begun then."""
        place = self._places.get(project_id)
        if place is None:
            place = self._places[project_id] = self._new_place(project_id)
            place.task = asyncio.create_task(self._keep_following(place))
        place.readers += 1
        try:
            await place.begun.wait()
            yield place
        finally:
            place.readers -= 1
            if not place.readers:
                del self._places[project_id]
                place.task.cancel()

    async def close(self) -> None:
        """Stop following."""
        tasks = [place.task for place in self._places.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_following(self, place: P) -> None:
        while True:
            try:
                await self._follow(place)
            except Exception as error:  # a database that is away is waited for, and a bug must not leave readers deaf
                log.warning("following_waits", project_id=place.project_id, error=str(error))
                await asyncio.sleep(_RETRY_SECS)

    async def _follow(self, place: P) -> None:
        if not place.begun.is_set():
            # Read before any reader reads, so that nothing falls between the two.
            heads = await self._read(SQL["head"], {"project_id": place.project_id})
            place.begin(heads[0][0] if heads else 0)
        while True:
            if await self._hub.moved(place.project_id, place.position, _RECHECK_SECS):
                await self._look(place)
                if self._hub.position(place.project_id) > place.position:
                    await asyncio.sleep(PAUSE_SECS)
