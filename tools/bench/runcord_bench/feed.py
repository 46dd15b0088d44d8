"""The feed: one consumer catches up with a ledger over HTTP, as a stream and page by page."""

import asyncio
from typing import Any

import httpx2
import orjson
import psycopg

from runcord.clock import monotonic
from runcord.sql import load
from runcord_bench.database import Databases
from runcord_bench.process import ProcessFailed
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Sample, in_turn
from runcord_bench.server import PROJECT, Server, position, running_server

SQL = load("runcord_bench", "feed.sql")

MUST_PER_SEC = 60_000
"""Events a second over HTTP, on the stream."""

_RUNS_AT_ONCE = 2_500
_PAGE = 1000


def measure(databases: Databases, effort: Effort) -> Report:
    """Read the whole of a ledger from its beginning, in turn as the floor does and over HTTP."""
    with running_server(databases.create("feed")) as server:
        fill(server.conn, effort.runs * 10)
        end = position(server)
        figures = in_turn(
            effort.rounds,
            {
                "floor": lambda: _floor(server.conn, end),
                "stream": lambda: asyncio.run(_stream(server, end)),
                "pages": lambda: asyncio.run(_pages(server, end)),
            },
        )
    lines = [
        Line(f"catch-up with {end:,} events, {name}", product=figures[name], floor=figures["floor"])
        for name in ("stream", "pages")
    ]
    rate = figures["stream"].rate or 0.0
    must = f"must: {MUST_PER_SEC:,} events a second on the stream"
    return Report(lines, [Check(must, f"{rate:,.0f}", rate >= MUST_PER_SEC, of_speed=True)], ledgers="log")


def fill(conn: psycopg.Connection[Any], runs: int) -> None:
    """Append the events of so many runs to the ledger."""
    for first in range(1, runs + 1, _RUNS_AT_ONCE):
        conn.execute(
            SQL["append"], {"project_id": PROJECT, "first": first, "runs": min(_RUNS_AT_ONCE, runs + 1 - first)}
        )


def _floor(conn: psycopg.Connection[Any], end: int) -> Sample:
    """Read the table over one connection, and decode."""
    begun, after = monotonic(), 0
    while after < end:
        rows = conn.execute(
            SQL["read"], {"project_id": PROJECT, "after": after, "limit": _PAGE}, binary=True
        ).fetchall()
        for row in rows:
            _expect(row[0], after + 1)
            orjson.loads(row[6])
            after = row[0]
    return Sample(end / (monotonic() - begun))


async def _stream(server: Server, end: int) -> Sample:
    """Read the stream of server-sent events up to the end, and decode."""
    begun, after = monotonic(), 0
    rest = b""
    async with (
        _client(server) as http,
        http.stream("GET", "/v1/events?after=0", headers={"Accept": "text/event-stream"}) as answer,
    ):
        async for piece in answer.aiter_raw():
            *frames, rest = (rest + piece).split(b"\n\n")
            for frame in frames:
                _, found, data = frame.partition(b"\ndata: ")
                if found:  # and neither a comment nor the beginning
                    place: int = orjson.loads(data)["position"]
                    _expect(place, after + 1)
                    after = place
            if after >= end:
                break
    return Sample(end / (monotonic() - begun))


async def _pages(server: Server, end: int) -> Sample:
    """Ask for page after page, and decode."""
    begun, after = monotonic(), 0
    async with _client(server) as http:
        while after < end:
            answer = (await http.get(f"/v1/events?after={after}&limit={_PAGE}")).raise_for_status()
            for event in orjson.loads(answer.content):
                _expect(event["position"], after + 1)
                after = event["position"]
    return Sample(end / (monotonic() - begun))


def _client(server: Server) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=server.base_url, headers={"Authorization": f"Bearer {server.api_key}"}, timeout=30
    )


def _expect(place: int, expected: int) -> None:
    if place != expected:
        raise ProcessFailed(f"event {expected} of the ledger did not come in its place: {place} did")
