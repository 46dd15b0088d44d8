"""Runs as they were: folded from the record, by the same `evolve` that made the present.

No view is read here, so what is returned is what the log says, whatever became of the views. A long history is folded
from its last snapshot on, which is what the same `evolve` made of what comes before it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from runcord.ledger import mapper
from runcord.ledger.statements import Read
from runcord.ledger.transaction import Row
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.evolve import evolve, evolve_all
from runcord.run.payload import PAYLOAD_EVENTS, payload_after
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.sql import load

SQL = load("runcord.sql", "queries/ledger.sql")
PROJECTIONS_SQL = load("runcord.sql", "queries/projections.sql")

LAST_VERSION = 2**31 - 1
"""No stream is longer: versions are 32-bit integers."""

PAGE_SIZE = 1000


@dataclass(frozen=True)
class Documents:
    """What a run was given and what it gave, as JSON bytes; None where there is none, or it is null."""

    payload: bytes | None
    result: bytes | None


async def history(
    read: Read, project_id: str, run_id: str, *, after: int = 0, until: int = LAST_VERSION, limit: int = PAGE_SIZE
) -> list[Recorded[e.Event]]:
    """Return the events of a run whose versions are above `after` and up to `until`, oldest first, at most `limit`."""
    params = {"project_id": project_id, "stream_id": run_id, "after": after, "until": until, "limit": limit}
    return [mapper.recorded(row) for row in await read(SQL["stream_events"], params)]


async def run_at_version(read: Read, project_id: str, run_id: str, version: int) -> Run | None:
    """Return the run as its event number `version` left it, or None if it has no such event."""
    until = min(version, LAST_VERSION)
    params = {"project_id": project_id, "stream_id": run_id, "until": until, "limit": PAGE_SIZE}
    run = fold_on(None, await read(PROJECTIONS_SQL["run_before"], params))
    while run is not None and run.version < until:  # there are no snapshots yet
        page = await history(read, project_id, run_id, after=run.version, until=until)
        if not page:
            return None
        run = evolve_all(run, page)
    return run if run is not None and run.version == version else None


def fold_on(run: Run | None, rows: Sequence[Row]) -> Run | None:
    """Return a run after rows of `run_before`: perhaps a snapshot, which begins it, and events."""
    for row in rows:
        run = mapper.RUNS.decode(row[6]) if row[5] is None else evolve(run, mapper.recorded(row))
    return run


async def version_at(read: Read, project_id: str, run_id: str, position: int) -> int:
    """Return the version that the run had when the ledger was at `position`; 0 if it was not there yet."""
    params = {"project_id": project_id, "stream_id": run_id, "position": position}
    return (await read(SQL["version_at"], params))[0][0]


async def documents(read: Read, project_id: str, run: Run) -> Documents:
    """Return the payload and the result that a run had when it was as `run` says; any version of it will do."""
    given = await _event(read, project_id, run.run_id, run.payload_version)
    # Nothing follows a completion, so it is the last event that can be.
    ended = await _last_completion(read, project_id, run) if run.status == Status.COMPLETED else None
    if isinstance(given, e.Batched):
        payload = await _gathered(read, project_id, run)
    else:
        payload = None if given is None else payload_after(None, (given,))
    result = None if ended is None else ended.result
    return Documents(_document(payload), _document(result))


async def payloads(read: Read, project_id: str, runs: Sequence[Run]) -> dict[str, bytes | None]:
    """Return the payload of each of many runs, by the run's id."""
    places = {"stream_ids": [run.run_id for run in runs], "versions": [run.payload_version for run in runs]}
    found = [mapper.recorded(row) for row in await read(SQL["chosen_events"], {"project_id": project_id, **places})]
    whole = {one.stream_id: _document(payload_after(None, (one.event,))) for one in found}
    batches = {one.stream_id for one in found if isinstance(one.event, e.Batched)}
    gathered = [run for run in runs if run.run_id in batches]
    return whole | {run.run_id: _document(await _gathered(read, project_id, run)) for run in gathered}


async def events_of_types(
    read: Read, project_id: str, run_id: str, types: Sequence[type], *, after: int = 0, limit: int = PAGE_SIZE
) -> list[Recorded[Any]]:
    """Return the events of a run above version `after` that are of these types, oldest first, at most `limit`."""
    params = {"stream_id": run_id, "types": mapper.stored_names(types), "after": after, "limit": limit}
    rows = await read(SQL["stream_events_of_types"], {"project_id": project_id, **params})
    return [mapper.recorded(row) for row in rows]


async def events_by(
    read: Read,
    project_id: str,
    run_id: str,
    *,
    types: Sequence[type] | None,
    actor: str | None,
    request_id: str | None,
    after: int,
    limit: int,
) -> list[Recorded[Any]]:
    """Return the events of a run above version `after`, oldest first, at most `limit`; None means any.

    `actor` is who caused them (`apikey:…`, `run:…`, `scheduler`), `request_id` the request in which that was asked for.
    """
    names = None if types is None else mapper.stored_names(types)
    params = {"stream_id": run_id, "types": names, "actor": actor, "request_id": request_id}
    rows = await read(SQL["stream_events_by"], {"project_id": project_id, **params, "after": after, "limit": limit})
    return [mapper.recorded(row) for row in rows]


async def events_of_types_descending(
    read: Read, project_id: str, run_id: str, types: Sequence[type], *, before: int, limit: int = PAGE_SIZE
) -> list[Recorded[Any]]:
    """Return the events of a run below version `before` that are of these types, newest first, at most `limit`."""
    params = {"stream_id": run_id, "types": mapper.stored_names(types), "before": before, "limit": limit}
    rows = await read(SQL["stream_events_of_types_descending"], {"project_id": project_id, **params})
    return [mapper.recorded(row) for row in rows]


async def whole_history(
    read: Read, project_id: str, run_id: str, after: int = 0, until: int = LAST_VERSION
) -> AsyncIterator[Recorded[e.Event]]:
    """Iterate over the events of a run whose versions are above `after` and up to `until`, oldest first."""
    while page := await history(read, project_id, run_id, after=after, until=until):
        for recorded in page:
            yield recorded
        after = page[-1].version


async def _event(read: Read, project_id: str, run_id: str, version: int) -> e.Event | None:
    found = await history(read, project_id, run_id, after=version - 1, until=version, limit=1)
    return found[0].event if found else None


async def _gathered(read: Read, project_id: str, run: Run) -> Any:
    """Return the payload that several triggers have put together, up to the one that was the last for `run`."""
    events: list[e.Event] = []
    after = 0
    while page := await events_of_types(read, project_id, run.run_id, PAYLOAD_EVENTS, after=after):
        events += [recorded.event for recorded in page if recorded.version <= run.payload_version]
        after = page[-1].version
        if after >= run.payload_version:
            break
    return payload_after(None, events)


async def _last_completion(read: Read, project_id: str, run: Run) -> e.Completed | None:
    found = await events_of_types_descending(
        read, project_id, run.run_id, (e.Completed,), before=run.version + 1, limit=1
    )
    return found[0].event if found else None


def _document(value: Any) -> bytes | None:
    return None if value is None else mapper.to_json(value)
