"""The versions of a job, folded from its events."""

from runcord.job.evolve import evolve
from runcord.job.state import Job
from runcord.ledger import mapper
from runcord.ledger.statements import Read
from runcord.projecting.time_travel import LAST_VERSION, PAGE_SIZE, SQL


async def job_versions(read: Read, project_id: str, job_id: str) -> list[Job]:
    """Return the job as each of its versions was, oldest first; the deletion of a job is no version."""
    versions: list[Job] = []
    job: Job | None = None
    after = 0
    while True:
        params = {
            "project_id": project_id,
            "stream_id": job_id,
            "after": after,
            "until": LAST_VERSION,
            "limit": PAGE_SIZE,
        }
        rows = await read(SQL["stream_events"], params)
        for row in rows:
            job = evolve(job, mapper.recorded(row))
            if job is not None and not job.deleted:
                versions.append(job)
        if len(rows) < PAGE_SIZE:
            return versions
        after = rows[-1][1]
