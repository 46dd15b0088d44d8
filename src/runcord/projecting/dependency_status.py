"""How the dependencies of a run's job stand for that run."""

from typing import NamedTuple

import orjson

from runcord.handling.dependencies import Ending, Sort, match_of
from runcord.handling.dependency_graph import SQL
from runcord.job.state import Dependency
from runcord.ledger.mapper import JOBS
from runcord.ledger.statements import Read
from runcord.run.state import Run
from runcord.run.trigger_events import Hold


class DependencyStatus(NamedTuple):
    """A dependency, the latest ending that counts for the run, and whether it holds for the run."""

    dependency: Dependency
    ending: Ending | None
    satisfied: bool


async def dependency_status(read: Read, project_id: str, run: Run, payload: bytes | None) -> list[DependencyStatus]:
    """Return how each dependency that the run's job has now stands for the run.

    For a run that was queued, all are satisfied: they held when it was.
    """
    rows = await read(SQL["job"], {"project_id": project_id, "job_id": run.job_id})
    dependencies = JOBS.decode(bytes(rows[0][0])).dependencies if rows else ()
    if not dependencies:
        return []
    match = _match(run, payload)
    sorts = [Sort(dependency.depends_on_job_id, match.match, match.key) for dependency in dependencies]
    job_ids, matches, keys = (list(column) for column in zip(*sorts, strict=True))
    params = {"project_id": project_id, "job_ids": job_ids, "matches": matches, "keys": keys}
    endings = {Sort(*sort): Ending(run_id, status) for *sort, run_id, status in await read(SQL["endings"], params)}
    was_queued = not run.is_held and (run.fence > 0 or not run.is_finished)
    return [
        DependencyStatus(
            dependency,
            ending := endings.get(sort),
            was_queued or dependency.is_met_by(None if ending is None else ending.status),
        )
        for dependency, sort in zip(dependencies, sorts, strict=True)
    ]


def _match(run: Run, payload: bytes | None) -> Hold:
    if run.wait is not None and run.wait.match is not None:
        return Hold(run.wait.match, run.wait.match_key or "")
    return match_of(run.idempotency_key, None if payload is None else orjson.loads(payload))
