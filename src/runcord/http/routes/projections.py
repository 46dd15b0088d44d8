"""Projections: how far they are, and what operators do to them."""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from runcord.errors import ProjectionIsInline, ProjectionNotFound
from runcord.handling.projections import SkipEvent
from runcord.http.models import projection as m
from runcord.http.models.page import PageQuery, encode_cursor, list_of, page
from runcord.http.operation import Answer, Call, Operation
from runcord.inline import rebuildables
from runcord.projecting import administration as a
from runcord.projecting import inline_administration as inline
from runcord.projecting.generations import Generation
from runcord.projecting.projection import AnyProjection
from runcord.projecting.rebuildable import Rebuildable
from runcord.projecting.registry import projections

_PROJECTIONS = "projections"

LIVE = 0
"""The number under which the rows that commits write are shown: there is one of them, and it never ends."""


async def list_projections(call: Call) -> Answer:
    """List the project's read models by name, each with its generations and how far they are."""
    query = call.query(PageQuery)
    place = query.place(_PROJECTIONS, str)
    known = [one for name, one in (await _overviews(call)).items() if place is None or name > place[0]]
    shown = known[: query.size]
    next_cursor = encode_cursor(_PROJECTIONS, shown[-1].projection.name) if len(known) > query.size else None
    return page(call, query, [_render(one) for one in shown], next_cursor)


async def get_projection(call: Call) -> Answer:
    """Get one projection, with its generations and how far they are."""
    return Answer(_render(await _overview(call)))


async def rebuild_projection(call: Call) -> Answer:
    """Begin to build a projection anew, from the first event on, beside the one that is read.

    Nobody waits for it: reads and writes go on. It goes on after whatever is killed, on any server. Follow `progress`;
    once the new generation is `ready` it moves with the live one, to be compared, switched to, or dropped. 409 while
    there is one that is not live yet.
    """
    projection, body = _projection(call), call.body(m.Rebuild)
    begin = inline.begin if isinstance(projection, Rebuildable) else a.rebuild
    begun = await call.backend.operator.run(
        lambda conn: begin(conn, call.project_id, cast(Any, projection), switches=body.switch)
    )
    call.backend.projections.hurry(call.project_id)
    return Answer(_render_generation(await _overview(call), begun), 202)


async def switch_projection(call: Call) -> Answer:
    """Have the generation that is ready take over: reads go to it from the next one on.

    The one that was live is `retired`, and kept until it is dropped. Of an inline view, the rows that differ are
    written over those that are read, and the rebuild is dropped. 409 if none is ready.
    """
    projection, operator = _projection(call), call.backend.operator
    if isinstance(projection, Rebuildable):
        await operator.run(lambda conn: inline.switch(operator.dsn, conn, call.project_id, projection))
    else:
        await operator.run(lambda conn: a.switch(conn, call.project_id, projection))
    return Answer(_render(await _overview(call)))


async def drop_projection_generation(call: Call) -> Answer:
    """Drop a generation: one that was live, or one that is not wanted after all. Its rows go a few thousand at a time.

    The live generation cannot be dropped (409).
    """
    projection, body = _projection(call), call.body(m.Drop)
    dropping = await call.backend.operator.run(lambda conn: a.drop(conn, call.project_id, projection, body.generation))
    return Answer(_render_generation(await _overview(call), dropping), 202)


async def compare_projection(call: Call) -> Answer:
    """Compare the generation that is ready with the live one, row by row, at one position, while both move on.

    `equal` says that both have the same rows, byte for byte. 409 if none is ready.
    """
    projection, operator = _projection(call), call.backend.operator
    if isinstance(projection, Rebuildable):
        live = LIVE
        rebuilt, found = await operator.run(
            lambda conn: inline.compare_rebuild(operator.dsn, conn, call.project_id, projection)
        )
    else:
        first, rebuilt, found = await operator.run(
            lambda conn: a.compare_generations(conn, call.project_id, projection)
        )
        live = first.number
    body = {
        "name": projection.name,
        "position": rebuilt.position,
        "live_generation": live,
        "rebuilt_generation": rebuilt.number,
        "equal": found.equal,
        "live_rows": found.live_rows,
        "rebuilt_rows": found.rebuilt_rows,
        "differing": found.differing,
        "missing": found.missing,
        "surplus": found.surplus,
        "first": [{"key": dict(one.key), "how": one.how} for one in found.first],
    }
    return Answer(body)


