"""Everything that the surfaces stand on, put together: the committer with its views, the tail, the queue, the pools."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from runcord import inline
from runcord.dispatch.addresses import AddressGuard, networks
from runcord.dispatch.breaker import Breakers
from runcord.dispatch.delivery import Carrier
from runcord.dispatch.dispatcher import Dispatcher
from runcord.dispatch.exchange import Line
from runcord.errors import Unavailable
from runcord.handling.job_secrets import job_secret
from runcord.handling.sealing import Sealer
from runcord.http.credentials import Credentials
from runcord.http.installation import installation_secret
from runcord.http.job_refs import JobRefs
from runcord.http.public_tokens import PublicTokens
from runcord.http.run_tokens import RunTokens
from runcord.http.signing_keys import SigningKeys
from runcord.http.stream_slots import StreamSlots
from runcord.ledger.committer import Committer, News
from runcord.ledger.database import reader_pool, service_pool
from runcord.ledger.feed import Feeds
from runcord.ledger.follower import Follower
from runcord.ledger.hub import Hub
from runcord.ledger.statements import Read
from runcord.ledger.tail import Tail
from runcord.ledger.transaction import Row
from runcord.ledger.view import Change
from runcord.projecting.administration import Operator
from runcord.projecting.inline_keeper import InlineKeeper
from runcord.projecting.registry import projections
from runcord.projecting.runner import ProjectionRunner
from runcord.queue.bulk_runner import BulkRunner
from runcord.queue.desk import ClaimDesk
from runcord.queue.scheduler import Scheduler
from runcord.settings import Settings
from runcord.streaming.announced import AnnouncedStreams
from runcord.streaming.chunk_writer import ChunkWriter
from runcord.streaming.chunks import Chunk, load_chunks
from runcord.streaming.events import load_events
from runcord.streaming.ledger import StoredEvent, load_window
from runcord.streaming.run_updates import RunUpdates

log = structlog.get_logger(__name__)

Pool = AsyncConnectionPool[psycopg.AsyncConnection[Row]]


@dataclass(frozen=True)
class Backend:
    """What request handlers use."""

    settings: Settings
    committer: Committer
    hub: Hub
    tail: Tail
    desk: ClaimDesk
    follower: Follower
    chunk_feeds: Feeds[Chunk]
    ledger_feeds: Feeds[StoredEvent]
    chunk_writer: ChunkWriter
    stream_slots: StreamSlots
    run_updates: RunUpdates
    scheduler: Scheduler
    projections: ProjectionRunner
    operator: Operator
    readers: Pool
    stream_read: Read
    """Runs a query for a stream, which waits its turn behind other streams."""
    service: Pool
    credentials: Credentials
    run_tokens: RunTokens
    public_tokens: PublicTokens
    sealer: Sealer
    guard: AddressGuard

    @cached_property
    def announced(self) -> AnnouncedStreams:
        """The streams that are on record."""
        return AnnouncedStreams()

    @cached_property
    def job_refs(self) -> JobRefs:
        """From ids and slugs to jobs."""
        return JobRefs(self.read)

    async def read(self, statement: bytes, params: Mapping[str, Any]) -> list[Row]:
        """Run a query on a read connection.

        Raises:
            Unavailable: no connection was free within two seconds, or the database is away.
        """
        return await _fetch(self.readers, statement, params)

    async def touch(self, statement: bytes, params: Mapping[str, Any]) -> list[Row]:
        """Run a statement that writes rows that are no events (leases, keys). Raises as `read` does."""
        return await _fetch(self.service, statement, params)


def _reader(pool: Pool, at_once: int) -> Read:
    """Return a read that leaves connections to others: streams that come back all at once stand in line."""
    turns = asyncio.Semaphore(at_once)

    async def read(statement: bytes, params: Mapping[str, Any]) -> list[Row]:
        async with turns:
            return await _fetch(pool, statement, params)

    return read


async def _fetch(pool: Pool, statement: bytes, params: Mapping[str, Any]) -> list[Row]:
    try:
        async with pool.connection() as conn:
            cursor = await conn.execute(statement, params, binary=True)
            return await cursor.fetchall() if cursor.description else []
    except (PoolTimeout, TooManyRequests) as error:
        raise Unavailable("all database connections are busy; try again shortly") from error
    except psycopg.OperationalError as error:
        raise Unavailable from error


@asynccontextmanager
async def open_backend(settings: Settings, dsn: str) -> AsyncGenerator[Backend]:
    """Open everything for one server process, and close it in order: the queue first, the committer last."""
    hub = Hub()

    def committed(project_id: str, position: int, changes: Sequence[Change]) -> Sequence[News]:
        return (
            run_updates.committed(project_id, position, changes),
            tail.committed(project_id, position, changes),
            scheduler.committed(changes),
            dispatcher.committed(project_id, changes),
            bulk_runner.committed(project_id, changes),
            runner.committed(project_id),
        )

    committer = Committer(
        dsn,
        views=inline.views(),
        projections=inline.projections(),
        writers=settings.writers,
        on_commit=committed,
    )
    async with AsyncExitStack() as stack:
        readers = await stack.enter_async_context(reader_pool(dsn, settings.readers))
        service = await stack.enter_async_context(service_pool(dsn, 4))
        stream_read = _reader(readers, max(1, settings.readers // 2))
        chunk_feeds = Feeds(partial(load_chunks, stream_read))
        tail = Tail(dsn, hub, chunk_feeds)
        scheduler = Scheduler(service, committer, keep_chunks_secs=settings.chunk_retention_hours * 3600)
        bulk_runner = BulkRunner(readers, committer)
        committer.start()
        stack.push_async_callback(asyncio.to_thread, committer.close)
        async with service.connection() as conn:
            secret = await installation_secret(conn, settings)
        desk = ClaimDesk(committer, hub, service)
        stack.push_async_callback(desk.close)
        follower = Follower(hub, Feeds(partial(load_events, stream_read)), stream_read)
        stack.push_async_callback(follower.close)
        run_updates = RunUpdates(hub, stream_read)
        stack.push_async_callback(run_updates.close)
        chunk_writer = ChunkWriter(partial(_fetch, service), tail.streamed)
        stack.push_async_callback(chunk_writer.close)
        run_tokens, sealer = RunTokens(secret), Sealer(secret)
        guard = AddressGuard(networks(settings.dispatch_allow or ""))
        read, touch = partial(_fetch, readers), partial(_fetch, service)
        dispatcher = Dispatcher(
            committer,
            desk,
            read,
            touch,
            Carrier(
                Line(guard),
                Breakers(),
                lambda project_id, job_id: job_secret(read, sealer, project_id, job_id, "endpoint_signing_secret"),
            ),
            partial(run_tokens.sign, claimed=True),
            concurrency=settings.dispatch_concurrency,
            lease_secs=settings.dispatch_lease_secs,
        )
        stack.push_async_callback(dispatcher.close)
        operator = Operator(dsn)
        keeper = InlineKeeper(dsn, inline.rebuildables(), read, operator, settings.rebuild_events_per_sec)
        stack.push_async_callback(keeper.close)
        runner = ProjectionRunner(dsn, projections(), read, touch, settings.rebuild_events_per_sec)
        stack.push_async_callback(runner.close)
        for job in (
            tail.run,
            scheduler.run,
            bulk_runner.run,
            runner.run,
            keeper.run,
            *((dispatcher.run,) if settings.dispatch_concurrency else ()),
        ):
            task = asyncio.create_task(_keep(job))
            stack.push_async_callback(_stop, task)
        yield Backend(
            settings=settings,
            committer=committer,
            hub=hub,
            tail=tail,
            desk=desk,
            follower=follower,
            chunk_feeds=chunk_feeds,
            ledger_feeds=Feeds(lambda project_id, _, after: load_window(stream_read, project_id, after)),
            stream_read=stream_read,
            chunk_writer=chunk_writer,
            stream_slots=StreamSlots(settings.streams, settings.streams_per_project),
            run_updates=run_updates,
            scheduler=scheduler,
            projections=runner,
            operator=operator,
            readers=readers,
            service=service,
            credentials=Credentials(service),
            run_tokens=run_tokens,
            public_tokens=PublicTokens(secret, SigningKeys(touch, sealer)),
            sealer=sealer,
            guard=guard,
        )


async def _keep(job: Callable[[], Awaitable[None]]) -> None:
    """Run a job for as long as the process lives: it waits for a lost database by itself, and a bug must not end it."""
    while True:
        try:
            await job()
        except Exception:
            log.exception("background_job_failed", job=job.__qualname__)
        await asyncio.sleep(1)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
