"""Streams, in the words of Trigger.dev's clients."""

from typing import Annotated, Literal

from pydantic import Field

from runcord.http.compat.trigger.body import LenientBody
from runcord.http.models.page import Document
from runcord.http.models.run import AnyJson


class InputBody(LenientBody):
    """What is sent to a run."""

    data: AnyJson = None


class OpenedStream(Document):
    """How the stream is to be written: in the body of a request, one value to a line."""

    version: Literal["v1"]


class AppendedChunk(Document):
    """It is kept."""

    ok: Literal[True]


class WriterPlace(Document):
    """How far a writer has got."""

    lastChunkIndex: Annotated[int, Field(description="Of its last value that is kept; -1 without any.")]
