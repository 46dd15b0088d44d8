"""Subscriptions to runs: who is told when which runs change, and how.

For each project that anybody here subscribes to, one task follows the ledger, folds what is new once for all, and puts
each version of a run before the subscriptions that have selected it. A subscription that has nothing to read is an
entry in an index and nothing else: no task, no connection, no transaction. What waits for a slow reader is bounded;
beyond that, its subscription reads for itself, page by page from where it was, until it has caught up.

What this process itself has committed is not read again: it is kept until the next look, as far as it goes on from the
last one without a hole. For the commits of other processes, the look is into the database.

Positions have no holes and are given in the order of the commits, so whatever lies up to a position that was read is
complete. Every version comes once, in the order of the ledger; or, if the subscription coalesces, of each run the
latest that there is when it is read.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

from runcord.ledger.following import Following, Place
from runcord.ledger.hub import Hub
from runcord.ledger.statements import Read
from runcord.ledger.view import Change
from runcord.run.state import Run
from runcord.streaming.events import last_position
from runcord.streaming.run_pages import STRIDE, Listing, Page, every_version, latest_versions
from runcord.streaming.selection import IndexKey, Selection, index_keys_of
from runcord.streaming.versions import SQL, Fold, Version

LOOK_POSITIONS = 2_000
LOOK_BYTES = 1024 * 1024
FRESH_COMMITS = 64
"""How many commits of this process are kept for the next look."""
WAITING_VERSIONS = 256
WAITING_BYTES = 256 * 1024
"""What may wait for one reader."""


class RunUpdates:
    """The subscriptions of this process. Belongs to one event loop."""

    def __init__(self, hub: Hub, read: Read) -> None:
        self._hub = hub
        self._read = read
        self._following = Following(hub, read, self._project, self._look)

    @property
    def subscribed(self) -> int:
        """How many subscriptions there are."""
        return self._following.readers

    @asynccontextmanager
    async def subscribe(
        self, project_id: str, selection: Selection, *, after: int | None, coalesce: bool = False
    ) -> AsyncGenerator["Subscription"]:
        """Subscribe to runs: to what comes after a position, or (None) to their present state and what comes then.

        Raises:
            Unavailable: the database is away.
        """
        async with self._following.joined(project_id) as project:
            listing = None
            if after is None and selection.run_id is None:
                after = await last_position(self._read, project_id)
                listing = Listing(self._read, project_id, selection, after)
            subscription = Subscription(self._read, project, selection, coalesce, after, listing)
            try:
                yield subscription
            finally:
                subscription.leave()

    def committed(self, project_id: str, position: int, changes: Sequence[Change]) -> Callable[[], None]:
        """Return what takes note of a commit of this process, to be called in the event loop."""
        return partial(self._keep, project_id, position, changes)

    async def close(self) -> None:
        """Stop following."""
        await self._following.close()

    def _keep(self, project_id: str, position: int, changes: Sequence[Change]) -> None:
        project = self._following.place(project_id)
        if project is not None:
            project.keep(position, changes)

    def _project(self, project_id: str) -> "_Project":
        return _Project(project_id, Fold(self._read, project_id))

    async def _look(self, project: "_Project") -> None:
        # Who joins from here on reads for itself what lies up to there.
        until = project.looked = max(
            project.looked, min(self._hub.position(project.project_id), project.position + LOOK_POSITIONS)
        )
        run_ids = project.run_ids()
        reached, changes = project.take_fresh(until)
        if reached > project.position:
            until = reached
            chosen = [change for change in changes if run_ids is None or change.stream_id in run_ids]
            for version in await project.fold.versions_of(chosen, project.is_wanted):
                project.deliver(version)
        elif run_ids != []:
            params = {"project_id": project.project_id, "after": project.position, "until": until, "run_ids": run_ids}
            limits = {"limit": LOOK_POSITIONS, "bytes": LOOK_BYTES}
            rows = await self._read(SQL["events_of_runs"], {**params, **limits})
            if sum(len(row[6]) for row in rows) >= LOOK_BYTES:
                until = rows[-1][2]
            for version in await project.fold.versions(rows, project.is_wanted):
                project.deliver(version)
        project.position = until


class _Commit(NamedTuple):
    """What one transaction did to runs, and which positions its events took: those behind the one, up to the other."""

    base: int
    position: int
    changes: Sequence[Change]


class _Project(Place):
    """A ledger that is followed: up to its position, everything was put before whom it concerns."""

    def __init__(self, project_id: str, fold: Fold) -> None:
        super().__init__(project_id)
        self.fold = fold
        self.looked = 0
        """Up to here, it is or was looked, for those who had joined by then."""
        self._index: dict[IndexKey, dict[Subscription, None]] = {}
        self._fresh: deque[_Commit] = deque(maxlen=FRESH_COMMITS)

    def keep(self, position: int, changes: Sequence[Change]) -> None:
        """Keep a commit for the next look."""
        base = position - sum(len(change.recorded) for change in changes)
        if position - base <= LOOK_POSITIONS:
            runs = [change for change in changes if isinstance(change.after, Run)]
            self._fresh.append(_Commit(base, position, runs))

    def take_fresh(self, until: int) -> tuple[int, Sequence[Change]]:
        """Return how far the commits that were kept go on from here without a hole, and what they did to runs."""
        reached, changes = self.position, list[Change]()
        while self._fresh and self._fresh[0].base <= reached and self._fresh[0].position <= until:
            commit = self._fresh.popleft()
            if commit.base == reached:
                reached = commit.position
                changes += commit.changes
        return reached, changes

    def begin(self, position: int) -> None:
        self.looked = position
        super().begin(position)

    def join(self, subscription: "Subscription") -> None:
        for key in subscription.selection.index_keys:
            self._index.setdefault(key, {})[subscription] = None

    def leave(self, subscription: "Subscription") -> None:
        for key in subscription.selection.index_keys:
            members = self._index.get(key)
            if members is not None:
                members.pop(subscription, None)
                if not members:
                    del self._index[key]

    def run_ids(self) -> list[str] | None:
        """Return the runs that are subscribed to, None for all of them."""
        run_ids: list[str] = []
        for key in self._index:
            match key:
                case ("run", str(run_id)):
                    run_ids.append(run_id)
                case _:
                    return None
        return run_ids

    def is_wanted(self, run: Run) -> bool:
        return any(
            subscription.selection.has(run) for key in index_keys_of(run) for subscription in self._index.get(key, ())
        )

    def deliver(self, version: Version) -> None:
        for key in index_keys_of(version.run):
            # A subscription that falls behind leaves.
            for subscription in tuple(self._index.get(key, ())):
                if subscription.selection.has(version.run):
                    subscription.take_in(version)


class Subscription:
    """What one reader has selected, and what waits for it. To be read by one reader."""

    def __init__(
        self,
        read: Read,
        project: _Project,
        selection: Selection,
        coalesce: bool,
        after: int | None,
        listing: Listing | None,
    ) -> None:
        self.selection = selection
        self.last: Run | None = None
        """The run of the last version that was read."""
        self._read = read
        self._project = project
        self._coalesce = coalesce
        self._after = after
        self._listing = listing
        self._fold: Fold | None = None
        self._bound: int | None = None
        """Up to here it reads for itself what it has missed; what lies beyond is put before it already."""
        self._is_live = False
        self._waiting: dict[object, Version] = {}
        self._waiting_bytes = 0
        self._wake: Callable[[], None] | None = None

    @property
    def reached(self) -> int:
        """Up to this position, everything was read, unless something is waiting."""
        if self._is_live and not self._waiting:
            return max(self._after or 0, self._project.position)
        return self._after or 0

    @property
    def has_news(self) -> bool:
        """Whether there is something to read, or to look for."""
        return not self._is_live or bool(self._waiting)

    def listen(self, wake: Callable[[], None] | None) -> None:
        """Call `wake`, and nobody else, when something has come to be read."""
        self._wake = wake

    async def read(self) -> Sequence[Version]:
        """Return what comes next; nothing if there is nothing yet, or the search goes on (`has_news`).

        Raises:
            Unavailable: the database is away; what was not returned is returned another time.
        """
        versions = self._taken() if self._is_live else await self._caught_up()
        if versions:
            self.last = versions[-1].run
        return versions

    def leave(self) -> None:
        """Hear of nothing any more, and forget what waits."""
        self._bound = None
        self._is_live = False
        self._waiting.clear()
        self._waiting_bytes = 0
        self._project.leave(self)

    def take_in(self, version: Version) -> None:
        """Keep a version until it is read; too many, and it is left to the database to keep them."""
        if version.position <= max(self._after or 0, self._bound or 0):
            return
        if self._is_live and not self._waiting:
            # Whatever was put before this reader up to here, it has read.
            self._after = max(self._after or 0, self._project.position)
        key: object = version.run.run_id if self._coalesce else version.position
        replaced = self._waiting.pop(key, None)
        if replaced is not None:
            self._waiting_bytes -= replaced.size
        if len(self._waiting) >= WAITING_VERSIONS or self._waiting_bytes >= WAITING_BYTES:
            self.leave()
        else:
            self._waiting[key] = version
            self._waiting_bytes += version.size
        if self._wake is not None:
            self._wake()

    def _taken(self) -> Sequence[Version]:
        after = self._after or 0
        versions = [version for version in self._waiting.values() if version.position > after]
        self._waiting.clear()
        self._waiting_bytes = 0
        self._after = max(after, self._project.position)
        return versions

    async def _caught_up(self) -> Sequence[Version]:
        """Return the next page of what was missed. Whoever is near the end is told from there on while it reads."""
        if self._listing is not None:
            page = await self._listing.next()
            if page is None:
                self._listing = None
                return ()
            return page.versions
        looked = self._project.looked
        if self._bound is None and looked - (looked if self._after is None else self._after) <= STRIDE:
            self._bound = looked
            self._project.join(self)
        page = await self._page(looked if self._bound is None else self._bound)
        self._after = max(self._after or 0, page.reached)
        if self._bound is not None and self._after >= self._bound:
            self._fold = self._bound = None
            self._is_live = True
        return page.versions

    async def _page(self, until: int) -> Page:
        project_id = self._project.project_id
        if self._after is None:  # the present state of one run
            page = await latest_versions(self._read, project_id, self.selection, 0, until)
            return Page(page.versions, page.reached)
        if self._after >= until:
            return Page((), until)
        if self._coalesce:
            return await latest_versions(self._read, project_id, self.selection, self._after, until)
        if self._fold is None:
            self._fold = Fold(self._read, project_id)
        return await every_version(self._read, project_id, self._fold, self.selection, self._after, until)
