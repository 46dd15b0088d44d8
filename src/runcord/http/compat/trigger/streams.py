"""How Trigger.dev's clients see streams: written as JSON values, one to a line, and read as server-sent events."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable

import orjson

from runcord.errors import Invalid, TooLarge
from runcord.http.sse import one_line
from runcord.json_text import BLANK
from runcord.streaming.chunks import Chunk

MAX_VALUE_BYTES = 512 * 1024
"""Of one value; what is appended in one piece may have as many."""

_ID = re.compile(r"[0-9]{1,18}-([0-9]{1,18})")


def input_stream(key: str) -> str:
    """Return the stream that holds what is sent to a run under a key: no stream of its own has such a name."""
    return f"$input:{key}"


async def values(body: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """Yield the JSON values of a body that has one to a line, as they come.

    Raises:
        Invalid: a line is no JSON.
        TooLarge: a line has more than `MAX_VALUE_BYTES`.
    """
    rest = b""
    async for piece in body:
        *lines, rest = (rest + piece).split(b"\n")
        for line in (*lines, rest):
            if len(line) > MAX_VALUE_BYTES:
                raise TooLarge(f"a value of a stream has at most {MAX_VALUE_BYTES:,} bytes: send it in pieces")
        for line in lines:
            if line.strip(BLANK):
                yield _checked(line.strip(BLANK))
    if rest.strip(BLANK):
        yield _checked(rest.strip(BLANK))


def text_value(body: bytes) -> bytes:
    """Return a text as the JSON string that readers are given. Raises Invalid unless it is UTF-8."""
    try:
        return orjson.dumps(body.decode())
    except UnicodeDecodeError as error:
        raise Invalid("what is appended to a stream must be text in UTF-8") from error


def sequence_of(event_id: str | None) -> int:
    """Return the number of the chunk whose frame had an id, 0 without one.

    Raises:
        Invalid: no frame of a stream has such an id.
    """
    if not event_id:
        return 0
    match = _ID.fullmatch(event_id.strip())
    if match is None:
        raise Invalid("Last-Event-ID must be the id of a frame of this stream")
    return int(match[1])


def stream_frames(chunks: Iterable[Chunk]) -> bytes:
    """Return the frames of chunks: `<milliseconds>-<number>` and the value. The end of a stream has none.

    What was streamed through `/sdk/v1` is text, which need not be JSON: then it is shown as a string.
    """
    shown = [chunk for chunk in chunks if chunk.text or not chunk.done]
    return b"".join(
        b"id: %d-%d\ndata: %b\n\n" % (chunk.recorded_at.timestamp() * 1000, chunk.sequence, one_line(_value(chunk)))
        for chunk in shown
    )


def _value(chunk: Chunk) -> bytes:
    try:
        value = orjson.loads(chunk.text)
    except orjson.JSONDecodeError:
        return orjson.dumps(chunk.text)
    return orjson.dumps(value) if "\n" in chunk.text or "\r" in chunk.text else chunk.text.encode()


def _checked(line: bytes) -> bytes:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"each line of the body must be a JSON value: {str(error)[:200]}") from error
    return line
