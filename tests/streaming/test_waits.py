"""The stream of a wait for an event: that it began, how it ended, and the end."""

import asyncio
from typing import Any

import pytest

from runcord.testing.server import ServerProcess

from .conftest import Caller, Work, calling

Servers = tuple[ServerProcess, ServerProcess]


async def waiting(caller: Caller, key: str, **body: Any) -> Work:
    work = await caller.working()
    await work.say("wait-for-event", {"event_key": key, **body})
    return work


def path(key: str) -> str:
    return f"/v1/events/{key}/stream"


def test_a_wait_is_followed_from_its_beginning_to_its_end(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            work = await waiting(one, "order/7", timeout_secs=60)
            async with two.stream(path("order/7")) as stream:
                await stream.until(1)
                sent = await one.done("POST", "/v1/events/order/7/send", {"payload": {"by": "card"}})
                await stream.until_closed()
            assert stream.ended and stream.headers["content-type"].startswith("text/event-stream")
            (began, first), (over, last) = stream.frames
            assert (first["status"], first["job_run_id"], first["timeout_secs"]) == ("waiting", work.run_id, 60)
            assert last == sent == await two.done("GET", "/v1/events/order/7")
            assert (last["status"], last["response_payload"]) == ("received", {"by": "card"})
            record = {e["position"]: e["type"] for e in await one.done("GET", f"/v1/runs/{work.run_id}/history")}
            assert (record[began], record[over]) == ("run.waited.v1", "run.event_received.v1")

    asyncio.run(test())


@pytest.mark.parametrize(("ending", "status"), [("call off", "canceled"), ("wait", "timed_out"), ("fail", "canceled")])
def test_a_wait_that_nothing_comes_of_ends_its_stream_too(servers: Servers, ending: str, status: str) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            key = f"nothing/{ending}".replace(" ", "-")
            work = await waiting(one, key, timeout_secs=0.5 if ending == "wait" else 60)
            async with two.stream(path(key)) as stream:
                await stream.until(1)
                if ending == "call off":
                    await one.done("DELETE", f"/v1/events/{key}")
                elif ending == "fail":
                    await work.say("fail", {"error": "no luck"})
                await stream.until_closed()
            assert stream.ended
            assert [data["status"] for _, data in stream.frames] == ["waiting", status]

    asyncio.run(test())


def test_a_stream_that_was_cut_goes_on_exactly_there(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, two):
            await waiting(one, "again")
            async with one.stream(path("again")) as stream:
                await stream.until(1)
            await one.done("POST", "/v1/events/again/send", {"payload": 1})
            second = await waiting(one, "again")
            (began,) = stream.ids
            # Meanwhile the key is waited for anew: what was followed is told to its end all the same.
            rest = await two.read(path("again"), **{"Last-Event-ID": str(began)})
            assert rest.ended
            assert [(data["status"], data["response_payload"]) for _, data in rest.frames] == [("received", 1)]
            async with two.stream(f"{path('again')}?after={rest.ids[0]}") as following:
                await following.until(1)
                await one.done("POST", "/v1/events/again/send", {"payload": 2})
                await following.until_closed()
            assert {data["job_run_id"] for _, data in following.frames} == {second.run_id}
            assert [data.get("response_payload") for _, data in following.frames] == [None, 2]
            over = await one.read(f"{path('again')}?after={following.ids[-1]}")
            assert over.ended and over.frames == []

    asyncio.run(test())


def test_what_cannot_be_followed_is_refused_before_a_stream_begins(servers: Servers) -> None:
    async def test() -> None:
        async with calling(*servers) as (one, _):
            await waiting(one, "refused")
            for refused, status, code in (
                (path("nobody"), 404, "event_not_found"),
                (f"{path('refused')}?after=999999999", 400, "validation_failed"),
                (f"{path('refused')}?after=x", 400, "validation_failed"),
            ):
                answer = await one.call("GET", refused)
                assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text

    asyncio.run(test())
