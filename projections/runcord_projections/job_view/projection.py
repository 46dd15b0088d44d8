"""The job view: every job as it is now, written in the transaction of the command that changed it."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from runcord.job.events import Event
from runcord.job.evolve import evolve
from runcord.job.state import Dependency, Job
from runcord.ledger.arrays import Bigints, Booleans, Bytes, Integers, Texts
from runcord.ledger.mapper import JOBS
from runcord.ledger.view import Change, Statement
from runcord.recorded import Recorded
from runcord.sql import load

SQL = load("runcord_projections.job_view", "view.sql")

CODEC = JOBS


_decode = lru_cache(1024)(CODEC.decode)


class JobView:
    """The inline view of streams `job_…`."""

    name = "job_view"
    version = 1
    prefix = "job_"

    def load(self, project_id: str, stream_ids: Sequence[str]) -> Statement:
        """Return the query for the states of some jobs."""
        return SQL["load"], {"project_id": project_id, "job_ids": Texts(stream_ids)}

    def decode(self, stored: bytes) -> Job:
        """Return the job that was stored. Jobs change seldom and are read for every trigger."""
        return _decode(bytes(stored))

    def evolve(self, state: Job | None, recorded: Recorded[Event]) -> Job | None:
        """Return the job after one more event."""
        return evolve(state, recorded)

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return one statement for all jobs that changed."""
        changed = [change for change in changes if isinstance(change.after, Job)]
        if not changed:
            return
        jobs: list[Job] = [change.after for change in changed]
        yield (
            SQL["save"],
            {
                "project_id": project_id,
                "job_ids": Texts(job.job_id for job in jobs),
                "versions": Integers(job.version for job in jobs),
                "positions": Bigints(change.recorded[-1].position for change in changed),
                "created_positions": Bigints(change.recorded[0].position for change in changed),
                "slugs": Texts(job.settings.slug for job in jobs),
                "deleted": Booleans(job.deleted for job in jobs),
                "enabled": Booleans(job.settings.enabled for job in jobs),
                "max_concurrency": Integers(job.settings.max_concurrency for job in jobs),
                "max_concurrency_per_key": Integers(job.settings.max_concurrency_per_key for job in jobs),
                "version_policies": Texts(job.settings.version_policy for job in jobs),
                "pushed": Booleans(job.settings.is_pushed and not job.deleted for job in jobs),
                "states": Bytes(CODEC.encode(job) for job in jobs),
                "depending": Booleans(_depends(job) for job in jobs),
            },
        )
        moved = [change for change in changed if _edges(change.before) != _edges(change.after)]
        if moved:
            position = max(change.recorded[-1].position for change in moved)
            yield SQL["dependencies_changed"], {"project_id": project_id, "position": position}


def _depends(job: Job) -> bool:
    return bool(job.dependencies) and not job.deleted


def _edges(job: Job | None) -> Sequence[Dependency]:
    return job.dependencies if job is not None and _depends(job) else ()
