"""Dead letters: why they lie there, what became of them, and which are alike."""

from typing import Any

import orjson

from runcord.http.models.page import list_of, page
from runcord.http.models.views import DeadLetter, DeadLetterEntriesQuery, DeadLetterGroup, DeadLettersQuery
from runcord.http.moment import moment_of_page
from runcord.http.operation import Answer, Call, Operation
from runcord_projections.dead_letters.projection import DeadLetter as Entry
from runcord_projections.dead_letters.reading import Choice, Group, entries_at, groups_at

_ENTRIES = "dead-letters"
_GROUPS = "dead-letter-groups"


async def list_dead_letter_entries(call: Call) -> Answer:
    """List dead letters, newest first: each round of a run that ended in the queue, with its first and last error.

    By default those that lie there; an entry stays on record when its run is queued again. With `position` or `at`, as
    it was then; all pages of a cursor are of one moment. All filters given must hold.
    """
    query = call.query(DeadLetterEntriesQuery)
    moment, place = await moment_of_page(call, query, _ENTRIES, int)
    choice = Choice(query.state, query.job_id, query.fingerprint)
    await call.backend.projections.reach(call.project_id, moment.position, "dead_letters")
    found = await entries_at(
        call.backend.read,
        call.project_id,
        moment.position,
        choice,
        before=place[0] if place else None,
        recent=not query.names_moment,
        limit=query.size + 1,
    )
    shown = found[: query.size]
    cursor = moment.cursor(_ENTRIES, shown[-1].position or 0) if len(found) > query.size else None
    return page(call, query, [_entry(entry) for entry in shown], cursor)._replace(position=moment.position)


async def list_dead_letter_groups(call: Call) -> Answer:
    """Count dead letters by what went wrong: errors of one type that differ in numbers, ids and quoted words are alike.

    The largest group comes first. Filters and moments are those of the list of dead letters.
    """
    query = call.query(DeadLettersQuery)
    moment, place = await moment_of_page(call, query, _GROUPS, int, str)
    choice = Choice(query.state, query.job_id)
    await call.backend.projections.reach(call.project_id, moment.position, "dead_letters")
    found = await groups_at(
        call.backend.read,
        call.project_id,
        moment.position,
        choice,
        after=None if place is None else (place[0], place[1]),
        limit=query.size + 1,
    )
    shown = found[: query.size]
    more = len(found) > query.size
    cursor = moment.cursor(_GROUPS, shown[-1].size, shown[-1].fingerprint) if more else None
    return page(call, query, [_group(group) for group in shown], cursor)._replace(position=moment.position)


def _entry(entry: Entry) -> dict[str, Any]:
    members: dict[str, Any] = {
        "run_id": entry.run_id,
        "round": entry.round,
        "job_id": entry.job_id,
        "dead_at": entry.dead_at,
        "position": entry.position,
        "attempts": entry.attempts,
        "fingerprint": entry.fingerprint,
        "first_error": orjson.Fragment(entry.first_error),
        "last_error": orjson.Fragment(entry.last_error),
    }
    if entry.left_position is not None:
        members["left_position"] = entry.left_position
    if entry.replayed_as is not None:
        members["replayed_as"] = entry.replayed_as
    return members


def _group(group: Group) -> dict[str, Any]:
    members: dict[str, Any] = {
        "fingerprint": group.fingerprint,
        "count": group.size,
        "job_ids": group.job_ids,
        "first_seen_at": group.first_at,
        "last_seen_at": group.last_at,
        "message": group.error.message,
        "run_ids": group.run_ids,
    }
    if group.error.type is not None:
        members["error_type"] = group.error.type
    return members


OPERATIONS = (
    Operation(
        "GET",
        "/v1/dead-letters",
        list_dead_letter_entries,
        "List dead letters with their errors",
        "runs",
        "runs:read",
        query=DeadLetterEntriesQuery,
        answer=list_of(DeadLetter),
    ),
    Operation(
        "GET",
        "/v1/dead-letters/groups",
        list_dead_letter_groups,
        "Count dead letters by error",
        "runs",
        "runs:read",
        query=DeadLettersQuery,
        answer=list_of(DeadLetterGroup),
    ),
)
