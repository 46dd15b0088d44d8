"""Chunks: kept in order under numbers of their own, from live attempts only, and gone when they are old."""

import asyncio
import random
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from runcord.queue.scheduler import Scheduler
from runcord.run.commands import Cancel, Claim, Complete
from runcord.streaming.chunk_writer import BATCH_BYTES, ChunkWriter, NewChunk
from runcord.streaming.chunks import last_chunk, list_chunks
from runcord.testing.project import Project, in_project
from runcord.testing.server import ServerProcess

from .conftest import calling

Servers = tuple[ServerProcess, ServerProcess]


# --- over HTTP ----------------------------------------------------------------------------------------


def test_chunks_are_followed_as_they_come_and_can_be_read_again(servers: Servers) -> None:
    pieces = ["Hello", " w\x1b[31morld\x1b[0m", "\u2028\x85", "", "ü€🐘"]

    async def test() -> None:
        async with calling(*servers) as (one, two):
            work = await one.working()
            async with two.stream(work.chunks) as stream:
                for piece in pieces:
                    await work.chunk(piece)
                await work.chunk("aside", stream_id="thoughts", done=True)
                await stream.until(6)
                await work.say("complete")
                await stream.until_closed()
            assert stream.ended and stream.ids == [1, 2, 3, 4, 5, 6]
            assert [data["chunk"] for _, data in stream.frames] == [*pieces, "aside"]
            last = stream.frames[-1][1]
            assert (last["type"], last["stream_id"], last["done"], last["attempt"]) == (
                "stream_chunk",
                "thoughts",
                True,
                1,
            )
            assert len(bytes(stream.raw).decode().splitlines()) == 2 + 6 * 3 + 2  # no line was broken
            for seen in range(7):
                rest = await one.read(f"{work.chunks}?after={seen}")
                assert rest.ended and rest.frames == stream.frames[seen:]
            only = await one.read(f"{work.chunks}?stream_id=thoughts")
            assert only.frames == stream.frames[5:] and only.ended
            listed = await two.done("GET", f"/v1/runs/{work.run_id}/chunks")
            assert [{"type": "stream_chunk"} | chunk for chunk in listed] == [data for _, data in stream.frames]
            page = await two.done("GET", f"/v1/runs/{work.run_id}/chunks?limit=4&after=1&envelope=true")
            assert [chunk["sequence"] for chunk in page["data"]] == [2, 3, 4, 5] and page["has_more"]
            more = await two.done("GET", f"/v1/runs/{work.run_id}/chunks?limit=4&cursor={page['next_cursor']}")
            assert [chunk["sequence"] for chunk in more] == [6]

    asyncio.run(test())


def test_a_stream_of_chunks_that_is_cut_anywhere_goes_on_exactly_there(servers: Servers) -> None:
    dice = random.Random(7)

    async def test() -> None:
        async with calling(*servers) as (one, two):
            work = await one.working()

            async def write() -> None:
                for n in range(200):
                    await work.chunk(f"{n} ")
                await work.say("complete")

            writing = asyncio.create_task(write())
            got: list[tuple[int, dict[str, Any]]] = []
            ended = False
            while not ended:
                last = got[-1][0] if got else 0
                async with dice.choice((one, two)).stream(work.chunks, **{"Last-Event-ID": str(last)}) as stream:
                    wanted = dice.randrange(15)
                    while len(stream.frames) < wanted and not stream.closed:
                        stream.changed.clear()
                        await asyncio.wait_for(stream.changed.wait(), 10)
                    got += stream.frames
                    ended = stream.ended
            await writing
            assert "".join(data["chunk"] for _, data in got) == "".join(f"{n} " for n in range(200))
            assert [number for number, _ in got] == list(range(1, 201))

    asyncio.run(test())


