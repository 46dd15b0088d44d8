"""Following what a run's workers stream, for the routes that tell of it, each in its own form."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from runcord.http.operation import Call
from runcord.run.state import Run
from runcord.streaming.chunks import Chunk, follow_chunks, of_stream
from runcord.streaming.events import Track


async def followed_chunks(call: Call, run: Run, sequence: int, stream_id: str | None) -> AsyncGenerator[list[Chunk]]:
    """Yield the chunks of a run after a number, of one stream or of all, in pages, as they come.

    It ends when the run is finished and its last chunk was given. Until then it takes one of the project's streams.

    Raises:
        TooManyStreams: there are as many as the project may have.
    """
    backend, project_id = call.backend, call.project_id
    with backend.stream_slots.taken(project_id), backend.chunk_feeds.open(project_id, run.run_id) as chunks:
        async with backend.follower.follow(project_id, run.run_id) as events:
            pages = follow_chunks(chunks, sequence, events, Track(run), run.version)
            async with aclosing(of_stream(pages, stream_id)) as wanted:
                async for some in wanted:
                    yield some
