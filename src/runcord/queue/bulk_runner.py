"""The bulk runner: carries bulk operations out, a few runs at a time.

Each process runs one. It takes up an operation at once that its own process requested, and one that stands still
whoever requested it; two that work on the same one do no harm, because a step is decided under the ledger's lock.
Between two steps in a project the ledger is left to others for as long as the step took.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from runcord.bulk import commands as c
from runcord.bulk.state import BulkOperation
from runcord.clock import monotonic
from runcord.errors import InternalError, RuncordError, Unavailable
from runcord.handling.bulk import AdvanceBulk, CommandBulk, context_of
from runcord.ledger.committer import Committer
from runcord.ledger.mapper import Codec
from runcord.ledger.transaction import Row
from runcord.ledger.view import Change
from runcord.queue.bulk_targets import SQL, next_chunk, total_of

log = structlog.get_logger(__name__)

CHUNK = 100
"""How many runs are acted on under one lock; a replay copies a payload, so it takes fewer."""

REPLAY_CHUNK = 50

POLL_SECS = 1.0
"""How often operations are looked for; one that has not moved between two looks is taken up."""

PARKED_SECS = 60.0
"""How long an operation is left alone that cannot even be given up."""

_PAUSE_SECS = 1.0
_LOOK = 1000
_STEPS_AT_ONCE = 2
_OUR_FAULT = "something went wrong on our side; nothing was changed"

_OPERATIONS = Codec(BulkOperation)

_AWAY = (Unavailable, psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, TooManyRequests)


class BulkRunner:
    """Carries out the bulk operations of all projects for as long as it runs."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Row]], committer: Committer) -> None:
        self._pool = pool
        self._committer = committer
        self._is_running = False
        self._lines: dict[str, deque[BulkOperation]] = {}
        """By project, the operations that take turns."""
        self._taken: set[str] = set()
        self._seen: dict[str, int] = {}
        self._parked: dict[str, float] = {}
        self._sizes: dict[str, int] = {}
        """Smaller chunks, for operations with a run among the next that breaks its transaction."""
        self._turns = asyncio.Semaphore(_STEPS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def committed(self, project_id: str, changes: Sequence[Change]) -> Callable[[], None] | None:
        """Return what takes up the operations that this process has requested, if it has."""
        new = [change.after for change in changes if change.before is None and isinstance(change.after, BulkOperation)]
        return partial(self._begin, project_id, new) if new else None

    def _begin(self, project_id: str, operations: Iterable[BulkOperation]) -> None:
        if self._is_running:
            for operation in operations:
                self._take(project_id, operation)

    async def run(self) -> None:
        """Carry out operations until cancelled. A database that is away is waited for."""
        self._is_running = True
        try:
            while True:
                try:
                    await self.look()
                except _AWAY as error:
                    log.warning("bulk_runner_waits", error=str(error).strip())
                await asyncio.sleep(POLL_SECS)
        finally:
            self._is_running = False
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._taken.clear()

    async def look(self) -> None:
        """Take up the operations that stand where the last look saw them."""
        seen: dict[str, int] = {}
        for project_id, operation_id, version, state in await self._read(SQL["active_operations"], {"limit": _LOOK}):
            if self._seen.get(operation_id) == version and self._parked.get(operation_id, 0) <= monotonic():
                self._take(project_id, _OPERATIONS.decode(state))
            seen[operation_id] = version
        self._seen = seen

    def _take(self, project_id: str, operation: BulkOperation) -> None:
        if operation.operation_id in self._taken:
            return
        self._taken.add(operation.operation_id)
        line = self._lines.get(project_id)
        if line is not None:
            line.append(operation)
            return
        self._lines[project_id] = deque((operation,))
        task = asyncio.create_task(self._serve(project_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, project_id: str) -> None:
        """Let the operations of a project take turns until all are done."""
        line = self._lines[project_id]
        try:
            while line:
                operation = line.popleft()
                async with self._turns:
                    began = monotonic()
                    after, pause = await self._turn(project_id, operation)
                if after.is_active and pause is not None:
                    line.append(after)
                    await asyncio.sleep(max(pause, monotonic() - began))
                else:
                    self._drop(operation.operation_id)
        finally:
            del self._lines[project_id]
            for operation in line:
                self._drop(operation.operation_id)

    def _drop(self, operation_id: str) -> None:
        self._taken.discard(operation_id)
        self._sizes.pop(operation_id, None)

    async def _turn(self, project_id: str, operation: BulkOperation) -> tuple[BulkOperation, float | None]:
        """Return the operation after a step, and for how long to leave it alone at the least; None means for good."""
        try:
            return await self.step(project_id, operation), 0.0
        except _AWAY as error:
            log.warning("bulk_operation_waits", operation_id=operation.operation_id, error=str(error).strip())
            return operation, _PAUSE_SECS
        except Exception:
            log.exception("bulk_operation_failed", project_id=project_id, operation_id=operation.operation_id)
        try:
            return await self._command(project_id, operation, c.FailBulk(_OUR_FAULT)), None
        except RuncordError as error:
            log.error("bulk_operation_parked", operation_id=operation.operation_id, error=error.message)
            self._parked[operation.operation_id] = monotonic() + PARKED_SECS
            return operation, None

    async def step(self, project_id: str, operation: BulkOperation) -> BulkOperation:
        """Act on the next runs of an operation, and return it as it is then.

        Runs that break their transaction are found by halving: such a run is recorded as failed, and left as it was.
        """
        if operation.total is None:
            total = await total_of(self._read, project_id, operation)
            return await self._command(project_id, operation, c.StartBulk(total))
        usual = REPLAY_CHUNK if operation.action == "replay" else CHUNK
        size = self._sizes.get(operation.operation_id, usual)
        chunk = await next_chunk(self._read, project_id, operation, size)
        try:
            after = (await self._committer.execute(project_id, AdvanceBulk(operation, chunk))).value
        except InternalError:
            if len(chunk.targets) > 1:
                self._sizes[operation.operation_id] = len(chunk.targets) // 2
                return operation
            log.error("bulk_run_given_up", project_id=project_id, operation_id=operation.operation_id)
            give_up = AdvanceBulk(operation, chunk, give_up=_OUR_FAULT)
            after = (await self._committer.execute(project_id, give_up)).value
        if size < usual:
            self._sizes[operation.operation_id] = min(usual, size * 2)
        return after

    async def _command(self, project_id: str, operation: BulkOperation, command: c.Command) -> BulkOperation:
        handler = CommandBulk(context_of(operation), operation.operation_id, command)
        return (await self._committer.execute(project_id, handler)).value

    async def _read(self, statement: bytes, params: Mapping[str, object]) -> list[Row]:
        async with self._pool.connection() as conn:
            return await (await conn.execute(statement, params)).fetchall()
