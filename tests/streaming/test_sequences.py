"""What a stream makes of its sources: the order of last words, events of another version, news in pieces."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg

from runcord.http.compat.strait.frames import event_frame
from runcord.ledger.feed import Entry, Feed
from runcord.ledger.tail import _pieces
from runcord.projecting.time_travel import version_at
from runcord.run.commands import Complete
from runcord.run.state import Run
from runcord.streaming.chunks import Chunk, follow_chunks
from runcord.streaming.events import Track, follow_events, load_events, track_from
from runcord.testing.ledger import Entry as Written
from runcord.testing.ledger import append
from runcord.testing.project import Project, in_project

AT = datetime(2026, 1, 1, tzinfo=UTC)


async def run_at_work(project: Project) -> Run:
    await project.trigger(await project.create_job())
    return (await project.claim())[0].run


def events_of(project: Project, run: Run) -> Feed[Any]:
    return Feed(lambda after: load_events(project.touch, project.project_id, run.run_id, after))


@in_project
async def test_chunks_that_nobody_told_of_come_before_the_end(project: Project) -> None:
    run = await run_at_work(project)
    kept: list[Entry[Chunk]] = []

    async def load(after: int) -> Sequence[Entry[Chunk]]:
        return [entry for entry in kept if entry.number > after][:2]

    events, chunks = events_of(project, run), Feed(load)
    got: list[int] = []

    async def follow() -> None:
        async for page in follow_chunks(chunks, 0, events, Track(run), run.version):
            got.extend(chunk.sequence for chunk in page)

    following = asyncio.create_task(follow())
    while events._waiting == set():
        assert not following.done()
        await asyncio.sleep(0.01)
    kept += [Entry(n, 1, Chunk(n, "default", False, 1, AT, "x")) for n in range(1, 6)]
    ended = await project.command(run, Complete())
    events.hear(ended.version)
    await asyncio.wait_for(following, 10)
    assert got == [1, 2, 3, 4, 5]


@in_project
async def test_an_event_of_a_later_version_of_runcord_is_shown_as_it_is(project: Project) -> None:
    run = await run_at_work(project)
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        invented = Written(run.run_id, run.version + 1, type="run.invented.v9", data=b'{"new":["thing"]}')
        position = append(conn, invented, project_id=project.project_id)
    track = Track(None)
    frames = [event_frame(track.step(entry.value), project_id="p") for entry in await events_of(project, run)._load(0)]
    last = orjson.loads(orjson.dumps(frames[-1]))
    assert (last["type"], last["event_type"], last["data"]) == ("run_event", "run.invented.v9", {"new": ["thing"]})
    assert (last["position"], last["version"]) == (position, run.version + 1)
    assert not track.is_finished


@in_project
async def test_a_resumed_stream_tells_the_same_as_a_whole_one(project: Project) -> None:
    run = await run_at_work(project)
    run = await project.command(run, Complete(result=1))
    whole = await frames_after(project, run, 0)
    for version, seen in enumerate(whole, 1):
        assert await version_at(project.touch, project.project_id, run.run_id, seen["position"]) == version
        assert await frames_after(project, run, version) == whole[version:]
    assert await version_at(project.touch, project.project_id, run.run_id, 0) == 0


async def frames_after(project: Project, run: Run, version: int) -> list[Any]:
    track = await track_from(project.touch, project.project_id, run, version)
    found: list[Any] = []
    async for steps in follow_events(events_of(project, run), track, version):
        found += [event_frame(step, project_id="p") for step in steps]
    return orjson.loads(orjson.dumps(found))


def test_news_is_told_in_pieces_that_postgresql_takes() -> None:
    news = [("proj_" + "x" * 60, f"run_{n}", n) for n in range(500)]
    pieces = _pieces(news)
    assert max(map(len, pieces)) < 8000 and len(pieces) > 1
    assert [tuple(entry) for piece in pieces for entry in orjson.loads(piece)] == news
    assert _pieces([]) == []
