"""The jobs that may have runs to be sent: told by commits of this process, and by looks at all projects.

A commit says at once that a run of a job was queued, or that a slot of it became free; it does not say whether the
job is pushed. Jobs that turned out not to be are remembered, so that a queue that workers pull from costs nothing here.
"""

import asyncio
from collections.abc import Iterable, Sequence

from runcord.job.state import Job
from runcord.ledger.view import Change
from runcord.run.state import Run
from runcord.run.status import Status

_REMEMBERED = 10_000

JobKey = tuple[str, str]
"""A project and a job of it."""

Hint = tuple[JobKey, float]
"""A job, and in how many seconds it may have something to be sent."""


class Prospects:
    """The jobs to be looked at, in the order in which they were heard of. Belongs to one event loop."""

    def __init__(self, horizon_secs: float) -> None:
        self._horizon_secs = horizon_secs
        self._jobs: dict[JobKey, None] = {}
        self._pulled: set[str] = set()
        self.news = asyncio.Event()
        """Set when there may be something to do."""

    def hints(self, project_id: str, changes: Sequence[Change]) -> list[Hint]:
        """Return what a commit says. May be called from any thread."""
        found: list[Hint] = []
        for change in changes:
            before, after = change.before, change.after
            if isinstance(after, Job):
                self._pulled.discard(after.job_id)
                if after.settings.is_pushed:
                    found.append(((project_id, after.job_id), 0.0))
            elif isinstance(after, Run) and after.job_id not in self._pulled:
                job = (project_id, after.job_id)
                if after.status is Status.QUEUED:
                    found.append((job, (after.due_at - change.recorded[-1].at).total_seconds()))
                if isinstance(before, Run) and before.holds_slot and not after.holds_slot:
                    found.append((job, 0.0))
        return found

    def hear(self, hints: Iterable[Hint]) -> None:
        """Take note of hints; those that are far ahead are left to the next looks."""
        loop = asyncio.get_running_loop()
        for job, secs in dict(sorted(hints, key=lambda hint: -hint[1])).items():
            if secs <= 0:
                self.add([job])
            elif secs < self._horizon_secs:
                loop.call_later(secs, self.add, [job])

    def add(self, jobs: Iterable[JobKey]) -> None:
        """Have jobs looked at."""
        self._jobs.update(dict.fromkeys(jobs))
        if self._jobs:
            self.news.set()

    def put_back(self, jobs: Iterable[JobKey]) -> None:
        """Have jobs looked at when there is other news: a free slot, say."""
        self._jobs.update(dict.fromkeys(jobs))

    def take(self) -> list[JobKey]:
        """Return all jobs that are to be looked at, and forget them."""
        taken = list(self._jobs)
        self._jobs.clear()
        return taken

    def learn(self, pushed: Iterable[JobKey], pulled: Iterable[JobKey]) -> None:
        """Remember of jobs whether their runs are pushed; until they change, those that are not are not heard of."""
        self._pulled.difference_update(job_id for _, job_id in pushed)
        if len(self._pulled) >= _REMEMBERED:
            self._pulled.clear()
        self._pulled.update(job_id for _, job_id in pulled)