def test_only_a_live_attempt_may_stream(servers: Servers) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,):
            work = await one.working(max_attempts=3)
            await work.chunk("first")
            await work.say("fail", {"error": "x", "retry_after_secs": 0})
            queued = await work.call("stream", {"chunk": "late"})
            assert (queued.status_code, queued.json()["code"]) == (409, "stale_attempt")
            again = await one.take(work.run_id)
            stale = await work.call("stream", {"chunk": "late"})
            assert (stale.status_code, stale.json()["code"]) == (409, "stale_attempt")
            await again.chunk("second")
            await again.say("wait")
            waiting = await again.call("stream", {"chunk": "waiting"})
            assert (waiting.status_code, waiting.json()["code"]) == (409, "illegal_transition")
            await again.say("resume")
            await again.say("complete")
            ended = await again.call("stream", {"chunk": "late"})
            assert (ended.status_code, ended.json()["code"]) == (409, "illegal_transition")
            unknown = await one.call("POST", "/sdk/v1/runs/run_x/stream", {"chunk": "x"})
            assert (unknown.status_code, unknown.json()["code"]) == (404, "run_not_found")
            listed = await one.done("GET", f"/v1/runs/{work.run_id}/chunks")
            assert [(chunk["chunk"], chunk["attempt"]) for chunk in listed] == [("first", 1), ("second", 2)]

    asyncio.run(test())


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"chunk": 5}',
        b'{"chunk": null}',
        rb'{"chunk": "a\u0000b"}',
        rb'{"chunk": "\ud800"}',
        b'{"chunk": "a", "stream_id": ""}',
        b'{"chunk": "a", "done": "yes"}',
        b'{"chunk": "a", "colour": "red"}',
        b'{"chunk": "%s"}' % ("ü" * (32 * 1024 + 1)).encode(),
    ],
)
def test_what_is_no_chunk_is_refused(servers: Servers, body: bytes) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,):
            work = await one.working()
            headers = {"Authorization": f"Bearer {work.token}"}
            answer = await one.http.post(f"/sdk/v1/runs/{work.run_id}/stream", content=body, headers=headers)
            assert answer.status_code == 400 and len(answer.json()["message"]) > 10
            await work.chunk("ü" * (32 * 1024))  # the largest there may be
            (kept,) = await one.done("GET", f"/v1/runs/{work.run_id}/chunks")
            assert kept["chunk"] == "ü" * (32 * 1024)

    asyncio.run(test())


# --- in the database ----------------------------------------------------------------------------------


def writer_of(project: Project, told: list[tuple[str, str, int]] | None = None) -> tuple[ChunkWriter, list[int]]:
    """Return a writer, and the sizes of the batches that it writes."""
    batches: list[int] = []

    async def touch(statement: bytes, params: Any) -> Any:
        batches.append(len(params["run_ids"]))
        return await asyncio.to_thread(sync_touch, project, statement, params)

    return ChunkWriter(touch, lambda *what: told.append(what) if told is not None else None), batches


def sync_touch(project: Project, statement: bytes, params: Any) -> list[Any]:
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        return conn.execute(statement, params).fetchall()


def piece(run_id: str, text: str, claim: Claim | None = None) -> NewChunk:
    return NewChunk(run_id, claim or Claim(), "default", False, text.encode())


async def texts(project: Project, run_id: str) -> list[str]:
    found = await list_chunks(project.touch, project.project_id, run_id, None, after=0, limit=10_000)
    assert [chunk.sequence for chunk in found] == list(range(1, len(found) + 1))
    return [chunk.text for chunk in found]


