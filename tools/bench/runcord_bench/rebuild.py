"""Rebuilds: all projections at once, from the first event on, while writers write; and how far behind they are else."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import psycopg

from runcord.client import AsyncClient
from runcord.clock import monotonic
from runcord.projecting import generations as g
from runcord.projecting.registry import projections
from runcord.sql import load
from runcord_bench.database import Databases
from runcord_bench.feed import fill
from runcord_bench.load import PAYLOAD
from runcord_bench.process import pause, wait_until
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Sample, figure, in_turn, percentile
from runcord_bench.server import JOB, PROJECT, Server, position, running_server

SQL = load("runcord_bench", "rebuild.sql")
FEED_SQL = load("runcord_bench", "feed.sql")

MUST_PER_SEC = 50_000
MUST_MB = 400
MUST_LAG_MS = 250
MUST_STALL_MS = 1_000

WRITES_PER_SEC = 100
"""How many runs are triggered, one at a time, while projections are rebuilt: the machine has to do both."""

_EVENTS_PER_RUN = 4
_PAGE = 5_000
_LIMIT_SECS = 300.0
_KB = 1024


def measure(databases: Databases, effort: Effort) -> Report:
    """Rebuild all projections of a ledger, in turn with the least fold there can be."""
    with running_server(databases.create("rebuild")) as server, ThreadPoolExecutor(1) as thread:
        fill(server.conn, max(effort.listed, 20 * effort.runs) // _EVENTS_PER_RUN)
        wait_until(lambda: is_ready(server), "the first generations", seconds=_LIMIT_SECS, every=0.1)
        server.conn.execute("vacuum analyze")
        end = position(server)
        server.conn.execute(SQL["floor_schema"])
        calm = asyncio.run(_write(server, lambda: pause(effort.seconds), thread))
        writers: list[Sample] = []
        watch = _Watch()

        def product() -> Sample:
            _forget_builds(server)
            begun, head = monotonic(), position(server)
            writers.append(asyncio.run(_write(server, lambda: _rebuild(server, watch), thread)))
            return Sample(head / (monotonic() - begun))

        figures = in_turn(effort.rounds, {"floor": lambda: _floor(server.conn, end), "product": product})
        differing = _differing(server)
        lags = asyncio.run(_lags(server, effort))
    during = figure(writers)
    rate = figures["product"].rate or 0.0
    lag_ms = 1000 * percentile(sorted(lags), 99)
    stall = f"must: no trigger waits for {MUST_STALL_MS} ms"
    longest = during.percentiles_ms["max"]
    return Report(
        [
            Line(f"all {len(projections())} projections, {end:,} events", figures["product"], figures["floor"]),
            Line("triggers meanwhile, and before", during, figure([calm])),
        ],
        [
            Check("every projection equals the one that was live", differing or "all rows", not differing),
            Check(f"must: {MUST_PER_SEC:,} events a second", f"{rate:,.0f}", rate >= MUST_PER_SEC, of_speed=True),
            Check(stall, f"{longest:.0f} ms at the most", longest < MUST_STALL_MS, of_speed=True),
            Check(
                f"must: the builder takes less than {MUST_MB} MB", f"{watch.peak_mb:.0f} MB", watch.peak_mb < MUST_MB
            ),
            Check(
                f"must: projections are less than {MUST_LAG_MS} ms behind at full load (p99)",
                f"{lag_ms:.0f} ms",
                lag_ms < MUST_LAG_MS,
                of_speed=True,
            ),
        ],
        ledgers="log",
    )


class _Watch:
    """How much memory a building process has taken at the most."""

    def __init__(self) -> None:
        self.peak_mb = 0.0

    def look(self) -> None:
        """Look at all builders there are; they are processes of servers that this benchmark has started."""
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                if b"runcord.projecting.builder" in (status.parent / "cmdline").read_bytes():
                    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
                    self.peak_mb = max(self.peak_mb, int(lines["VmHWM"].split()[0]) / _KB)
            except (OSError, KeyError):
                continue  # it has just ended


def _rebuild(server: Server, watch: _Watch) -> None:
    """Have every projection built anew, and return when all are ready."""
    for projection in projections().values():
        g.build(server.conn, PROJECT, projection, switches=False)

    def look() -> bool:
        watch.look()
        return is_ready(server)

    wait_until(look, "a rebuild", seconds=_LIMIT_SECS, every=0.1)


def is_ready(server: Server) -> bool:
    """Tell whether no generation is far behind, and none is missing."""
    [(building,)] = server.conn.execute(SQL["building"], {"project_id": PROJECT}).fetchall()
    known = g.load_generations(server.conn, PROJECT)
    return building == 0 and {one.name for one in known} == set(projections())


def is_done(server: Server) -> bool:
    """Tell whether every projection is at the end of the ledger, at which nobody writes any more."""
    known = g.load_generations(server.conn, PROJECT)
    return {one.name for one in known} == set(projections()) and {one.position for one in known} == {position(server)}


def _forget_builds(server: Server) -> None:
    for one in g.load_generations(server.conn, PROJECT):
        if one.status != "live":
            table = projections()[one.name].table.name
            server.conn.execute(f"delete from {table} where generation = {one.number}".encode())
    server.conn.execute(SQL["forget"], {"project_id": PROJECT})


def _differing(server: Server) -> str:
    """Return the names of the projections whose generations differ where they are at the same position."""
    wait_until(lambda: is_done(server), "the last events in all generations", seconds=_LIMIT_SECS, every=0.05)
    found: list[str] = []
    with server.conn.transaction():
        server.conn.execute("set transaction isolation level repeatable read")
        for name, projection in projections().items():
            rows = "select to_jsonb(t) - 'generation' as row from {} t where generation {} (select generation from "
            live = " projections where name = '{}' and status = 'live')"
            one, other = (
                (rows.format(projection.table.name, sign) + live.format(name)).encode() for sign in ("=", "<>")
            )
            [(count,)] = server.conn.execute(
                b"select count(*) from (("
                + one
                + b" except all "
                + other
                + b") union all ("
                + other
                + b" except all "
                + one
                + b")) d"
            ).fetchall()
            if count:
                found.append(f"{name}: {count} rows differ")
    return ", ".join(found)


async def _write(server: Server, work: Callable[[], None], thread: ThreadPoolExecutor) -> Sample:
    """Trigger runs at a steady rate while `work` is done elsewhere; return how long each took."""
    latencies: list[float] = []
    async with AsyncClient(server.base_url, server.api_key) as client, asyncio.TaskGroup() as tasks:
        done = asyncio.get_running_loop().run_in_executor(thread, work)
        begun = monotonic()

        async def trigger() -> None:
            started = monotonic()
            await client.jobs.trigger(JOB, PAYLOAD)
            latencies.append(monotonic() - started)

        count = 0
        while not done.done():
            tasks.create_task(trigger())
            count += 1
            await asyncio.sleep(max(0.0, begun + count / WRITES_PER_SEC - monotonic()))
        await done
    return Sample(len(latencies) / (monotonic() - begun), latencies)


async def _lags(server: Server, effort: Effort) -> Sequence[float]:
    """Trigger as fast as 32 callers can, and look again and again how far the projections are behind, in seconds."""
    lags: list[float] = []
    end = monotonic() + max(effort.seconds, 2.0) * effort.rounds
    async with AsyncClient(server.base_url, server.api_key) as client, asyncio.TaskGroup() as tasks:

        async def write() -> None:
            while monotonic() < end:
                await client.jobs.trigger(JOB, PAYLOAD)

        async def look() -> None:
            while monotonic() < end:
                lags.append(await asyncio.to_thread(_lag, server))
                await asyncio.sleep(0.01)

        for _ in range(32):
            tasks.create_task(write())
        tasks.create_task(look())
    return lags


def _lag(server: Server) -> float:
    [(lag,)] = server.conn.execute(SQL["lag"], {"project_id": PROJECT}).fetchall()
    return lag


def _floor(conn: psycopg.Connection[Any], end: int) -> Sample:
    """Read the log, keep of each run what one small view would show, and copy that out."""
    conn.execute("truncate floor_runs")
    begun, after = monotonic(), 0
    runs: dict[str, list[Any]] = {}
    while after < end:
        params = {"project_id": PROJECT, "after": after, "limit": _PAGE}
        for row in conn.execute(FEED_SQL["read"], params, binary=True).fetchall():
            after, run_id, version, _, kind, at, data, _ = row
            members = orjson.loads(data)
            run = runs.get(run_id)
            if run is None:
                run = runs[run_id] = ["queued", 1, 0, at, at, members.get("payload"), None]
            run[1], run[4] = version, at
            if kind == "run.dequeued.v1":
                run[0] = "dequeued"
            elif kind == "run.attempted.v1":
                run[0], run[2] = "executing", run[2] + 1
            elif kind == "run.completed.v1":
                run[0], run[6] = "completed", members.get("result")
    with conn.cursor() as cursor, cursor.copy("copy floor_runs from stdin") as copy:
        for run_id, run in runs.items():
            copy.write_row((run_id, *run[:5], orjson.dumps(run[5]).decode(), orjson.dumps(run[6]).decode()))
    return Sample(end / (monotonic() - begun))
