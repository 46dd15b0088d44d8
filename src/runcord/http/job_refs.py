"""From what callers call a job, its id or its slug, to its id."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from runcord.clock import monotonic
from runcord.errors import JobNotFound
from runcord.handling.admission import Foresight, foresee
from runcord.job.state import Job
from runcord.ledger.transaction import Row
from runcord_projections.job_view.projection import CODEC, SQL

CACHE_SECS = 5.0
_CACHED = 10_000


class JobRefs:
    """Finds jobs by id or slug, and remembers ids for `CACHE_SECS`, so that a busy queue need not ask each time.

    Only ids and guesses are remembered: whoever acts on one checks, under the ledger's lock, that the job is still what
    it was.
    """

    def __init__(self, read: Callable[[bytes, Mapping[str, Any]], Awaitable[list[Row]]]) -> None:
        self._read = read
        self._known: dict[tuple[str, str], tuple[float, str, Foresight]] = {}

    async def job(self, project_id: str, ref: str) -> Job:
        """Return the job as it is now.

        Raises:
            JobNotFound: the project has none of that id or slug.
        """
        rows = await self._read(SQL["get"], {"project_id": project_id, "ref": ref})
        if not rows:
            raise JobNotFound(f"there is no job {ref!r} in this project")
        return CODEC.decode(rows[0][0])

    async def find(self, project_id: str, ref: str) -> str:
        """Return the job's id. Raises as `job` does."""
        return (await self.foresee(project_id, ref))[0]

    async def foresee(self, project_id: str, ref: str) -> tuple[str, Foresight]:
        """Return the job's id, and what its triggers will probably look for. Raises as `job` does."""
        now = monotonic()
        found = self._known.get((project_id, ref))
        if found is None or found[0] <= now:
            if len(self._known) >= _CACHED:
                self._known.clear()
            job = await self.job(project_id, ref)
            found = self._known[project_id, ref] = (now + CACHE_SECS, job.job_id, foresee(job.settings))
        return found[1], found[2]

    def forget(self, project_id: str, ref: str) -> None:
        """Ask the database the next time."""
        self._known.pop((project_id, ref), None)