@in_project
async def test_chunks_that_come_at_once_are_written_together_in_their_order(project: Project) -> None:
    job = await project.create_job()
    runs = [(await project.trigger(job)).run_id for _ in range(3)]
    await project.claim(3)
    told: list[tuple[str, str, int]] = []
    writer, batches = writer_of(project, told)
    wanted = [(runs[n % 3], f"piece {n}") for n in range(90)]
    numbers = await asyncio.gather(*(writer.write(project.project_id, piece(*one)) for one in wanted))
    await writer.close()
    assert sum(batches) == 90 and len(batches) <= 3
    for place, run_id in enumerate(runs):
        assert await texts(project, run_id) == [f"piece {n}" for n in range(90) if n % 3 == place]
    assert numbers == [n // 3 + 1 for n in range(90)]
    assert {(run_id, sequence) for _, run_id, sequence in told} >= {(run_id, 30) for run_id in runs}


@in_project
async def test_two_processes_write_for_one_run_without_a_hole(project: Project) -> None:
    job = await project.create_job()
    run = await project.trigger(job)
    await project.claim()
    writers = [writer_of(project)[0] for _ in range(3)]

    async def write(n: int) -> list[int | None]:
        return [await writers[n].write(project.project_id, piece(run.run_id, f"{n}-{i}")) for i in range(40)]

    numbers = await asyncio.gather(*(write(n) for n in range(3)))
    assert sorted(number for each in numbers for number in each) == list(range(1, 121))
    written = await texts(project, run.run_id)
    for n in range(3):
        assert [text for text in written if text.startswith(f"{n}-")] == [f"{n}-{i}" for i in range(40)]


@in_project
async def test_one_refused_chunk_takes_no_other_with_it(project: Project) -> None:
    job = await project.create_job()
    lively, ended = await project.trigger(job), await project.trigger(job)
    claims = {one.run.run_id: one.run for one in await project.claim(2)}
    await project.command(claims[ended.run_id], Complete())
    writer, batches = writer_of(project)
    live = claims[lively.run_id]
    numbers = await asyncio.gather(
        *(
            writer.write(project.project_id, chunk)
            for chunk in (
                piece(ended.run_id, "ended"),
                piece(lively.run_id, "one", Claim(live.attempt, live.fence)),
                piece(lively.run_id, "stale", Claim(live.attempt + 1)),
                piece(lively.run_id, "stolen", Claim(live.attempt, live.fence - 1)),
                piece("run_unknown", "nobody's"),
                piece(lively.run_id, "two"),
            )
        )
    )
    assert numbers == [None, 1, None, None, None, 2] and batches == [6]
    assert await texts(project, lively.run_id) == ["one", "two"]
    assert await last_chunk(project.touch, project.project_id, ended.run_id) == 0


@in_project
async def test_an_attempt_does_not_end_before_its_chunks_are_committed(project: Project) -> None:
    run = await project.trigger(await project.create_job())
    await project.claim()
    with psycopg.connect(project.dsn) as conn:
        statements: list[tuple[bytes, Any]] = []

        async def note(statement: bytes, params: Any) -> Any:
            statements.append((statement, params))
            return []

        await ChunkWriter(note, lambda *_: None).write(project.project_id, piece(run.run_id, "last words"))
        conn.execute(*statements[0])
        cancelling = asyncio.create_task(project.command(run, Cancel("enough")))
        while not project.rows("select 1 from pg_stat_activity where wait_event_type = 'Lock'"):
            assert not cancelling.done()
            await asyncio.sleep(0.01)
        conn.commit()
        assert (await cancelling).status == "canceled"
    assert await texts(project, run.run_id) == ["last words"]


@in_project
async def test_a_lease_that_somebody_holds_is_not_waited_for(project: Project) -> None:
    run = await project.trigger(await project.create_job())
    await project.claim()
    writer, _ = writer_of(project)
    with psycopg.connect(project.dsn) as conn:
        conn.execute("select * from leases for update")
        assert await asyncio.wait_for(writer.write(project.project_id, piece(run.run_id, "x")), 10) is None
    assert await writer.write(project.project_id, piece(run.run_id, "x")) == 1


@in_project
async def test_large_chunks_are_written_in_batches_of_bounded_size(project: Project) -> None:
    run = await project.trigger(await project.create_job())
    await project.claim()
    writer, batches = writer_of(project)
    large = "x" * (BATCH_BYTES // 4)
    await asyncio.gather(*(writer.write(project.project_id, piece(run.run_id, large)) for _ in range(10)))
    assert max(batches) <= 4 and sum(batches) == 10


@in_project
async def test_old_chunks_are_removed_and_their_numbers_never_given_again(project: Project) -> None:
    run = await project.trigger(await project.create_job())
    await project.claim()
    writer, _ = writer_of(project)
    for text in ("old", "older", "new"):
        await writer.write(project.project_id, piece(run.run_id, text))
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        conn.execute("update run_chunks set recorded_at = recorded_at - interval '2 hours' where sequence < 3")
    events = project.history(run)
    async with AsyncConnectionPool(project.dsn, kwargs={"autocommit": True}, min_size=1) as pool:
        await Scheduler(pool, project.committer, keep_chunks_secs=3600).sweep()  # pyright: ignore[reportArgumentType]
    left = await list_chunks(project.touch, project.project_id, run.run_id, None, after=0, limit=10)
    assert [(chunk.sequence, chunk.text) for chunk in left] == [(3, "new")]
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        conn.execute("delete from run_chunks")
    assert await writer.write(project.project_id, piece(run.run_id, "next")) == 4
    assert project.history(run) == events
