"""Streams are followed through whatever cuts them, each item once."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx2
import pytest

from runcord.client import AsyncClient, Client, NotFoundError, TransportError, UnavailableError
from runcord.client.sse import Frame, FrameReader

NOW = "2026-11-22T10:00:00Z"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch, waited: list[float]) -> None:
    """Let connections be made again at once."""
    monkeypatch.setattr("runcord.client._async.stream.FIRST_DELAY", 0.0)


def frames(numbers: Sequence[int], *, end: bool = False) -> bytes:
    text = "retry: 1000\n\n: keepalive\n\n"
    for number in numbers:
        data = (
            f'{{"type":"run_event","run_id":"run_1","timestamp":"{NOW}","position":{number},"version":{number},'
            f'"event_type":"run.tagged.v1","data":{{"tags":{{}}}},"colour":"new"}}'
        )
        text += f"id: {number}\ndata: {data}\n\n"
    return (text + (": end\n\n" if end else "")).encode()


class Cut(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that breaks off."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __iter__(self) -> Any:
        yield self.content
        raise httpx2.ReadError("cut")

    async def __aiter__(self) -> Any:
        yield self.content
        raise httpx2.ReadError("cut")


def flaky(last: int, *, step: int) -> Callable[[httpx2.Request], httpx2.Response]:
    """Answer a few frames after the place that was asked for, and cut the next one somewhere."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        after = int(request.url.params["after"])
        wanted = range(after + 1, min(after + step, last) + 1)
        content = frames(wanted, end=after + step >= last)
        if after + step >= last:
            return httpx2.Response(200, content=content)
        if after % 2:
            return httpx2.Response(200, content=content)  # ended without a word: the server was stopped
        torn = content + frames([after + step + 1])[len(frames([])) :][: -(3 + after % 7)]
        return httpx2.Response(200, stream=Cut(torn))

    return answer


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_a_stream_that_breaks_off_is_taken_up_where_it_was(client: Client, server: Any, step: int) -> None:
    server.answers.append(flaky(20, step=step))
    stream = client.runs.stream("run/1")
    assert [event.position for event in stream] == list(range(1, 21))
    assert stream.last_id == 20
    assert server.requests[0].url.raw_path.startswith(b"/v1/runs/run%2F1/stream?")
    assert server.last.headers["accept"] == "text/event-stream"


def test_the_asynchronous_client_does_the_same(new_async_client: Callable[[], AsyncClient], server: Any) -> None:
    server.answers.append(flaky(9, step=2))

    async def test() -> list[int]:
        async with new_async_client() as client:
            return [event.position async for event in client.runs.stream("run_1", after=3)]

    assert asyncio.run(test()) == [4, 5, 6, 7, 8, 9]


def test_errors_that_pass_are_waited_for(client: Client, server: Any) -> None:
    server.fail(httpx2.ConnectError)
    server.refuse(503, "service_unavailable", {"Retry-After": "3"})
    server.refuse(429, "too_many_streams")
    server.answers.append(httpx2.Response(200, content=frames([1], end=True)))
    assert [event.event_type for event in client.runs.stream("run_1")] == ["run.tagged.v1"]


def test_what_does_not_pass_is_raised_at_once(client: Client, server: Any) -> None:
    server.refuse(404, "run_not_found")
    with pytest.raises(NotFoundError):
        list(client.runs.stream("run_1"))
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "error"), [(503, UnavailableError), (None, TransportError)])
def test_patience_has_an_end(client: Client, server: Any, status: int | None, error: type[Exception]) -> None:
    if status is None:
        server.fail(httpx2.ConnectError)
    else:
        server.refuse(status, "service_unavailable")
    with pytest.raises(error):
        list(client.runs.stream("run_1", patience=0))


def test_chunks_are_followed_by_their_sequence(client: Client, server: Any) -> None:
    data = f'{{"type":"stream_chunk","run_id":"r","sequence":4,"stream_id":"s","chunk":"x","timestamp":"{NOW}"}}'
    server.answers.append(httpx2.Response(200, content=f"id: 4\ndata: {data}\n\n: end\n\n".encode()))
    (chunk,) = client.runs.stream_chunks("run_1", stream_id="s", after=3)
    assert (chunk.chunk, chunk.sequence) == ("x", 4)
    assert dict(server.last.url.params) == {"stream_id": "s", "after": "3"}


def test_a_worker_streams_in_its_attempt(client: Client, server: Any) -> None:
    server.answer({"status": "ok"})
    client.worker.attempt("run_1", "token", number=2).stream("piece", done=True)
    assert server.last.url.path == "/sdk/v1/runs/run_1/stream"
    assert server.last_body == {"chunk": "piece", "stream_id": "default", "done": True}
    assert server.last.headers["authorization"] == "Bearer token"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_frames_are_put_together_from_pieces_of_any_size(size: int) -> None:
    content = b": hello\n\nid: 1\r\ndata: a\r\n\r\nid:2\ndata:b\ndata: c\nevent: x\n\nid: 3\n\n: end\n\ndata: torn"
    reader = FrameReader()
    found = [frame for n in range(0, len(content), size) for frame in reader.feed(content[n : n + size])]
    assert found == [Frame("1", b"a"), Frame("2", b"b\nc")]
    assert reader.ended
