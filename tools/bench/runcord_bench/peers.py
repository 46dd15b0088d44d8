"""The peers of drains: PostgreSQL's job queues for Python, called in process, where `--peers` has them installed.

Each does what its documentation says is quick: jobs are enqueued by its bulk call, and taken by its own worker.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import orjson
import psycopg
from psycopg.conninfo import conninfo_to_dict

from runcord.clock import monotonic
from runcord.sql import load
from runcord_bench.load import PAYLOAD
from runcord_bench.process import ProcessFailed, running_modules, wait_until
from runcord_bench.sampling import Sample

SQL = load("runcord_bench", "peers.sql")

JOB = "noop"
DATA = orjson.dumps(PAYLOAD)

_LATEST_SECS = 120.0
_EVERY_SECS = 0.005


class Peer(Protocol):
    """A job queue. `done` is the statement that counts the jobs that are done."""

    done: bytes
    takes_many: bool
    """Whether its workers take several jobs in one statement."""

    async def install(self, dsn: str) -> None:
        """Give the database its schema."""
        ...

    async def fill(self, dsn: str, jobs: int) -> None:
        """Enqueue so many jobs that do nothing."""
        ...

    async def work(self, dsn: str, at_once: int, handled: Callable[[], None]) -> None:
        """Work until cancelled, on up to so many jobs at once, and tell of each."""
        ...


class PgQueuer:
    """pgqueuer on asyncpg: a row for each job, deleted when it is done, and rows in a log."""

    done = SQL["pgqueuer_done"]
    takes_many = True

    async def install(self, dsn: str) -> None:
        """Give the database its schema."""
        from pgqueuer.db import AsyncpgDriver
        from pgqueuer.queries import Queries

        conn = await _asyncpg(dsn)
        await Queries(AsyncpgDriver(conn)).install()
        await conn.close()

    async def fill(self, dsn: str, jobs: int) -> None:
        """Enqueue so many jobs that do nothing."""
        from pgqueuer.db import AsyncpgDriver
        from pgqueuer.queries import Queries

        conn = await _asyncpg(dsn)
        await Queries(AsyncpgDriver(conn)).enqueue([JOB] * jobs, [DATA] * jobs, [0] * jobs)
        await conn.close()

    async def work(self, dsn: str, at_once: int, handled: Callable[[], None]) -> None:
        """Work until cancelled."""
        from pgqueuer import PgQueuer as Queue
        from pgqueuer.db import AsyncpgDriver

        queue = Queue(AsyncpgDriver(await _asyncpg(dsn)))

        @queue.entrypoint(JOB)
        async def noop(job: Any) -> None:
            orjson.loads(job.payload)
            handled()

        await queue.run(batch_size=at_once)


class Procrastinate:
    """procrastinate on psycopg: a row for each job, taken one at a time, and rows of what happened to it."""

    done = SQL["procrastinate_done"]
    takes_many = False

    async def install(self, dsn: str) -> None:
        """Give the database its schema."""
        async with self._app(dsn).open_async() as app:
            await app.schema_manager.apply_schema_async()

    async def fill(self, dsn: str, jobs: int) -> None:
        """Enqueue so many jobs that do nothing."""
        async with self._app(dsn).open_async() as app:
            await app.configure_task(JOB).batch_defer_async(*[{"payload": PAYLOAD}] * jobs)

    async def work(self, dsn: str, at_once: int, handled: Callable[[], None]) -> None:
        """Work until cancelled."""
        app = self._app(dsn, at_once)

        @app.task(name=JOB)
        async def noop(payload: Any) -> None:
            handled()

        async with app.open_async():
            await app.run_worker_async(concurrency=at_once, install_signal_handlers=False)

    def _app(self, dsn: str, at_once: int = 1) -> Any:
        import procrastinate

        # A few more than jobs: the worker itself listens, and looks for what is due.
        connector = procrastinate.PsycopgConnector(conninfo=dsn, min_size=1, max_size=min(at_once, 20) + 4)
        return procrastinate.App(connector=connector)


PEERS: Mapping[str, Peer] = {"pgqueuer": PgQueuer(), "procrastinate": Procrastinate()}


class Installed:
    """A peer with a database of its own."""

    def __init__(self, name: str, dsn: str) -> None:
        self._name = name
        self._dsn = dsn
        self._peer = PEERS[name]
        asyncio.run(self._peer.install(dsn))

    @property
    def takes_many(self) -> bool:
        """Whether its workers take several jobs in one statement."""
        return self._peer.takes_many

    def drain(self, jobs: int, processes: int, at_once: int) -> Sample:
        """Enqueue jobs, and return how many a second so many processes do, from the first that is handled on."""
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            wanted = self._done(conn) + jobs
            asyncio.run(self._peer.fill(self._dsn, jobs))
            conn.execute("vacuum analyze")
            with running_modules("peer_worker", self._name, self._dsn, str(at_once), count=processes) as workers:
                for worker in workers:
                    worker.begin()
                wait_until(
                    lambda: self._done(conn) >= wanted,
                    f"{self._name} has done all jobs",
                    seconds=_LATEST_SECS,
                    every=_EVERY_SECS,
                )
                ended = monotonic()
                began: list[float] = []
                for worker in workers:
                    with suppress(ProcessFailed):  # it came too late to get one
                        began.append(worker.read(0))
        return Sample(jobs / (ended - min(began)))

    def _done(self, conn: psycopg.Connection[Any]) -> int:
        [(count,)] = conn.execute(self._peer.done).fetchall()
        return count


async def _asyncpg(dsn: str) -> Any:
    import asyncpg

    parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    return await asyncpg.connect(
        host=parts.get("host"),
        port=parts.get("port"),
        user=parts.get("user"),
        password=parts.get("password"),
        database=parts["dbname"],
    )
