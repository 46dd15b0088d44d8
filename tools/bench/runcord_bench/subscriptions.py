"""Subscriptions: from a trigger to the frame that tells of it, with one subscriber and with thousands."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator
from pathlib import Path

import orjson
import psycopg

from runcord.clock import monotonic
from runcord_bench import floor, http_load
from runcord_bench.database import Databases
from runcord_bench.http_load import Connection
from runcord_bench.load import PAYLOAD
from runcord_bench.process import running_modules
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Figure, Sample, in_turn
from runcord_bench.server import JOB, Server, running_server
from runcord_bench.subscribers import Deliveries, subscribed

SATURATING = 16
"""Connections that trigger as fast as they are answered."""
PACE_SECS = 0.005
"""Between an answer and the next trigger of whoever measures meanwhile."""
MANY = 500
"""Subscribers at half load, each with a tag of its own."""
ACTIVE = 50
"""Of those that are mostly idle, so many have a run now and then."""
ACTIVE_RATE = 100.0
MEMORY_KB = 100

_SETTLE_SECS = 15.0
_STREAMS = {"RUNCORD_STREAMS": "20000", "RUNCORD_STREAMS_PER_PROJECT": "20000"}
_FLOOR_APPENDS = 5
_CONNECTIONS = 8
_UNTIMED = -1.0


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
        "saturated": f"one subscriber of all, {SATURATING} callers besides",
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
    async with _connections(server) as free, subscribed(server, ["bench:idle"]) as deliveries:
        for _ in range(triggers):
            before = deliveries.count
            await _trigger(server, free, "idle")
            await _until(deliveries, before + 1)
        losses.append(_wrong(deliveries, triggers))
        return Sample(None, deliveries.latencies)


async def _saturated(server: Server, seconds: float, losses: list[int]) -> Sample:
    """Trigger one after the other while another process triggers as fast as it can, all for one subscriber."""
    arguments = (*_address(server), _body("busy", _UNTIMED).decode(), str(SATURATING), str(seconds))
    with running_modules("http_load", *arguments, count=1) as [others]:
        async with _connections(server) as free, subscribed(server, ["bench:busy"]) as deliveries:
            others.begin()
            begun, paced = monotonic(), 0
            while monotonic() < begun + seconds:
                await _trigger(server, free, "busy")
                paced += 1
                await asyncio.sleep(PACE_SECS)
            sample, answered = await asyncio.to_thread(http_load.result, others, seconds)
            await _until(deliveries, answered + paced)
            losses.append(_wrong(deliveries, answered + paced))
            return Sample(sample.rate, deliveries.latencies)


async def _paced(
    server: Server, subscribers: int, active: int, rate: float, seconds: float, losses: list[int]
) -> Sample:
    """Trigger at a rate, in turn for each of the first `active` of so many subscribers."""
    tags = [f"bench:{n}" for n in range(subscribers)]
    async with _connections(server) as free, subscribed(server, tags) as deliveries:
        begun = monotonic()
        total = max(1, int(rate * seconds))
        async with asyncio.TaskGroup() as tasks:
            for n in range(total):
                await asyncio.sleep(max(0.0, begun + n / rate - monotonic()))
                tasks.create_task(_trigger(server, free, str(n % active)))
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


async def _trigger(server: Server, free: "asyncio.Queue[Connection]", tag: str) -> None:
    """Trigger a run that says when it was wanted: before there was a connection for it."""
    _, key, path = _address(server)
    request = http_load.post(path, key, _body(tag, monotonic()))
    connection = await free.get()
    await connection.send(request)
    free.put_nowait(connection)


def _body(tag: str, at: float) -> bytes:
    return orjson.dumps({"payload": {**PAYLOAD, "at": at}, "tags": {"bench": tag}})


def _address(server: Server) -> tuple[str, str, str]:
    return str(server.port), server.api_key, f"/v1/jobs/{JOB}/trigger"


@contextlib.asynccontextmanager
async def _connections(server: Server) -> AsyncGenerator["asyncio.Queue[Connection]"]:
    """Hold connections open that nobody is using."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    opened = [await Connection.open(int(_address(server)[0])) for _ in range(_CONNECTIONS)]
    for connection in opened:
        free.put_nowait(connection)
    try:
        yield free
    finally:
        for connection in opened:
            connection.close()


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
