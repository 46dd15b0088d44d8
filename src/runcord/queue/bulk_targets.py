"""Which runs a bulk operation is about.

The runs of a filter are those that it picked at one position of the ledger. They follow from the record alone, so
that they can be found without a lock, piece by piece, now or later, by any process, with the same result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from runcord.bulk.selection import ALLOWED, Action, RunFilter
from runcord.bulk.state import BulkOperation
from runcord.handling.bulk import Chunk, Target
from runcord.ids import new_id
from runcord.ledger import mapper
from runcord.ledger.mapper import RUNS
from runcord.ledger.statements import Read
from runcord.run import events as e
from runcord.run.evolve import STATUS_EVENTS, evolve
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.sql import load

SQL = load("runcord.sql", "queries/bulk.sql")

STRETCH = 500_000
"""How many positions one query looks through at the most, so that none takes long."""

PAGE = 1000


@dataclass(frozen=True)
class Found:
    """Runs of a filter, oldest first, and the position up to which there are no others."""

    run_ids: Sequence[str]
    cursor: int


async def find_runs(read: Read, project_id: str, runs: RunFilter, *, after: int, as_of: int, limit: int) -> Found:
    """Return the first runs above position `after` that the filter picked at position `as_of`, at most `limit`."""
    found: list[str] = []
    cursor = after
    while len(found) < limit and cursor < as_of:
        until = min(as_of, cursor + STRETCH)
        wanted = min(limit - len(found), PAGE)
        params = {
            **asdict(runs),
            "statuses": list(runs.statuses),
            "all_statuses": [str(status) for status in Status],
            "project_id": project_id,
            "after": cursor,
            "until": until,
            "as_of": as_of,
            "limit": wanted,
        }
        rows = await read(SQL["runs_of_filter"], params)
        cursor = rows[-1][1] if len(rows) == wanted else until
        changed = {run_id: RUNS.decode(state) for run_id, _, state in rows if state is not None}
        then = await _statuses_then(read, project_id, changed, as_of) if changed else {}
        found += [run_id for run_id, *_ in rows if run_id not in changed or then[run_id] in runs.statuses]
    return Found(found, cursor)


async def count_runs(read: Read, project_id: str, runs: RunFilter, *, as_of: int, most: int | None = None) -> int:
    """Return how many runs the filter picked at position `as_of`; no more than `most` if that is given."""
    total = cursor = 0
    while cursor < as_of and (most is None or total < most):
        page = await find_runs(read, project_id, runs, after=cursor, as_of=as_of, limit=PAGE)
        total, cursor = total + len(page.run_ids), page.cursor
    return total if most is None else min(total, most)


async def can_be_acted_on(read: Read, project_id: str, action: Action, run_ids: Sequence[str]) -> list[str]:
    """Return those of the runs named that the action would not refuse for their status now, in their order."""
    rows = await read(SQL["runs_named"], {"project_id": project_id, "run_ids": list(run_ids)})
    fit = {run_id for run_id, status in rows if status in ALLOWED[action]}
    return [run_id for run_id in run_ids if run_id in fit]


async def total_of(read: Read, project_id: str, operation: BulkOperation) -> int:
    """Return how many runs an operation has."""
    if operation.filter is None:
        return len(operation.run_ids or ())
    return await count_runs(read, project_id, operation.filter, as_of=operation.position, most=operation.limit)


async def next_chunk(read: Read, project_id: str, operation: BulkOperation, size: int) -> Chunk:
    """Return the next runs of an operation, at most `size`."""
    if operation.filter is None:
        named = operation.run_ids or ()
        cursor = min(operation.cursor + size, len(named))
        return Chunk(targets(named[operation.cursor : cursor]), cursor, cursor >= len(named))
    assert operation.total is not None, "the runs are counted before they are worked on"
    left = operation.total - operation.done
    found = await find_runs(
        read, project_id, operation.filter, after=operation.cursor, as_of=operation.position, limit=min(size, left)
    )
    is_last = len(found.run_ids) == left or found.cursor >= operation.position
    return Chunk(targets(found.run_ids), found.cursor, is_last)


def targets(run_ids: Sequence[str]) -> list[Target]:
    """Return the runs with an id for what a replay may make of each."""
    return [Target(run_id, new_id("run")) for run_id in run_ids]


async def _statuses_then(read: Read, project_id: str, runs: Mapping[str, Run], as_of: int) -> dict[str, str]:
    params = {
        "project_id": project_id,
        "run_ids": list(runs),
        "as_of": as_of,
        "types": mapper.stored_names(STATUS_EVENTS),
    }
    statuses: dict[str, str] = {}
    for row in await read(SQL["last_events_of_runs"], params):
        recorded = mapper.recorded(row)
        before = None if isinstance(recorded.event, e.Triggered) else runs[recorded.stream_id]
        after = evolve(before, recorded)
        assert after is not None
        statuses[recorded.stream_id] = after.status
    return statuses
