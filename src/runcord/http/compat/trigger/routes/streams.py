"""Streams of runs as Trigger.dev's clients write and read them, version 1 of theirs: what goes out of a run, and in."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from starlette.requests import ClientDisconnect

from runcord.errors import Invalid, NotFound, Unavailable
from runcord.handling.runs import CommandRun
from runcord.http.body import read_body
from runcord.http.chunk_pages import followed_chunks
from runcord.http.compat.trigger.operation import trigger_operation
from runcord.http.compat.trigger.stream_models import AppendedChunk, InputBody, OpenedStream, WriterPlace
from runcord.http.compat.trigger.streams import (
    MAX_VALUE_BYTES,
    input_stream,
    sequence_of,
    stream_frames,
    text_value,
    values,
)
from runcord.http.models.run import AnyJson
from runcord.http.operation import Answer, Call, Method, Operation, RawBody, TokenAccess
from runcord.http.run_answers import ancestors, load_run
from runcord.http.sse import MEDIA_TYPE
from runcord.http.targets import run_in_path
from runcord.key import token_scopes
from runcord.key.token_scopes import Resource
from runcord.run.commands import ANY_CLAIM, OpenStream
from runcord.run.state import Run
from runcord.streaming import chunks as following
from runcord.streaming.chunk_writer import SQL, NewChunk

_IDLE_SECS = 60
_LONGEST_IDLE_SECS = 600
_MOST_WRITER = 128
_TRIES = 50
_PAUSE_SECS = 0.02
"""A run is being changed for some milliseconds."""


async def open_trigger_stream(call: Call) -> Answer:
    """Announce a stream of the run, of its parent or of its root; those who follow the run can find it then."""
    await _announced(call, await _target(call))
    return Answer({"version": "v1"}, status=202)


async def write_trigger_stream(call: Call) -> Answer:
    """Stream JSON values to a run, one to a line, each as it comes; the stream is over when the body is.

    A writer that names itself (`X-Client-Id`) and was cut goes on with `X-Resume-From-Chunk`, and sends again what it
    does not know to be here: each value counts once.
    """
    run, key = await _announced(call, await _target(call)), call.path["key"]
    writer, index = _writer(call, "x-client-id"), _number(call, "x-resume-from-chunk")
    try:
        async with aclosing(values(call.request.stream())) as found:
            async for value in found:
                await _write(call, run, NewChunk(run.run_id, ANY_CLAIM, key, False, value, True, writer, index))
                index += 1
    except ClientDisconnect as error:
        raise Invalid("the client went away before the stream was over") from error
    await _write(call, run, NewChunk(run.run_id, ANY_CLAIM, key, True, b"", True, writer, index))
    return Answer({"ok": True})


async def get_trigger_stream_writer(call: Call) -> Answer:
    """Tell a writer that was cut (`X-Client-Id`) the index of its last value that is here, -1 if none is."""
    run = await _target(call)
    wanted = {"project_id": call.project_id, "run_id": run.run_id, "stream_id": call.path["key"]}
    [(last,)] = await call.backend.read(SQL["last_of_writer"], {**wanted, "writer": _writer(call, "x-client-id")})
    return Answer({"lastChunkIndex": last}, headers={"X-Last-Chunk-Index": str(last)})


async def append_to_trigger_stream(call: Call) -> Answer:
    """Append one text to a stream of the run; with `X-Part-Id` it counts once, however often it is sent."""
    settings = call.backend.settings
    value = text_value(await read_body(call.request, MAX_VALUE_BYTES, settings.request_timeout_secs))
    run = await _announced(call, await _target(call))
    part = _writer(call, "x-part-id")
    writer, index = (None, None) if part is None else (f"part:{part}", 0)
    await _write(call, run, NewChunk(run.run_id, ANY_CLAIM, call.path["key"], False, value, True, writer, index))
    return Answer({"ok": True})


async def send_trigger_input(call: Call) -> Answer:
    """Send something to a run that waits for it, or will."""
    run, _ = await load_run(call)
    value = orjson.dumps(call.body(InputBody).data)
    await _write(call, run, NewChunk(run.run_id, ANY_CLAIM, input_stream(call.path["key"]), False, value, True))
    return Answer({"ok": True})


async def read_trigger_stream(call: Call) -> Answer:
    """Follow a stream of the run: what is kept of it, then each value as it comes, until it is over or long silent.

    `Last-Event-ID` goes on after a frame; `X-Trigger-Stream-Start: latest` begins with what comes from now on.
    """
    return await _follow(call, call.path["key"])


async def read_trigger_input(call: Call) -> Answer:
    """Follow what is sent to a run."""
    return await _follow(call, input_stream(call.path["key"]))


async def _follow(call: Call, stream_id: str) -> Answer:
    backend, project_id, headers = call.backend, call.project_id, call.request.fields
    run, _ = await load_run(call)
    idle_secs = min(_number(call, "timeout-seconds") or _IDLE_SECS, _LONGEST_IDLE_SECS)
    sequence = sequence_of(headers.get("last-event-id"))
    if not sequence and headers.get("x-trigger-stream-start") == "latest":
        sequence = await following.last_chunk(backend.read, project_id, run.run_id)
    backend.stream_slots.require(project_id)

    async def blocks() -> AsyncGenerator[bytes]:
        async with aclosing(followed_chunks(call, run, sequence, stream_id)) as pages:
            while (some := await _next(pages, idle_secs)) is not None:
                yield stream_frames(some)
                if some[-1].done:
                    return

    return Answer(blocks=blocks)


async def _next(pages: AsyncGenerator[list[following.Chunk]], secs: float) -> list[following.Chunk] | None:
    """Return the next page, or None if there is none, or none comes for so long."""
    try:
        async with asyncio.timeout(secs):
            return await anext(pages, None)
    except TimeoutError:
        return None


async def _target(call: Call) -> Run:
    """Return the run whose stream is meant: the one in the path, the one that spawned it, or the first of its line."""
    run, _ = await load_run(call)
    target = call.path["target"]
    if target not in {"self", "parent", "root"}:
        raise NotFound("streams are of `self`, `parent` or `root`")
    family = [run] if target == "self" else [run, *await ancestors(call, run)]
    return family[-1] if target == "root" else family[:2][-1]


async def _announced(call: Call, run: Run) -> Run:
    """Return the run after the stream of the path has been announced."""
    if call.path["key"] in run.streams:
        return run
    command = CommandRun(call.context, run.run_id, OpenStream(call.path["key"]))
    return (await call.backend.committer.execute(call.project_id, command)).value


async def _write(call: Call, run: Run, chunk: NewChunk) -> None:
    for _ in range(_TRIES):
        if await call.backend.chunk_writer.write(call.project_id, chunk) is not None:
            return
        if (await load_run(call, run.run_id))[0].is_finished:
            raise Invalid("the run has ended: nothing can be streamed to it any more")
        await asyncio.sleep(_PAUSE_SECS)
    raise Unavailable("the run is being changed; try again shortly")


def _writer(call: Call, header: str) -> str | None:
    given = call.request.fields.get(header)
    if given is not None and len(given) > _MOST_WRITER:
        raise Invalid(f"{header} has at most {_MOST_WRITER} characters")
    return given or None


def _number(call: Call, header: str) -> int:
    given = call.request.fields.get(header, "0")
    if not (given.isascii() and given.isdigit() and len(given) <= 9):
        raise Invalid(f"{header} must be a whole number")
    return int(given)


async def input_of_run(call: Call) -> AsyncIterator[Resource]:
    """Yield what input to the run in the path is about."""
    for resource in token_scopes.of_input(call.path["run_id"]):
        yield resource


_STREAMS = "/realtime/v1/streams/{run_id}"
_READS = TokenAccess("read", run_in_path)


def _operation(method: Method, path: str, handle: Any, summary: str, **more: Any) -> Operation:
    scope = "runs:read" if more.get("media_type") == MEDIA_TYPE else "runs:write"
    return trigger_operation(method, f"{_STREAMS}/{path}", handle, summary, scope=scope, **more)


OPERATIONS = (
    _operation(
        "POST",
        "input/{key}",
        send_trigger_input,
        "Send input to a run",
        body=InputBody,
        answer=AppendedChunk,
        tokens=TokenAccess("write", input_of_run),
    ),
    _operation(
        "GET",
        "input/{key}",
        read_trigger_input,
        "Follow the input of a run",
        answer=Any,
        media_type=MEDIA_TYPE,
    ),
    _operation(
        "PUT",
        "{target}/{key}",
        open_trigger_stream,
        "Announce a stream",
        answer=OpenedStream,
        status=202,
        refusal_status=400,
    ),
    _operation(
        "POST",
        "{target}/{key}",
        write_trigger_stream,
        "Write a stream",
        raw_body=RawBody("application/x-ndjson", AnyJson),
        answer=AppendedChunk,
        refusal_status=400,
    ),
    _operation("GET", "{target}/{key}", get_trigger_stream_writer, "Find a writer's place", answer=WriterPlace),
    _operation(
        "POST",
        "{target}/{key}/append",
        append_to_trigger_stream,
        "Append to a stream",
        raw_body=RawBody("text/plain"),
        answer=AppendedChunk,
        refusal_status=400,
    ),
    _operation(
        "GET",
        "{key}",
        read_trigger_stream,
        "Follow a stream",
        answer=Any,
        media_type=MEDIA_TYPE,
        tokens=_READS,
    ),
)
