"""Lists of runs as they were at a position of the ledger.

Candidates are found by what is indexed; each is then folded from its events up to the position, and held against the
filter as it was. So the answer is what the record says: the indexes only tell where to look.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from runcord.ledger import mapper
from runcord.ledger.mapper import RUNS
from runcord.ledger.statements import Read
from runcord.ledger.transaction import Row
from runcord.projecting.time_travel import Documents, documents, payloads
from runcord.run import events as e
from runcord.run.evolve import evolve
from runcord.run.payload import PAYLOAD_EVENTS, payload_after, replaces_payload
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.sql import load
from runcord_projections.run_terms.filter import RunFilter
from runcord_projections.run_terms.matching import meets

SQL = load("runcord_projections.run_history", "view.sql")

QUIET = (
    e.Logged,
    e.Progressed,
    e.UsageRecorded,
    e.ToolCalled,
    e.OutputSet,
    e.StateSet,
    e.StateDeleted,
    e.Spawned,
)
"""The events that change nothing of a run but its version, and when it changed last."""

_MOST_CANDIDATES = 128
"""How many are folded at once; other requests wait meanwhile."""
_EVENTS = 64
"""How many events of each run are read at once: more than lie between two snapshots."""


@dataclass(frozen=True)
class PastRun:
    """A run as it was."""

    run: Run
    created_position: int
    payload: Any
    result: Any

    @property
    def documents(self) -> Documents:
        """What it had been given and had given, as JSON."""
        return Documents(_json(self.payload), _json(self.result))


async def past_runs(
    read: Read, project_id: str, wanted: RunFilter, *, position: int, before: int, limit: int
) -> list[PastRun]:
    """Return the newest runs, of those triggered below `before`, that met a filter when the ledger was at `position`.

    They are as they were there, newest first, at most `limit`. If a status is asked for, the projection `run_history`
    must have reached the position.

    Raises:
        Unavailable: the projection has not.
    """
    found: list[PastRun] = []
    size = limit
    while True:
        params = {"project_id": project_id, "position": position, "before": before, "limit": size, **wanted.params()}
        candidates = [_Candidate(*row) for row in await read(SQL["candidates"], params)]
        pasts = await _as_they_were(read, project_id, candidates, position)
        found += [past for past in pasts if meets(wanted, past.run, past.payload)]
        if len(found) >= limit or len(candidates) < size:
            return found[:limit]
        before = candidates[-1].created_position
        size = max(limit, min(size * 2, _MOST_CANDIDATES))


class _Candidate(NamedTuple):
    """A run to look at, and from where on."""

    run_id: str
    created_position: int
    version: int | None
    """That of its snapshot."""
    state: bytes | None


@dataclass
class _Folding:
    """A run on its way to the position."""

    run: Run | None
    version: int
    """That of the snapshot it began with, or 0."""
    given: list[e.Event] = field(default_factory=list[e.Event])
    completed: e.Completed | None = None

    def take(self, row: Row) -> None:
        """Go on by an event."""
        if row[6] is None:
            assert self.run is not None
            self.run = self.run.altered(version=row[1], updated_at=row[3])
            return
        recorded = mapper.recorded(row)
        self.run = evolve(self.run, recorded)
        if isinstance(recorded.event, PAYLOAD_EVENTS):
            self.given.append(recorded.event)
        elif isinstance(recorded.event, e.Completed):
            self.completed = recorded.event

    @property
    def knows_payload(self) -> bool:
        """Whether the events that were taken tell the whole payload."""
        return self.version == 0 or any(map(replaces_payload, self.given))


async def _as_they_were(read: Read, project_id: str, candidates: Sequence[_Candidate], position: int) -> list[PastRun]:
    """Return candidates as they were at a position, in their order."""
    foldings = {
        each.run_id: _Folding(None, 0) if each.state is None else _Folding(RUNS.decode(each.state), each.version or 0)
        for each in candidates
    }
    await _fold(read, project_id, foldings, position)
    runs = {run_id: folding.run for run_id, folding in foldings.items() if folding.run is not None}
    given = await _payloads_before(
        read, project_id, [run for run_id, run in runs.items() if not foldings[run_id].knows_payload]
    )
    found: list[PastRun] = []
    for each in candidates:
        run, folding = runs[each.run_id], foldings[each.run_id]
        payload = payload_after(None, folding.given) if folding.knows_payload else given[each.run_id]
        result = await _result(read, project_id, run, folding.completed)
        found.append(PastRun(run, each.created_position, payload, result))
    return found


async def _fold(read: Read, project_id: str, foldings: dict[str, _Folding], position: int) -> None:
    """Take all events up to a position."""
    after = {run_id: folding.version for run_id, folding in foldings.items()}
    fixed = {"project_id": project_id, "position": position, "limit": _EVENTS, "quiet": mapper.stored_names(QUIET)}
    while after:
        params = {**fixed, "run_ids": list(after), "versions": list(after.values())}
        last: dict[str, int] = {}
        for row in await read(SQL["events"], params):
            foldings[row[0]].take(row)
            last[row[0]] = row[1]
        after = {run_id: version for run_id, version in last.items() if version == after[run_id] + _EVENTS}


async def _payloads_before(read: Read, project_id: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the payloads of runs that had theirs before their snapshot."""
    if not runs:
        return {}
    found = await payloads(read, project_id, runs)
    return {run_id: None if payload is None else orjson.loads(payload) for run_id, payload in found.items()}


async def _result(read: Read, project_id: str, run: Run, completed: e.Completed | None) -> Any:
    if run.status != Status.COMPLETED:
        return None
    if completed is not None:
        return completed.result
    found = (await documents(read, project_id, run)).result
    return None if found is None else orjson.loads(found)


def _json(value: Any) -> bytes | None:
    return None if value is None else mapper.to_json(value)
