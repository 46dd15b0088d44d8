"""What becomes of streams when the server is stopped or killed, when the database hangs up, and when there are many."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from runcord.client import Client
from runcord.clock import monotonic
from runcord.http.app import create_app
from runcord.http.credentials import create_project
from runcord.http.key_administration import create_key
from runcord.settings import load_settings
from runcord.testing.server import API_KEY, ServerProcess

from .conftest import calling


@pytest.fixture
def two(dsn: str) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """Two servers that a test may stop and kill."""
    with ServerProcess(dsn) as one, ServerProcess(dsn) as other:
        yield one, other


def test_a_server_that_is_stopped_ends_its_streams_cleanly_and_another_goes_on(
    two: tuple[ServerProcess, ServerProcess],
) -> None:
    async def test() -> None:
        async with calling(*two) as (one, other):
            work = await one.working()
            async with other.stream(work.events) as stream, other.stream(work.chunks) as chunks:
                await stream.until(3)
                began = monotonic()
                assert await asyncio.to_thread(two[1].stop) == 0
                assert monotonic() - began < 5
                await stream.until_closed()
                await chunks.until_closed()
                # The answers were whole, and did not pretend that the run had ended.
                assert not stream.ended and not chunks.ended
                assert "Exception in ASGI application" not in two[1].log
            await work.say("complete")
            rest = await one.read(work.events, **{"Last-Event-ID": str(stream.ids[-1])})
            assert rest.types == ["run.completed.v1"] and rest.ended

    asyncio.run(test())


def test_a_database_that_hangs_up_ends_no_stream(two: tuple[ServerProcess, ServerProcess], dsn: str) -> None:
    async def test() -> None:
        async with calling(*two) as (one, other):
            work = await one.working()
            async with other.stream(work.events) as stream, other.stream(work.chunks) as chunks:
                await stream.until(3)
                with psycopg.connect(dsn, autocommit=True) as conn:
                    conn.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'runcord%'"
                        " and datname = current_database()"
                    )
                await again(work.log, "still here")
                await again(work.chunk, "piece")
                await stream.until(4)
                await chunks.until(1)
            assert stream.frames[3][1]["message"] == "still here"

    asyncio.run(test())


async def again(call: Any, *arguments: Any) -> None:
    """Call until it works: for as long as the server finds its connections dead."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await call(*arguments)
            except AssertionError:
                await asyncio.sleep(0.05)


@pytest.mark.faults
def test_a_client_follows_through_killed_servers_without_loss_or_repetition(
    two: tuple[ServerProcess, ServerProcess],
) -> None:
    """The client's server is killed and started again, and again; the worker's stays."""
    lines, kills = 300, 3
    got: list[tuple[int, str]] = []
    pieces: list[str] = []
    midway = [threading.Event() for _ in range(kills)]

    def follow(client: Client, run_id: str) -> None:
        for event in client.runs.stream(run_id):
            got.append((event.position, event.message or event.event_type))
            for n, reached in enumerate(midway, 1):
                if len(got) >= n * lines // (kills + 1):
                    reached.set()

    def follow_chunks(client: Client, run_id: str) -> None:
        pieces.extend(chunk.chunk for chunk in client.runs.stream_chunks(run_id))

    async def test() -> None:
        async with calling(two[0]) as (one,):
            work = await one.working()
            with Client(two[1].base_url, API_KEY) as client:
                following = [asyncio.to_thread(how, client, work.run_id) for how in (follow, follow_chunks)]
                tasks = [asyncio.ensure_future(one) for one in following]

                async def write() -> None:
                    for n in range(lines):
                        await work.log(f"line {n}")
                        await work.chunk(f"piece {n}")
                    await work.say("complete")

                writing = asyncio.ensure_future(write())
                for reached in midway:
                    assert await asyncio.to_thread(reached.wait, 30)
                    two[1].kill()
                    await asyncio.to_thread(two[1].start)
                await asyncio.wait_for(asyncio.gather(writing, *tasks), 60)
            whole = await one.read(work.events)
            assert [position for position, _ in got] == whole.ids
            said = [message for _, message in got[3:-1] if message != "run.stream_opened.v1"]
            assert said == [f"line {n}" for n in range(lines)]
            assert pieces == [f"piece {n}" for n in range(lines)]

    asyncio.run(test())


def test_a_stream_ends_soon_after_its_key(dsn: str) -> None:
    async def test() -> None:
        with ServerProcess(dsn) as server:
            async with calling(server) as (one,):
                work = await one.working()
                key = await one.done("POST", "/v1/api-keys", {"name": "reader", "scopes": ["runs:read"]})
                reader = {"Authorization": f"Bearer {key['key']}"}
                async with one.stream(work.events, **reader) as stream, one.stream(work.chunks, **reader) as chunks:
                    await stream.until(3)
                    await one.done("DELETE", f"/v1/api-keys/{key['id']}")
                    await stream.until_closed()
                    await chunks.until_closed()
                    assert not stream.ended and not chunks.ended
                assert (await one.http.get(work.events, headers=reader)).status_code == 401

    asyncio.run(test())


def test_more_streams_than_are_allowed_are_refused(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for project_id in ("proj_a", "proj_b", "proj_c"):
            create_project(conn, project_id, project_id)
    keys = {name: create_key(dsn, f"proj_{name}", "t", scopes=["*"]).secret for name in "abc"}
    app = create_app(load_settings(streams=3, streams_per_project=2), dsn)
    with TestClient(app) as client:

        def open_one(project: str) -> Any:
            headers = {"Authorization": f"Bearer {keys[project]}"}
            made = client.post("/v1/jobs", json={"name": "j", "slug": "j"}, headers=headers)
            assert made.status_code in {201, 409}
            run = client.post("/v1/jobs/j/trigger", json={}, headers=headers).json()
            assert client.delete(f"/v1/runs/{run['id']}", headers=headers).status_code == 200
            return client.get(f"/v1/runs/{run['id']}/stream", headers=headers)

        slots = app.state.backend.stream_slots
        with slots.taken("proj_a"), slots.taken("proj_b"):
            assert open_one("a").status_code == open_one("b").status_code == 200
            with slots.taken("proj_a"):
                answer = open_one("a")
                assert (answer.status_code, answer.json()["code"]) == (429, "too_many_streams")
                assert answer.headers["retry-after"] == "1"
                assert (open_one("c").status_code, open_one("c").json()["code"]) == (503, "service_unavailable")
        assert open_one("c").status_code == 200, "an ended stream gives its place back"


def test_a_client_that_goes_away_gives_its_place_back(dsn: str) -> None:
    async def test() -> None:
        with ServerProcess(dsn, {"RUNCORD_STREAMS_PER_PROJECT": "2"}) as server:
            async with calling(server) as (one,):
                work = await one.working()
                async with one.stream(work.events) as first, one.stream(work.chunks):
                    await first.until(3)
                    assert (await one.call("GET", work.events)).status_code == 429
                async with asyncio.timeout(10):
                    while True:
                        async with one.stream(work.events) as stream:
                            if stream.status == 200:
                                break

    asyncio.run(test())
