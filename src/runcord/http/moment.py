"""The moment that a read is of: the present, or when the ledger was at a position, or a time of the past.

Whatever is asked for, it comes down to one position: the answer is what the events up to there say, and names it in
`Runcord-Position`. The cursor of a list carries its moment, so that all its pages are of one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from runcord.errors import Invalid
from runcord.http.models.page import PageQuery, QueryTime, cursor_kind, decode_cursor, encode_cursor
from runcord.http.models.run import Position
from runcord.http.operation import Call, Query
from runcord.streaming.events import last_position
from runcord_projections.run_view.projection import SQL

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _Moment(BaseModel):
    position: Annotated[Position | None, Field(description="As it was when the ledger was at this position.")] = None
    at: Annotated[QueryTime | None, Field(description="As it was at this time (RFC 3339, with a zone).")] = None

    @model_validator(mode="after")
    def _is_one_moment(self) -> "_Moment":
        if self.position is not None and self.at is not None:
            raise ValueError("give one of position and at: each names a moment")
        return self

    @property
    def names_moment(self) -> bool:
        """Whether a moment is asked for, and not simply the present."""
        return self.position is not None or self.at is not None


class MomentQuery(_Moment, Query):
    """Of which moment the answer is: of the present, unless a position or a time is given."""


class MomentPageQuery(_Moment, PageQuery):
    """Which page of a list, and of which moment: of the present, unless a position or a time is given."""


@dataclass(frozen=True)
class Moment:
    """A position, and the time by which it was asked for: in microseconds since 1970, or 0 if it was not."""

    position: int
    asked_at: int = 0

    def cursor(self, kind: str, *place: int | str) -> str:
        """Return the cursor of a place in a list of that kind, as it was at the moment."""
        return encode_cursor(_of_moment(kind), self.position, self.asked_at, *place)


async def moment(call: Call, query: _Moment) -> Moment:
    """Return the moment that a read is of. A time that is still to come is the present.

    Raises:
        Invalid: the position is beyond the ledger's head.
    """
    head = await last_position(call.backend.read, call.project_id)
    if query.at is None:
        return _reached(Moment(head if query.position is None else query.position), head)
    rows = await call.backend.read(SQL["position_at"], {"project_id": call.project_id, "at": query.at})
    return Moment(rows[0][0], _asked_at(query.at))


async def moment_of_page(
    call: Call, query: MomentPageQuery, kind: str, *types: type
) -> tuple[Moment, list[Any] | None]:
    """Return the moment that a page is of, and its place in the list, whose parts are of these types, or None.

    The first page is of the moment that `moment` returns, all others of the one in their cursor.

    Raises:
        Invalid: as `moment`; or the cursor is none that `Moment.cursor` has made for this kind of list, or one of
            another moment than the parameters name.
    """
    if query.cursor is None:
        return await moment(call, query), None
    if cursor_kind(query.cursor) == kind:
        raise Invalid("the cursor is of the present: leave out `position` and `at`, or begin anew without the cursor")
    position, asked_at, *place = decode_cursor(query.cursor, _of_moment(kind), int, int, *types)
    if query.position not in (None, position) or (query.at is not None and _asked_at(query.at) != asked_at):
        raise Invalid(
            f"the cursor is of position {position}, and `{'position' if query.at is None else 'at'}` names another "
            "moment: go on with the parameters of the page before, or begin anew without the cursor"
        )
    return _reached(Moment(position, asked_at), await last_position(call.backend.read, call.project_id)), place


def is_of_moment(query: MomentPageQuery, kind: str) -> bool:
    """Whether a page of a list of that kind is of a moment that was named, now or with the first page."""
    return query.names_moment or cursor_kind(query.cursor) == _of_moment(kind)


def _of_moment(kind: str) -> str:
    return f"{kind}@"


def _asked_at(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _reached(found: Moment, head: int) -> Moment:
    if not 0 <= found.position <= head:
        raise Invalid(f"the ledger has not got to position {found.position}: its head is {head}")
    return found
