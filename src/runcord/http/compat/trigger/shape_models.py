"""Shapes: what clients of Trigger.dev's realtime ask for, and what they are sent."""

from typing import Annotated

from pydantic import Field

from runcord.http.models.page import Document, Maybe
from runcord.http.operation import Query


class ShapeQuery(Query):
    """Where a client is in a shape. Nothing is refused here that a client would not survive."""

    offset: Annotated[str, Field(description="The last `electric-offset`; `-1` for the beginning.")] = "-1"
    handle: Annotated[str | None, Field(description="The last `electric-handle`.")] = None
    live: Annotated[str, Field(description="`true` to wait until something changes.")] = ""
    skipColumns: Annotated[str, Field(description="Columns to leave out, with commas between them.")] = ""


class TagsShapeQuery(ShapeQuery):
    """Which runs, and where the client is in their shape."""

    tags: Annotated[str, Field(description="With commas between them: the runs that have all of them.")] = ""
    createdAt: Annotated[
        str | None,
        Field(description="Runs triggered so long before the beginning, or later: `1h`, `7d`; else `24h`."),
    ] = None


class ShapeHeaders(Document):
    """What a message is: a row, or a word about the shape."""

    operation: Maybe[str] = None
    control: Maybe[str] = None


class ShapeMessage(Document):
    """A run as a row, every column a text or null; or that all was sent, or has to be fetched anew."""

    headers: ShapeHeaders
    key: Maybe[str] = None
    value: Maybe[dict[str, str | None]] = None
