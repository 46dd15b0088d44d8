"""Time travel: a run in any version of a long history, beside the least that snapshots and a fold can be."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import httpx2
import orjson
import psycopg

from runcord.clock import monotonic
from runcord.ledger.transaction import Row
from runcord.projecting.time_travel import run_at_version
from runcord.sql import load
from runcord_bench.database import Databases
from runcord_bench.process import ProcessFailed, wait_until
from runcord_bench.rebuild import is_ready
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Figure, Sample, in_turn
from runcord_bench.server import PROJECT, Server, running_server

SQL = load("runcord_bench", "time_travel.sql")

LENGTHS = (1_000, 100_000)
QUICK_LENGTHS = (1_000, 10_000)

MUST_P99_MS = 3.0
MUST_GROWTH = 2.0
"""How much longer the median may take in the longest history than in the shortest."""

_EVENTS_AT_ONCE = 5_000
_LIMIT_SECS = 120.0


def measure(databases: Databases, effort: Effort) -> Report:
    """Read a run in random versions: as the floor does, in process, and over HTTP."""
    lengths = LENGTHS if effort.rounds > 1 else QUICK_LENGTHS
    lines: list[Line] = []
    figures: dict[int, Figure] = {}
    with running_server(databases.create("time_travel")) as server:
        for length in lengths:
            _fill(server.conn, f"run_{length}", length)
        wait_until(lambda: is_ready(server), "the snapshots", seconds=_LIMIT_SECS, every=0.1)
        server.conn.execute("vacuum analyze")
        for length in lengths:
            versions = random.Random(length).choices(range(1, length + 1), k=effort.triggers)
            run_id = f"run_{length}"
            found = in_turn(
                effort.rounds,
                {
                    "floor": lambda run_id=run_id, versions=versions: _floor(server.conn, run_id, versions),
                    "read": lambda run_id=run_id, versions=versions: asyncio.run(_read(server, run_id, versions)),
                    "http": lambda run_id=run_id, versions=versions: asyncio.run(_http(server, run_id, versions)),
                },
            )
            figures[length] = found["read"]
            lines.append(Line(f"a run of {length:,} events", found["read"], found["floor"]))
            lines.append(Line(f"a run of {length:,} events, over HTTP", found["http"], found["floor"]))
    shortest, longest = (figures[length].percentiles_ms for length in (lengths[0], lengths[-1]))
    growth = longest["p50"] / shortest["p50"]
    p99 = f"must: p99 of at most {MUST_P99_MS:g} ms in the longest history"
    p50 = f"must: its median at most {MUST_GROWTH:g} times that of the shortest"
    return Report(
        lines,
        [
            Check(p99, f"{longest['p99']:.1f} ms", longest["p99"] <= MUST_P99_MS, of_speed=True),
            Check(p50, f"{growth:.2f} times", growth <= MUST_GROWTH, of_speed=True),
        ],
        ledgers="log",
    )


def _fill(conn: psycopg.Connection[Any], run_id: str, length: int) -> None:
    for first in range(1, length + 1, _EVENTS_AT_ONCE):
        last = min(length, first + _EVENTS_AT_ONCE - 1)
        conn.execute(SQL["append"], {"project_id": PROJECT, "run_id": run_id, "first": first, "last": last})
    conn.execute(SQL["floor_snapshots"])
    conn.execute(SQL["floor_fill"], {"run_id": run_id, "length": length})


def _floor(conn: psycopg.Connection[Any], run_id: str, versions: Sequence[int]) -> Sample:
    """Take the last state before each version, and merge what the events after it say into it."""

    def read(version: int) -> int:
        params = {"project_id": PROJECT, "run_id": run_id, "version": version}
        row = conn.execute(SQL["floor_snapshot"], params, prepare=True).fetchone()
        after, state = (row[0], orjson.loads(row[1])) if row is not None else (0, {})
        for (data,) in conn.execute(SQL["floor_events"], {**params, "after": after}, prepare=True, binary=True):
            state.update(orjson.loads(data))
            after += 1
        return after

    return _timed(read, versions)


async def _read(server: Server, run_id: str, versions: Sequence[int]) -> Sample:
    """Read in process, over one connection."""
    latencies: list[float] = []
    async with await psycopg.AsyncConnection.connect(server.conn.info.dsn, autocommit=True) as conn:

        async def read(statement: bytes, params: Any) -> list[Row]:
            return await (await conn.execute(statement, params, binary=True)).fetchall()

        for version in versions:
            begun = monotonic()
            run = await run_at_version(read, PROJECT, run_id, version)
            latencies.append(monotonic() - begun)
            _expect(0 if run is None else run.version, version)
    return Sample(None, latencies)


async def _http(server: Server, run_id: str, versions: Sequence[int]) -> Sample:
    """Read over HTTP, one request after the other."""
    latencies: list[float] = []
    headers = {"Authorization": f"Bearer {server.api_key}"}
    async with httpx2.AsyncClient(base_url=server.base_url, headers=headers, timeout=30) as client:
        for version in versions:
            begun = monotonic()
            answer = await client.get(f"/v1/runs/{run_id}?version={version}")
            latencies.append(monotonic() - begun)
            _expect(int(answer.raise_for_status().headers["ETag"].strip('"')), version)
    return Sample(None, latencies)


def _timed(read: Callable[[int], int], versions: Sequence[int]) -> Sample:
    latencies: list[float] = []
    for version in versions:
        begun = monotonic()
        found = read(version)
        latencies.append(monotonic() - begun)
        _expect(found, version)
    return Sample(None, latencies)


def _expect(found: int, version: int) -> None:
    if found != version:
        raise ProcessFailed(f"the run was read in version {found}, not {version}")
