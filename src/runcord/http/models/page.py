"""Lists: what may be asked of them, their cursors, and their answers.

A list answers a bare array, with the cursor of the next page in `X-Next-Cursor` and in `Link`; with
`?envelope=true`, an object that holds both. Cursors are opaque to callers: the place of the last row that was shown,
tied to the kind of list that it came from.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar, cast

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

from runcord.errors import Invalid
from runcord.http.models.value import Time
from runcord.http.operation import Answer, Call, Query

T = TypeVar("T")

Maybe = T | SkipJsonSchema[None]
"""A member of an answer that is left out when there is nothing to say; it is never null."""

MAX_PAGE = 100
DEFAULT_PAGE = 50

_MAX_CURSOR = 2048
_BEYOND = 2**62  # no position is; PostgreSQL would not take much more
_WHOLE = re.compile(r"-?[0-9]{1,1000}")  # Python takes some thousand; what is too large is told by its limit
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].{8,}")


def _whole(value: object) -> object:
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise ValueError("must be a whole number")
    return value


DIGITS = BeforeValidator(_whole)
"""For whole numbers in a query: digits and nothing else."""


def split(value: Any) -> Any:
    """Return the items of a list in a query: given several times, with commas between them, or both."""
    if not isinstance(value, list):
        return value
    return [item.strip() for part in value for item in str(part).split(",")]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _plus(value: object) -> object:
    # A plus sign that was not encoded arrives as a space.
    return value[:19] + value[19:].replace(" ", "+") if isinstance(value, str) else value


QueryTime = Annotated[Time, BeforeValidator(_plus)]
"""A time in a query."""


class Document(BaseModel):
    """A part of an answer. Members that are not documented are not allowed: the tests hold answers against this."""

    model_config = ConfigDict(extra="forbid")


class Envelope(Document, Generic[T]):
    """A page of a list with its cursor."""

    data: list[T]
    has_more: bool
    next_cursor: Maybe[str] = None


def list_of(row: type[Document]) -> Any:
    """Return the type of what a list answers: an array, or its envelope if that was asked for."""
    return list[row] | Envelope[row]


class PageQuery(Query):
    """Which page of a list, and in which form.

    A parameter without a value counts as absent, but for those of the form `name[key]`.
    """

    limit: Annotated[int, Field(ge=1, description=f"Rows in a page; more than {MAX_PAGE} are cut to that."), DIGITS] = (
        DEFAULT_PAGE
    )
    cursor: Annotated[
        str | None, Field(max_length=_MAX_CURSOR, description="`X-Next-Cursor` of the page before, as it is.")
    ] = None
    envelope: Annotated[bool, Field(description="Answer `{data, has_more, next_cursor}` instead of an array.")] = False

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if value not in ("", [""]) or name.endswith("]")}

    @property
    def size(self) -> int:
        """How many rows to answer."""
        return min(self.limit, MAX_PAGE)

    def place(self, kind: str, *types: type) -> list[Any] | None:
        """Return what the cursor says, or None without one.

        Raises:
            Invalid: it is not a cursor of this kind of list.
        """
        return None if self.cursor is None else decode_cursor(self.cursor, kind, *types)


def encode_cursor(kind: str, *place: int | str) -> str:
    """Return the cursor of a place in lists of that kind."""
    return base64.urlsafe_b64encode(orjson.dumps([1, kind, *place])).decode().rstrip("=")


def decode_cursor(cursor: str, kind: str, *types: type) -> list[Any]:
    """Return the place that a cursor stands for; `types` are those of its parts.

    Raises:
        Invalid: it was not made by `encode_cursor` for this kind of list.
    """
    parts = _parts(cursor)
    place = parts[2:]
    fits = parts[:2] == [1, kind] and [type(part) for part in place] == list(types)
    if not fits or any(abs(part) >= _BEYOND for part in place if isinstance(part, int)):
        raise Invalid("the cursor is not one of this list: send the `X-Next-Cursor` of the page before, as it is")
    return place


def cursor_kind(cursor: str | None) -> str | None:
    """Return the kind of list that a cursor is of; None for what is no cursor."""
    parts = [] if cursor is None else _parts(cursor)
    return parts[1] if len(parts) > 1 and isinstance(parts[1], str) else None


def _parts(cursor: str) -> list[Any]:
    try:
        found = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError):
        return []
    return cast(list[Any], found) if isinstance(found, list) else []


def cursor_time(cursor: str | None) -> datetime | None:
    """Return the time that a cursor is, as Strait's clients make them of a row's `created_at`; None if it is none.

    Raises:
        Invalid: it looks like a time and is not one, or has no time zone.
    """
    if cursor is None or not _TIME.fullmatch(cursor):
        return None
    try:
        at = TypeAdapter(datetime).validate_python(_plus(cursor))
    except ValidationError:
        at = None
    if at is None or at.tzinfo is None:
        raise Invalid("the cursor must be a cursor of this list or a time with a zone: 2026-01-31T12:00:00Z")
    return at


def page(call: Call, query: PageQuery, rows: Sequence[Any], next_cursor: str | None) -> Answer:
    """Return the answer of a list: `rows`, and the cursor with which to go on if there are more."""
    headers: dict[str, str] = {}
    if next_cursor is not None:
        url = call.request.url.include_query_params(cursor=next_cursor)
        headers = {"X-Next-Cursor": next_cursor, "Link": f'<{url.path}?{url.query}>; rel="next"'}
    if not query.envelope:
        return Answer(list(rows), headers=headers)
    body: dict[str, Any] = {"data": list(rows), "has_more": next_cursor is not None}
    if next_cursor is not None:
        body["next_cursor"] = next_cursor
    return Answer(body, headers=headers)
