"""The feed of a whole ledger, live: every event once, in order, over two servers, cut anywhere and resumed exactly."""

import asyncio
import contextlib
import random
from typing import Any

import pytest

from runcord.client import AsyncClient
from runcord.testing.server import API_KEY, ServerProcess

from .conftest import Caller, calling

Servers = tuple[ServerProcess, ServerProcess]
SSE = {"Accept": "text/event-stream"}


async def head(caller: Caller) -> int:
    return int((await caller.call("GET", "/v1/events?after=0&limit=1")).headers["runcord-position"])


async def listed(caller: Caller, after: int, query: str = "") -> list[dict[str, Any]]:
    """Return what the feed lists after a position, to the end."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await caller.call("GET", f"/v1/events?after={after}&limit=1000{query}")
        assert answer.status_code == 200, answer.text
        found += answer.json()
        if "link" not in answer.headers:
            return found
        after = int(answer.headers["x-next-cursor"])


def test_a_stream_that_is_cut_anywhere_goes_on_exactly_there(servers: Servers) -> None:
    dice = random.Random(7)

    async def test() -> None:
        async with calling(*servers) as (one, two):
            start = await head(one)
            works = [await one.working() for _ in range(4)]

            async def write() -> None:
                for n in range(120):
                    await dice.choice(works).log(f"line {n}\u2028 and more", {"n": n})
                for work in works:
                    await work.say("complete", {"result": 1})

            writing = asyncio.create_task(write())
            got: list[tuple[int, dict[str, Any]]] = []
            cuts = 0
            while not (writing.done() and got and got[-1][0] == await head(one)):
                last = got[-1][0] if got else start
                path, headers = dice.choice(
                    [("/v1/events", {"Last-Event-ID": str(last)}), (f"/v1/events?after={last}", {})]
                )
                async with dice.choice((one, two)).stream(path, **SSE, **headers) as stream:
                    assert stream.headers["content-type"].startswith("text/event-stream")
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            await stream.until(dice.randrange(1, 30))
                    assert not stream.ended
                    got += stream.frames
                    cuts += 1
            await writing
            assert [data for _, data in got] == await listed(two, start)
            assert [number for number, _ in got] == list(range(start + 1, await head(two) + 1))
            assert cuts > 4

    asyncio.run(test())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("types=run.logged", ["run.logged.v1"] * 3),
        ("types=run.logged,run.completed&tag=team:a", ["run.logged.v1", "run.completed.v1"]),
        ("job={job}", ["run.tagged.v1", "run.logged.v1", "run.completed.v1", "job.updated.v1"]),
        ("run_id={run}", ["run.tagged.v1", "run.logged.v1", "run.completed.v1"]),
        ("tag=team", ["run.tagged.v1", "run.logged.v1", "run.completed.v1"]),
    ],
)
def test_readers_at_the_end_are_shown_what_they_chose(servers: Servers, query: str, expected: list[str]) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            others = [await one.working() for _ in range(2)]
            work = await one.working()
            job = (await one.done("GET", f"/v1/runs/{work.run_id}"))["job_id"]
            start = await head(one)
            path = f"/v1/events?after={start}&" + query.format(job=job, run=work.run_id)
            async with two.stream(path, **SSE) as stream:
                await work.say("tags", {"tags": {"team": "a"}})
                for one_of_them in (others[0], work, others[1]):
                    await one_of_them.log("hello")
                await work.say("complete", {"result": 1})
                await one.done("PATCH", f"/v1/jobs/{job}", {"description": "new"})
                await stream.until(len(expected))
            assert [data["type"] for _, data in stream.frames] == expected
            assert [data for _, data in stream.frames] == await listed(one, start, "&" + path.partition("&")[2])

    asyncio.run(test())


def test_many_readers_at_the_end_all_hear_and_hold_no_connection(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two), contextlib.AsyncExitStack() as stack:
            work = await one.working()
            start = await head(one)
            streams = [
                await stack.enter_async_context(two.stream(f"/v1/events?after={start}&format=cloudevents", **SSE))
                for _ in range(60)
            ]
            for n in range(20):
                await work.log(f"line {n}")
            for stream in streams:
                await stream.until(20)
                assert stream.ids == list(range(start + 1, start + 21))
            # Sixty readers are there, and a request still finds a connection.
            assert await head(two) == start + 20

    asyncio.run(test())


def test_a_reader_far_behind_catches_up_and_stays(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            made = await one.done("POST", "/v1/jobs", {"name": "many", "slug": "many"})
            start = await head(one)
            for _ in range(5):
                items = {"items": [{"payload": n} for n in range(500)]}
                await one.done("POST", f"/v1/jobs/{made['id']}/trigger/bulk", items)
            behind = await head(two) - start
            assert behind >= 2500
            async with two.stream(f"/v1/events?after={start}", **SSE) as stream:
                await stream.until(behind)
                await one.done("POST", f"/v1/jobs/{made['id']}/trigger", {})
                await stream.until(behind + 1)
            assert stream.ids == list(range(start + 1, start + behind + 2))

    asyncio.run(test())


def test_a_place_beyond_the_end_is_refused(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, _):
            answer = await one.http.request("GET", "/v1/events", headers={**SSE, "Last-Event-ID": str(10**12)})
            assert answer.status_code == 400 and "beyond" in answer.json()["message"]

    asyncio.run(test())


def test_the_python_client_reads_and_follows(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            start = await head(one)
            work = await one.working()
            await work.say("tags", {"tags": {"a": "1,2", "b": "x"}})
            await work.say("complete", {"result": 1})
            async with AsyncClient(two.server.base_url, API_KEY) as client:
                tags = {"a": "1,2", "b": "x"}
                chosen = client.ledger.events(after=start, tags=tags, page_size=2)
                read = [event.type async for event in chosen]
                assert read[0] == "run.triggered.v1" and read[-1] == "run.completed.v1" and len(read) == 5
                assert [
                    event.type
                    async for event in client.ledger.events(after=start, types=["run.tagged", "run.completed"])
                ] == ["run.tagged.v1", "run.completed.v1"]
                followed: list[str] = []
                async for event in client.ledger.follow(after=start, run_id=work.run_id):
                    followed.append(event.type)
                    if event.type == "run.completed.v1":
                        break
                assert followed == read

    asyncio.run(test())