async def skip_event(call: Call) -> Answer:
    """Have a projection pass over the event that it is parked before. This is on record, with who decided it and why.

    It holds for all generations of the projection, those of later rebuilds too. 409 for any other position than the
    one where it is parked.
    """
    projection, body = _projection(call), call.body(m.Skip)
    if isinstance(projection, Rebuildable):
        raise ProjectionIsInline
    handler = SkipEvent(call.context, projection.name, body.position, body.reason)
    committed = await call.backend.committer.execute(call.project_id, handler)
    call.backend.projections.hurry(call.project_id)
    return Answer(_render(await _overview(call)), position=committed.position)


async def retry_projection(call: Call) -> Answer:
    """Have a parked projection try again the event that it could not take: once it was mended, say. 409 if none is."""
    projection = _projection(call)
    await call.backend.operator.run(lambda conn: a.retry(conn, call.project_id, projection))
    call.backend.projections.hurry(call.project_id)
    return Answer(_render(await _overview(call)))


def _all() -> Mapping[str, AnyProjection | Rebuildable]:
    return dict(sorted({**projections(), **rebuildables()}.items()))


def _projection(call: Call) -> AnyProjection | Rebuildable:
    found = _all().get(call.path["name"])
    if found is None:
        raise ProjectionNotFound(f"there is no such projection: there are {', '.join(_all())}")
    return found


async def _overviews(call: Call) -> dict[str, a.Overview]:
    read = partial(call.backend.read, params={"project_id": call.project_id})
    rows = await read(a.SQL["generations"])
    head = await read(a.SQL["head_position"])
    return a.overviews(_all().values(), rows, head[0][0] if head else 0)


async def _overview(call: Call) -> a.Overview:
    return (await _overviews(call))[_projection(call).name]


def _render(overview: a.Overview) -> dict[str, Any]:
    generations = [_render_generation(overview, one) for one in overview.generations]
    is_inline = isinstance(overview.projection, Rebuildable)
    return {
        "name": overview.projection.name,
        "kind": "inline" if is_inline else "tracked",
        "version": overview.projection.version,
        "head": overview.head,
        "generations": [_render_inline(overview), *generations] if is_inline else generations,
    }


def _render_inline(overview: a.Overview) -> dict[str, Any]:
    """Return the rows that commits write as the generation that they are: one that is live, and never behind."""
    return {
        "generation": LIVE,
        "version": overview.projection.version,
        "status": "live",
        "position": overview.head,
        "behind": 0,
        "progress": 1.0,
        "switches": False,
    }


def _render_generation(overview: a.Overview, one: Generation) -> dict[str, Any]:
    members: dict[str, Any] = {
        "generation": one.number,
        "version": one.version,
        "status": one.status,
        "position": one.position,
        "behind": overview.behind(one),
        "progress": overview.progress(one),
        "switches": one.switches,
        "created_at": one.created_at,
        "moved_at": one.moved_at,
    }
    if one.parked_at is not None:
        members |= {"parked_at": one.parked_at, "error": one.error}
    return members


def _operation(method: Any, path: str, handle: Any, summary: str, answer: Any, **options: Any) -> Operation:
    scope = "projections:read" if method == "GET" else "projections:manage"
    return Operation(method, path, handle, summary, "projections", scope, answer=answer, **options)


_ONE = "/v1/projections/{name}"

OPERATIONS = (
    _operation("GET", "/v1/projections", list_projections, "List projections", list_of(m.Projection), query=PageQuery),
    _operation("GET", _ONE, get_projection, "Get a projection", m.Projection),
    _operation(
        "POST",
        f"{_ONE}/rebuild",
        rebuild_projection,
        "Rebuild a projection",
        m.Generation,
        body=m.Rebuild,
        status=202,
    ),
    _operation("POST", f"{_ONE}/compare", compare_projection, "Compare what was rebuilt", m.Comparison),
    _operation("POST", f"{_ONE}/switch", switch_projection, "Switch to what was rebuilt", m.Projection),
    _operation(
        "POST", f"{_ONE}/drop", drop_projection_generation, "Drop a generation", m.Generation, body=m.Drop, status=202
    ),
    _operation("POST", f"{_ONE}/skip", skip_event, "Skip an event", m.Projection, body=m.Skip),
    _operation("POST", f"{_ONE}/retry", retry_projection, "Retry a parked projection", m.Projection),
)
