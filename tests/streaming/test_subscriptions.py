"""Subscriptions over HTTP: every version of the runs selected, once and in order, over two servers, cut anywhere."""

import asyncio
import random
from contextlib import aclosing
from typing import Any

import pytest

from runcord.client import AsyncClient, Client
from runcord.testing.server import API_KEY, ServerProcess

from .conftest import Caller, Stream, Work, calling, eventually

Servers = tuple[ServerProcess, ServerProcess]


async def as_recorded(caller: Caller, run_id: str) -> list[dict[str, Any]]:
    """Return the run in each of its versions."""
    run = await caller.done("GET", f"/v1/runs/{run_id}")
    return [
        await caller.done("GET", f"/v1/runs/{run_id}?version={version}") for version in range(1, run["version"] + 1)
    ]


async def positions(caller: Caller, run_id: str) -> list[int]:
    events = await caller.done("GET", f"/v1/runs/{run_id}/history?limit=100")
    return [event["position"] for event in events]


async def head(caller: Caller) -> int:
    return int((await caller.call("GET", "/v1/events?after=0&limit=1")).headers["runcord-position"])


def runs_of(stream: Stream) -> list[dict[str, Any]]:
    return [run for _, run in stream.frames]


async def tagged(caller: Caller, tag: str, **more: Any) -> Work:
    """Return a run at work that has a tag."""
    slug = f"job-{tag.replace(':', '-')}-{random.random():.12f}".replace(".", "-")
    job = await caller.done("POST", "/v1/jobs", {"name": slug, "slug": slug})
    key, _, value = tag.partition(":")
    body = {"payload": {"n": 1}, "tags": {key: value}, **more}
    run = await caller.done("POST", f"/v1/jobs/{job['id']}/trigger", body)
    return await caller.take(run["id"])


def test_a_subscription_gives_the_run_as_it_is_and_then_after_each_event(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            work = await one.working()
            async with two.stream(f"/v1/runs/{work.run_id}/subscribe") as stream:
                await stream.until(1)
                await work.log("hello")
                await work.say("checkpoint", {"state": {"a": 1}})
                await work.say("complete", {"result": {"ok": True}})
                await stream.until_closed()
            assert stream.status == 200 and stream.ended
            recorded = await as_recorded(one, work.run_id)
            assert runs_of(stream) == recorded[2:]
            assert stream.ids == (await positions(one, work.run_id))[2:]
            assert runs_of(stream)[-1]["result"] == {"ok": True}

    asyncio.run(test())


def test_a_finished_run_is_given_whole_and_the_stream_ends(servers: Servers) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,):
            work = await one.working()
            await work.say("complete", {"result": 1})
            recorded = await as_recorded(one, work.run_id)
            path = f"/v1/runs/{work.run_id}/subscribe"
            present = await one.read(path)
            assert present.status == 200 and present.ended and runs_of(present) == recorded[-1:]
            whole = await one.read(f"{path}?after=0")
            assert whole.ended and runs_of(whole) == recorded
            coalesced = await one.read(f"{path}?after=0&coalesce=true")
            assert coalesced.ended and runs_of(coalesced) == recorded[-1:]
            last = await one.read(path, **{"Last-Event-ID": str(whole.ids[-1])})
            assert last.ended and last.frames == []
            for place, after in enumerate(whole.ids[:-1]):
                rest = await one.read(f"{path}?after={after}")
                assert rest.ended and runs_of(rest) == recorded[place + 1 :]

    asyncio.run(test())


def test_runs_enter_a_tag_feed_when_they_get_the_tag(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            there = await tagged(one, "colour:red")
            other = await tagged(one, "colour:blue")
            later = await one.working()
            query = "/v1/subscribe?tag=colour:red&tag=shape"
            await there.say("tags", {"tags": {"shape": "round"}})
            async with two.stream(query) as stream, two.stream("/v1/subscribe?tag=colour") as any_colour:
                await stream.until(1)
                await any_colour.until(2)
                await later.say("tags", {"tags": {"colour": "red"}})
                await later.say("tags", {"tags": {"shape": "square"}})
                await other.say("complete", {})
                await later.log("one more")
                await stream.until(3)
                await any_colour.until(6)
            assert [run["id"] for run in runs_of(stream)] == [there.run_id, later.run_id, later.run_id]
            assert runs_of(stream) == [
                (await as_recorded(one, there.run_id))[-1],
                *(await as_recorded(one, later.run_id))[-2:],
            ]
            assert {run["id"] for run in runs_of(any_colour)[:2]} == {there.run_id, other.run_id}
            assert [run["id"] for run in runs_of(any_colour)[2:]] == [
                later.run_id, later.run_id, other.run_id, later.run_id,
            ]  # fmt: skip

    asyncio.run(test())


def test_a_subscription_is_of_a_job_a_batch_and_statuses(servers: Servers) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,):
            job = await one.done("POST", "/v1/jobs", {"name": "of-job", "slug": "of-job"})
            body = {"items": [{"payload": {"n": n}} for n in range(3)]}
            made = await one.done("POST", "/v1/jobs/of-job/trigger/bulk", body)
            run_ids = [item["id"] for item in made["results"]]
            batch = (await one.done("GET", f"/v1/runs/{run_ids[0]}"))["batch_id"]
            await one.done("POST", "/v1/jobs/of-job/trigger", {})
            async with (
                one.stream(f"/v1/subscribe?job=of-job&batch={batch}&status=executing,completed") as stream,
                one.stream(f"/v1/subscribe?job={job['id']}&status=queued") as queued,
                one.stream(f"/v1/subscribe?batch={batch}") as whole,
            ):
                await queued.until(4)
                await whole.until(3)
                work = await one.take(run_ids[1])
                await work.say("complete", {})
                await stream.until(2)
                await whole.until(6)
            assert [(run["id"], run["status"]) for run in runs_of(stream)] == [
                (run_ids[1], "executing"),
                (run_ids[1], "completed"),
            ]
            assert len(queued.frames) == 4
            assert [run["id"] for run in runs_of(whole)[:3]] == run_ids

    asyncio.run(test())


