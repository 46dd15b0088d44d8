"""The committer: collects the commands of all concurrent requests and executes them in groups.

Per project, one transaction at a time: lock the ledger's head and read the states concerned (one trip), decide in
Python, append the events, write the inline projections' rows and commit (one trip). While one group commits, the
next collects, so the more commands come, the larger the groups.

Each command succeeds or fails on its own: a refused one fails its own request, one that the database cannot take
is found by halving the group. A commit whose answer was lost is resolved by reading back the events' ids.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import structlog

from runcord.errors import InternalError, RuncordError, Unavailable
from runcord.ledger.execution import Executor
from runcord.ledger.transaction import Handler
from runcord.ledger.view import Change, InlineProjection, InlineView

log = structlog.get_logger(__name__)

R = TypeVar("R")

MAX_GROUP_COMMANDS = 512
MAX_GROUP_WEIGHT = 4096
MAX_PENDING = 20_000
"""Commands that may wait, over all projects; more are turned away at once."""


@dataclass(frozen=True)
class Committed:
    """The answer to a command: what its handler returned, and the ledger's position after it."""

    value: Any
    position: int


Outcome = Committed | RuncordError


@dataclass
class _Pending:
    handler: Handler[Any]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Committed]"
    outcome: Outcome | None = None


News = Callable[[], None] | None
"""What is to be done in the event loop because of a commit, if anything is. Must not block or raise."""

CommitListener = Callable[[str, int, Sequence[Change]], Iterable[News]]
"""Called in the writer's thread after a commit: project, last position, what changed. Must not block or raise.

What it returns is called in the event loop of the commands, in one hop with their answers: each hop wakes the loop.
"""


class Committer:
    """Executes commands for this process in `writers` threads, each with its own connection.

    A project is served by one thread at a time; other processes may serve the same project, the head's lock
    stands between them. Projects take turns, so none waits for more than one group of each other.

    All commands of one that has a listener come from one event loop.
    """

    def __init__(
        self,
        dsn: str,
        *,
        views: Sequence[InlineView],
        projections: Sequence[InlineProjection] = (),
        writers: int = 2,
        on_commit: CommitListener | None = None,
    ) -> None:
        self._make_executor = lambda: Executor(dsn, views=views, projections=projections)
        self._on_commit = on_commit
        self._writers = writers
        self._lock = threading.Lock()
        self._idle: list[threading.Lock] = []
        """What threads without work wait for, each for its own. The last to come is the first to go: what it needs is
        still at hand, here and in its database session."""
        self._queues: dict[str, deque[_Pending]] = {}
        self._ready: deque[str] = deque()
        self._pending = 0
        self._closing = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the writer threads, again after a `close`. Connections are made when the first command comes."""
        self._closing = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"committer-{n}", daemon=True) for n in range(self._writers)
        ]
        for thread in self._threads:
            thread.start()

    async def execute(self, project_id: str, handler: Handler[R]) -> Committed:
        """Execute one command and return when its events are durable.

        A caller that is cancelled while it waits leaves the command to be executed all the same.

        Raises:
            RuncordError: the command was refused (its events were not recorded), or `Unavailable`: the database
                could not be reached, and whether the command took place is not known.
        """
        loop = asyncio.get_running_loop()
        pending = _Pending(handler, loop, loop.create_future())
        with self._lock:
            if self._closing:
                raise Unavailable("the server is shutting down; try another, or again shortly")
            if self._pending >= MAX_PENDING:
                raise Unavailable("too many commands are waiting; try again shortly")
            self._pending += 1
            queue = self._queues.get(project_id)
            if queue is None:
                # Only a project that nobody serves is put up; whoever serves one looks for more when done.
                self._queues[project_id] = deque((pending,))
                self._ready.append(project_id)
                self._wake_one()
            else:
                queue.append(pending)
        return await pending.future

    def close(self) -> None:
        """Finish what was accepted, then end the threads."""
        with self._lock:
            self._closing = True
            self._wake_all()
        for thread in self._threads:
            thread.join()

    # --- in the writers' threads ----------------------------------------------------------------------

    def _serve(self) -> None:
        executor = self._make_executor()
        while True:
            taken = self._take()
            if taken is None:
                executor.close()
                return
            project_id, group = taken
            try:
                self._execute(executor, project_id, group)
            except Exception:
                log.exception("committer_failed", project_id=project_id)
                for pending in group:
                    pending.outcome = pending.outcome or InternalError()
                self._deliver(group)
            with self._lock:
                self._pending -= len(group)
                if self._queues[project_id]:
                    # Nobody is woken for it: this thread looks for work now.
                    self._ready.append(project_id)
                else:
                    del self._queues[project_id]

    def _take(self) -> tuple[str, list[_Pending]] | None:
        """Wait for work, and return a project's; None when there will be none any more."""
        bell = threading.Lock()
        bell.acquire()
        while True:
            with self._lock:
                if self._ready:
                    return self._next_group()
                if self._closing and not self._queues:
                    # The others may wait for what this thread has just finished.
                    self._wake_all()
                    return None
                self._idle.append(bell)
            bell.acquire()

    def _next_group(self) -> tuple[str, list[_Pending]]:
        project_id = self._ready.popleft()
        queue = self._queues[project_id]
        group: list[_Pending] = []
        weight = 0
        while queue and len(group) < MAX_GROUP_COMMANDS and (not group or weight < MAX_GROUP_WEIGHT):
            pending = queue.popleft()
            weight += pending.handler.weight
            group.append(pending)
        return project_id, group

    def _wake_one(self) -> None:
        if self._idle:
            self._idle.pop().release()

    def _wake_all(self) -> None:
        while self._idle:
            self._wake_one()

    def _execute(self, executor: Executor, project_id: str, group: list[_Pending]) -> None:
        """Execute a group; a group that the database refuses is halved until the poisoned command stands alone."""
        try:
            result = executor.execute(project_id, [pending.handler for pending in group])
        except Unavailable as error:
            for pending in group:
                pending.outcome = error
            self._deliver(group)
        except Exception as error:
            if len(group) > 1:
                half = len(group) // 2
                self._execute(executor, project_id, group[:half])
                self._execute(executor, project_id, group[half:])
                return
            if isinstance(error, RuncordError):
                group[0].outcome = error
            else:
                log.exception("command_poisoned", project_id=project_id, command=type(group[0].handler).__name__)
                group[0].outcome = InternalError()
            self._deliver(group)
        else:
            for pending, outcome in zip(group, result.outcomes, strict=True):
                pending.outcome = (
                    outcome if isinstance(outcome, RuncordError) else Committed(outcome.value, result.position)
                )
            news: Iterable[News] = ()
            if self._on_commit is not None and result.changes:
                news = self._on_commit(project_id, result.position, result.changes)
            self._deliver(group, news)

    def _deliver(self, group: list[_Pending], news: Iterable[News] = ()) -> None:
        """Answer the callers and pass on the news, with one hop to each event loop instead of one for each of them."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Pending]] = {}
        for pending in group:
            by_loop.setdefault(pending.loop, []).append(pending)
        for loop, answered in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, answered, news)
            except RuntimeError:
                # The loop is closed: nobody waits for these any more. What was committed stays.
                log.warning("answers_undelivered", count=len(answered))
            news = ()


def _resolve(answered: list[_Pending], news: Iterable[News]) -> None:
    for pending in answered:
        if pending.future.done():  # its caller has gone
            continue
        outcome = cast(Outcome, pending.outcome)
        if isinstance(outcome, RuncordError):
            pending.future.set_exception(outcome)
        else:
            pending.future.set_result(outcome)
    for one in news:
        if one is not None:
            one()
