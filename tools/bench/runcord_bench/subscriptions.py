"""Subscriptions: from a trigger to the frame that tells of it, with one subscriber and with thousands."""

import asyncio
import contextlib
import itertools
from pathlib import Path

import httpx2
import orjson
import psycopg

from runcord.clock import monotonic
from runcord_bench import floor
from runcord_bench.database import Databases
from runcord_bench.load import PAYLOAD, closed_loop
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Figure, Sample, in_turn
from runcord_bench.server import JOB, Server, running_server
from runcord_bench.subscribers import Deliveries, subscribed

SATURATING = 32
"""Callers that trigger as fast as they are answered."""
MANY = 500
"""Subscribers at half load, each with a tag of its own."""
ACTIVE = 50
"""Of those that are mostly idle, so many have a run now and then."""
ACTIVE_RATE = 100.0
MEMORY_KB = 100

_SETTLE_SECS = 15.0
_STREAMS = {"RUNCORD_STREAMS": "20000", "RUNCORD_STREAMS_PER_PROJECT": "20000"}
_FLOOR_APPENDS = 5


def measure(databases: Databases, effort: Effort) -> Report:
    """Trigger runs over HTTP with a time in them, and read the clock when a subscriber has the frame."""
    idle = 5000 if effort.rounds > 1 else 500
    floor_dsn = floor.prepare(databases.create("floor"))
    with running_server(databases.create("subscriptions"), _STREAMS) as server:
        losses: list[int] = []
        # Before anything else, so that no memory is there that was used before.
        memory = asyncio.run(_memory_of_idle(server, idle))

        saturated = 0.0

        def saturate() -> Sample:
            nonlocal saturated
            sample = asyncio.run(_saturated(server, effort.seconds, losses))
            saturated = max(saturated, sample.rate or 0.0)
            return sample

        figures = in_turn(
            effort.rounds,
            {
                "floor": lambda: asyncio.run(_floor(floor_dsn, effort.triggers)),
                "idle": lambda: asyncio.run(_idle(server, effort.triggers, losses)),
                "saturated": saturate,
                "many": lambda: asyncio.run(_paced(server, MANY, MANY, saturated / 2, effort.seconds, losses)),
                "mostly idle": lambda: asyncio.run(_paced(server, idle, ACTIVE, ACTIVE_RATE, effort.seconds, losses)),
            },
        )
    names = {
        "idle": "one subscriber, one trigger at a time",
        "saturated": f"one subscriber of all, {SATURATING} callers",
        "many": f"{MANY} subscribers, half of that load",
        "mostly idle": f"{idle:,} subscribers, {ACTIVE_RATE:g} a second to {ACTIVE} of them",
    }
    lines = [Line(what, product=figures[name], floor=figures["floor"]) for name, what in names.items()]
    return Report(
        lines,
        [
            Check("no frame was missed, none sent twice", f"{sum(losses)} wrong", sum(losses) == 0),
            _within("idle", figures["idle"], 6),
            _within("saturated", figures["saturated"], 15),
            _within(names["many"], figures["many"], 50),
            _within(names["mostly idle"], figures["mostly idle"], 250),
            Check(
                f"must: an idle subscriber takes less than {MEMORY_KB} kB of the server's memory",
                f"{memory:.0f} kB",
                memory < MEMORY_KB,
                of_speed=True,
            ),
        ],
    )


def _within(what: str, figure: Figure, most_ms: float) -> Check:
    found = figure.percentiles_ms["p99"]
    return Check(f"must: {what}, p99 within {most_ms:g} ms", f"{found:.1f} ms", found <= most_ms, of_speed=True)


async def _idle(server: Server, triggers: int, losses: list[int]) -> Sample:
    async with _client(server) as http, subscribed(server, ["bench:idle"]) as deliveries:
        for _ in range(triggers):
            before = deliveries.count
            await _trigger(http, "idle")
            await _until(deliveries, before + 1)
        losses.append(_wrong(deliveries, triggers))
        return Sample(None, deliveries.latencies)


async def _saturated(server: Server, seconds: float, losses: list[int]) -> Sample:
    async with _client(server) as http, subscribed(server, ["bench:busy"]) as deliveries:
        sent = itertools.count()

        async def trigger() -> None:
            await _trigger(http, "busy")
            next(sent)

        sample = await closed_loop(SATURATING, seconds, trigger)
        expected = next(sent)
        await _until(deliveries, expected)
        losses.append(_wrong(deliveries, expected))
        return Sample(sample.rate, deliveries.latencies)


async def _paced(
    server: Server, subscribers: int, active: int, rate: float, seconds: float, losses: list[int]
) -> Sample:
    """Trigger at a rate, in turn for each of the first `active` of so many subscribers."""
    async with _client(server) as http, subscribed(server, [f"bench:{n}" for n in range(subscribers)]) as deliveries:
        begun = monotonic()
        total = max(1, int(rate * seconds))
        async with asyncio.TaskGroup() as tasks:
            for n in range(total):
                await asyncio.sleep(max(0.0, begun + n / rate - monotonic()))
                tasks.create_task(_trigger(http, str(n % active)))
        took = monotonic() - begun
        await _until(deliveries, total)
        losses.append(_wrong(deliveries, total))
        return Sample(total / took, deliveries.latencies)


async def _memory_of_idle(server: Server, subscribers: int) -> float:
    """Return how much of the server's memory an idle subscriber takes, in kB."""
    async with subscribed(server, ["bench:first"]):
        before = _memory_kb(server)
        async with subscribed(server, [f"bench:{n}" for n in range(subscribers)]):
            return (_memory_kb(server) - before) / subscribers


async def _trigger(http: httpx2.AsyncClient, tag: str) -> None:
    body = {"payload": {**PAYLOAD, "at": monotonic()}, "tags": {"bench": tag}}
    (await http.post(f"/v1/jobs/{JOB}/trigger", content=orjson.dumps(body))).raise_for_status()


async def _until(deliveries: Deliveries, count: int) -> None:
    """Wait until so many frames have come, or no more can be expected."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE_SECS):
            while deliveries.count < count:
                deliveries.came.clear()
                await deliveries.came.wait()


def _wrong(deliveries: Deliveries, expected: int) -> int:
    """Return how many frames were missed, came twice, or out of order."""
    disorder = sum(a >= b for seen in deliveries.seen.values() for a, b in itertools.pairwise(seen))
    return abs(expected - deliveries.count) + disorder


def _memory_kb(server: Server) -> float:
    status = Path(f"/proc/{server.pid}/status").read_text()
    return float(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def _client(server: Server) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/json"}
    limits = httpx2.Limits(max_connections=SATURATING, max_keepalive_connections=SATURATING)
    return httpx2.AsyncClient(base_url=server.base_url, headers=headers, timeout=30, limits=limits)


async def _floor(dsn: str, appends: int) -> Sample:
    """Commit an event, notify, and have a listener read it: without a server in between."""
    latencies: list[float] = []
    commit = floor.GroupCommit(dsn)
    try:
        listening = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        telling = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        async with listening, telling:
            await listening.execute("listen floor")
            for _ in range(appends + _FLOOR_APPENDS):
                begun = monotonic()
                await commit.append()
                await telling.execute(floor.SQL["tell"])
                async for _ in listening.notifies(stop_after=1, timeout=5):
                    pass
                await listening.execute("select data from floor_event order by position desc limit 1")
                latencies.append(monotonic() - begun)
    finally:
        commit.close()
    return Sample(None, latencies[_FLOOR_APPENDS:])
