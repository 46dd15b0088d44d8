"""Tags: which there are, and how many runs have each."""

from collections.abc import Mapping

from runcord.http.models.page import list_of, page
from runcord.http.models.views import TagCount, TagsQuery
from runcord.http.moment import moment_of_page
from runcord.http.operation import Answer, Call, Operation
from runcord.run.status import Status
from runcord_projections.tag_index.reading import Choice, tags_at

_TAGS = "tags"


async def list_tags(call: Call) -> Answer:
    """List the tags that runs have, by key and value, with how many runs have each, in all and by status.

    With `position` or `at`, the tags that runs had then; all pages of a cursor are of one moment. A tag that is added
    later counts from then on; one that no run has any more is left out. A page may be short of its limit and have a
    cursor, where very many tags had no run then.
    """
    query = call.query(TagsQuery)
    moment, place = await moment_of_page(call, query, _TAGS, str, str)
    await call.backend.projections.reach(call.project_id, moment.position, "tag_index")
    found, following = await tags_at(
        call.backend.read,
        call.project_id,
        moment.position,
        Choice(query.key, query.value, query.prefix or ""),
        after=None if place is None else (place[0], place[1]),
        limit=query.size,
    )
    rows = [
        {"key": tag.key, "value": tag.value, "total": tag.total, "by_status": _by_name(tag.by_status)} for tag in found
    ]
    cursor = None if following is None else moment.cursor(_TAGS, *following)
    return page(call, query, rows, cursor)._replace(position=moment.position)


def _by_name(by_status: Mapping[Status, int]) -> dict[str, int]:
    return {status.value: count for status, count in by_status.items()}


OPERATIONS = (
    Operation(
        "GET", "/v1/tags", list_tags, "List tags", "runs", "runs:read", query=TagsQuery, answer=list_of(TagCount)
    ),
)
