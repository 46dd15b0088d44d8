"""Lists that show the newest first: where a page of them begins."""

from datetime import timedelta

from runcord.http.models.page import PageQuery, cursor_time
from runcord.http.moment import Moment, MomentPageQuery, moment, moment_of_page
from runcord.http.operation import Call
from runcord_projections.run_view.projection import SQL

LAST_POSITION = 2**63 - 1


async def place_before(call: Call, query: PageQuery, kind: str) -> int:
    """Return the position below which the page begins: its cursor says it, as a place or as a time.

    Raises:
        Invalid: the cursor is none of this kind of list.
    """
    at = cursor_time(query.cursor)
    if at is not None:
        params = {"project_id": call.project_id, "at": at - timedelta(microseconds=1)}
        return (await call.backend.read(SQL["position_at"], params))[0][0] + 1
    place = query.place(kind, int)
    return place[0] if place else LAST_POSITION


async def moment_and_place(call: Call, query: MomentPageQuery, kind: str) -> tuple[Moment, int]:
    """Return the moment that a page is of, and the position below which it begins.

    Raises:
        Invalid: the cursor is none of this kind of list, or of another moment than the parameters name.
    """
    if cursor_time(query.cursor) is not None:
        return await moment(call, query), await place_before(call, query, kind)
    of_page, place = await moment_of_page(call, query, kind, int)
    return of_page, place[0] if place else LAST_POSITION