@pytest.mark.parametrize("coalesce", [False, True])
def test_subscriptions_that_are_cut_anywhere_go_on_exactly_there(servers: Servers, coalesce: bool) -> None:
    dice = random.Random(11)
    tag = f"cut:{coalesce}".lower()

    async def test() -> None:
        async with calling(*servers) as (one, two):
            start = await head(one)
            works = [await tagged(one, tag) for _ in range(4)] + [await tagged(one, "other:x")]

            async def write() -> None:
                for n in range(120):
                    await dice.choice(works).log(f"line {n}\u2028 and more")
                for work in works:
                    await work.say("complete", {"result": 1})

            writing = asyncio.create_task(write())
            got: list[tuple[int, dict[str, Any]]] = []
            cuts = 0

            def is_whole() -> bool:
                return writing.done() and len({r["id"] for _, r in got if r["status"] == "completed"}) == 4

            while not is_whole():
                after = got[-1][0] if got else start
                path = f"/v1/subscribe?tag={tag}&coalesce={str(coalesce).lower()}&after={after}"
                async with dice.choice((one, two)).stream(path) as stream:
                    wanted = dice.randrange(1, 12)
                    await eventually(lambda: len(stream.frames) >= wanted or writing.done())  # noqa: B023
                    if writing.done():
                        await eventually(lambda: bool(stream.frames) or is_whole())
                    got += stream.frames[: dice.randrange(0, len(stream.frames) + 1)]
                cuts += 1
            assert cuts > 3
            await writing
            ids = [position for position, _ in got]
            assert ids == sorted(set(ids))
            recorded: dict[int, dict[str, Any]] = {}
            for work in works[:4]:
                history = await one.done("GET", f"/v1/runs/{work.run_id}/history?limit=1000")
                for event, run in zip(history, await as_recorded(one, work.run_id), strict=True):
                    recorded[event["position"]] = run
            assert all(run == recorded[position] for position, run in got)
            if not coalesce:
                assert ids == sorted(recorded)

    asyncio.run(test())


def test_a_slow_reader_gets_everything_later(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            work = await tagged(one, "slow:yes")
            async with two.http.stream("GET", "/v1/subscribe?tag=slow:yes&after=0", timeout=60) as answer:
                for n in range(40):
                    await work.log(f"{n}", "x" * 100_000)
                for n in range(400):
                    await work.log(f"{n}")
                last = await head(one)
                text = b""
                async for piece in answer.aiter_bytes():
                    text += piece
                    if f"id: {last}\n".encode() in text and text.endswith(b"\n\n"):
                        break
            assert text.count(b"\nid: ") + text.startswith(b"id: ") == 3 + 440

    asyncio.run(test())


def test_the_clients_iterate_over_runs_as_they_change(servers: Servers) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,), AsyncClient(base_url=servers[1].base_url, api_key=API_KEY) as client:
            work = await tagged(one, "client:1")
            seen: list[tuple[int | None, str]] = []
            tagged_runs: Any = aiter(client.runs.subscribe_to_tag("client:1"))
            async with aclosing(tagged_runs) as feed:
                assert (await anext(feed)).version == 3
                async for run in client.runs.subscribe(work.run_id):
                    seen.append((run.version, run.status))
                    if len(seen) == 1:
                        await work.log("on")
                        await work.say("complete", {"result": 1})
                assert seen == [(3, "executing"), (4, "executing"), (5, "completed")]
                assert [(await anext(feed)).version for _ in range(2)] == [4, 5]

    asyncio.run(test())


def test_the_synchronous_client_iterates_too(servers: Servers) -> None:
    with Client(base_url=servers[0].base_url, api_key=API_KEY) as client:
        client.jobs.create(name="sync", slug="sync-subscribed")
        run = client.jobs.trigger("sync-subscribed", {"n": 1})
        client.runs.cancel(run.id)
        assert [one.status for one in client.runs.subscribe(run.id, after=0)] == ["queued", "canceled"]
        stream = client.runs.subscribe(run.id)
        assert [one.status for one in stream] == ["canceled"]
        assert list(client.runs.subscribe(run.id, after=stream.last_id)) == []
