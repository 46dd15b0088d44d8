"""A run's stream: its whole record in order, resumed exactly, over two servers, until it is finished."""

import asyncio
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from strait import Client as StraitClient

from runcord.testing.server import PROJECT, ServerProcess

from .conftest import Stream, calling, eventually

Servers = tuple[ServerProcess, ServerProcess]


async def history(caller: Any, run_id: str) -> list[dict[str, Any]]:
    return await caller.done("GET", f"/v1/runs/{run_id}/history?limit=100")


def test_everything_that_is_recorded_of_a_run_is_shown_as_it_happens(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            work = await one.working(max_attempts=5)
            run = f"/v1/runs/{work.run_id}"
            async with two.stream(work.events) as stream:
                await stream.until(3)
                await work.log("hello", {"a": 1})
                await work.say("progress", {"percent": 50, "step": "half"})
                await work.say("checkpoint", {"state": {"at": 7}})
                await work.say("usage", {"provider": "p", "model": "m"})
                await work.say("tags", {"tags": {"a": "b"}})
                await work.say("state", {"key": "k", "value": 1})
                await one.done("POST", f"{run}/pause")
                await two.done("POST", f"{run}/resume")
                await two.done("POST", f"{run}/reschedule", {"scheduled_at": "2199-01-01T00:00:00Z"})
                await one.done("POST", f"{run}/reschedule", {"scheduled_at": "2000-01-01T00:00:00Z"})
                await one.done("POST", f"{run}/debug", {"debug_mode": True})
                again = await one.take(work.run_id)
                await again.say("fail", {"error": "no luck", "retry_after_secs": 0})
                await two.done("DELETE", run)
                await stream.until_closed()
            record = await history(one, work.run_id)
            assert stream.ended and stream.status == 200
            assert stream.ids == [event["position"] for event in record]
            assert [data["version"] for _, data in stream.frames] == list(range(1, len(record) + 1))
            by_type = {data["event_type"]: data for _, data in stream.frames}
            assert by_type["log"]["data"] == {"a": 1} and by_type["log"]["type"] == "event"
            assert by_type["progress"]["data"] == {"percent": 50, "step": "half"}
            assert by_type["run.checkpointed.v1"]["type"] == "run_event"
            assert by_type["run.debug_set.v1"]["data"] == {"debug_mode": True}
            retried = by_type["run.retried.v1"]
            assert (retried["from"], retried["to"], retried["error"]) == ("executing", "queued", "no luck")
            changes = [(data["from"], data["to"]) for _, data in stream.frames if data["type"] == "status_change"]
            assert changes[0] == (None, "queued") and changes[-1] == ("queued", "canceled")
            assert all(after == before for (_, after), (before, _) in pairwise(changes))
            assert {"delayed", "paused"} <= {to for _, to in changes}
            assert by_type["run.canceled.v1"]["project_id"] == PROJECT

    asyncio.run(test())


def test_a_stream_that_is_cut_anywhere_goes_on_exactly_there(servers: Servers) -> None:
    dice = random.Random(5)

    async def test() -> None:
        async with calling(*servers) as (one, two):
            work = await one.working()

            async def write() -> None:
                for n in range(150):
                    await work.log(f"line {n}\u2028 and more", {"n": n})
                await work.say("complete", {"result": 1})

            writing = asyncio.create_task(write())
            got: list[tuple[int, dict[str, Any]]] = []
            cuts = 0
            ended = False
            while not ended:
                caller = dice.choice((one, two))
                last = got[-1][0] if got else 0
                path, headers = dice.choice(
                    [
                        (work.events, {"Last-Event-ID": str(last)}),
                        (f"{work.events}?after={last}", {}),
                        (f"{work.events}?cursor={last}", {}),
                        (f"{work.events}?after=1", {"Last-Event-ID": str(last)}),
                    ]
                )
                async with caller.stream(path, **headers) as stream:
                    wanted = dice.randrange(12)
                    while len(stream.frames) < wanted and not stream.closed:
                        stream.changed.clear()
                        await asyncio.wait_for(stream.changed.wait(), 10)
                    got += stream.frames
                    cuts += not stream.ended
                    ended = stream.ended
            await writing
            whole = await one.read(work.events)
            assert got == whole.frames and len(got) == 3 + 150 + 1
            assert cuts > 10

    asyncio.run(test())


def test_a_finished_run_is_replayed_and_its_stream_ends(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            work = await one.working()
            await work.say("complete", {"result": {"answer": 42}})
            whole = await two.read(work.events, Accept="application/json")
            assert whole.status == 200 and whole.ended
            assert whole.types == ["run.triggered.v1", "run.dequeued.v1", "run.attempted.v1", "run.completed.v1"]
            assert whole.frames[-1][1]["data"]["result"] == {"answer": 42}
            assert whole.headers["content-type"].startswith("text/event-stream")
            assert (whole.headers["cache-control"], whole.headers["x-accel-buffering"]) == ("no-cache", "no")
            assert bytes(whole.raw).startswith(b"retry: 1000\n\n")
            for seen in range(5):
                last = whole.ids[seen - 1] if seen else 0
                rest = await two.read(work.events, **{"Last-Event-ID": str(last)})
                assert (rest.status, rest.ended, rest.frames) == (200, True, whole.frames[seen:])

    asyncio.run(test())


def test_a_dead_letter_ends_the_stream_and_its_replay_is_followed_from_there(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            work = await one.working(max_attempts=1)
            async with two.stream(work.events) as stream:
                await work.say("fail", {"error": "broken"})
                await stream.until_closed()
            assert stream.ended and stream.frames[-1][1]["to"] == "dead_letter"
            await one.done("POST", f"/v1/runs/{work.run_id}/dlq-replay")
            async with two.stream(f"{work.events}?after={stream.ids[-1]}") as rest:
                await rest.until(1)
                again = await one.take(work.run_id)
                await again.say("complete")
                await rest.until_closed()
            assert [(data["from"], data["to"]) for _, data in rest.frames] == [
                ("dead_letter", "queued"),
                ("queued", "dequeued"),
                ("dequeued", "executing"),
                ("executing", "completed"),
            ]

    asyncio.run(test())


def test_a_silent_stream_says_that_it_lives(servers: Servers) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,):
            work = await one.working()
            async with one.stream(work.events) as stream, asyncio.timeout(10):
                while stream.raw.count(b": keepalive\n\n") < 3:
                    stream.changed.clear()
                    await stream.changed.wait()
            assert stream.frames and not stream.ended

    asyncio.run(test())


def test_strangers_and_wrong_places_are_refused_before_a_stream_begins(servers: Servers) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,):
            work = await one.working()
            for path in (work.events, work.chunks):
                assert (await one.call("GET", path.replace(work.run_id, "run_nobody"))).status_code == 404
                for place in ("x", "-1", "1.5", "9" * 30, "999999999", "٣"):
                    for given in ("after", "cursor"):
                        answer = await one.call("GET", f"{path}?{given}={place}")
                        assert answer.status_code == 400, (given, place)
                    answer = await one.http.get(path, headers={"Last-Event-ID": place.encode()})
                    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed"), place
            head = await one.http.head(work.events)
            assert head.status_code == 200 and head.content == b""

    asyncio.run(test())


def test_many_idle_readers_hold_no_connection_and_all_hear_what_happens(servers: Servers, postgres: Any) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            works = [await one.working() for _ in range(10)]
            before = connections(servers)
            streams: list[Stream] = []
            async with asyncio.TaskGroup() as tasks, asyncio.timeout(60):

                async def follow(n: int) -> None:
                    async with two.stream(works[n % 10].events) as stream:
                        streams.append(stream)
                        await stream.until_closed()

                for n in range(300):
                    tasks.create_task(follow(n))
                await eventually(lambda: len(streams) == 300 and all(len(one.frames) == 3 for one in streams), 60)
                # No more than the pools' own, and none of them at work.
                assert connections(servers) - before <= 20
                await eventually(lambda: busy(servers) == 0)
                for work in works:
                    await work.say("complete")
            assert all(stream.ended and stream.types[-1] == "run.completed.v1" for stream in streams)

    asyncio.run(test())


def test_slow_readers_cost_no_memory_and_lose_nothing(servers: Servers) -> None:
    readers, lines, size = 20, 200, 32 * 1024

    async def test() -> None:
        one, two = servers
        async with calling(one) as (caller,):
            work = await caller.working()
            slow = [await open_slowly(two, work.events) for _ in range(readers)]
            async with calling(two) as (quick,), quick.stream(work.events) as stream:
                await stream.until(3)
                before = resident_bytes(two)
                for n in range(lines):
                    await work.log(str(n), "x" * size)
                await stream.until(3 + lines)
                grown = resident_bytes(two) - before
                assert grown < readers * lines * size / 3, f"the server grew by {grown:,} bytes"
            await work.say("complete")
            for received, _writer in slow:
                content = await asyncio.wait_for(received.read(), 60)
                assert content.count(b"\nid: ") == 3 + lines + 1 and b"\n: end\n" in content
            for _, writer in slow:
                writer.close()

    asyncio.run(test())


async def open_slowly(server: ServerProcess, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for a stream and read nothing of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4096)
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {server.headers['Authorization']}"
    writer.write(f"{head}\r\n\r\n".encode())
    await writer.drain()
    await reader.readuntil(b"retry: 1000")
    return reader, writer


@pytest.mark.parametrize("text", ["\u2028", "\u2029", "\x85", "\x1c\x1d\x1e", "\x0b\x0c", "\r\n", "ü€ \x1b[31m"])
def test_straits_own_client_reads_the_stream(servers: Servers, text: str) -> None:
    async def prepare() -> tuple[str, list[int]]:
        async with calling(servers[0]) as (one,):
            work = await one.working()
            await work.log(f"a{text}b")
            await work.chunk(f"a{text}b")
            await work.say("complete", {"result": f"r{text}"})
            return work.run_id, (await one.read(work.events)).ids

    run_id, ids = asyncio.run(prepare())
    with StraitClient(
        base_url=servers[1].base_url, bearer_token=servers[1].headers["Authorization"].split()[1]
    ) as strait:
        frames = list(strait.do_stream("GET", f"/v1/runs/{run_id}/stream"))
        assert [frame["position"] for frame in frames] == ids
        (said,) = [frame for frame in frames if frame["type"] == "event"]
        assert said["message"] == f"a{text}b"
        assert frames[-1]["data"]["result"] == f"r{text}"
        rest = list(strait.do_stream("GET", f"/v1/runs/{run_id}/stream", headers={"Last-Event-ID": str(ids[-2])}))
        assert rest == frames[-1:]
        (chunk,) = strait.do_stream("GET", f"/v1/runs/{run_id}/stream/chunks")
        assert (chunk["type"], chunk["chunk"]) == ("stream_chunk", f"a{text}b")


def dsn_of(servers: Servers) -> str:
    return servers[0]._environment["DATABASE_URL"]


def connections(servers: Servers) -> int:
    return count(servers, "true")


def busy(servers: Servers) -> int:
    return count(servers, "state <> 'idle' and application_name in ('runcord reader', 'runcord service')")


def count(servers: Servers, condition: str) -> int:
    with psycopg.connect(dsn_of(servers)) as conn:
        rows = conn.execute(
            "select count(*) from pg_stat_activity where datname = current_database()"
            f" and application_name like 'runcord%' and {condition}".encode()
        )
        return rows.fetchall()[0][0]


def resident_bytes(server: ServerProcess) -> int:
    assert server._process is not None
    status = Path(f"/proc/{server._process.pid}/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024
