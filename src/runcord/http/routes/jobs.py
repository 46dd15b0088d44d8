"""Jobs: create, list, read, change, delete, and their versions."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from runcord.errors import Invalid, JobNotFound, JobVersionNotFound
from runcord.handling.jobs import CloneJob, CommandJob, SwitchJobs
from runcord.http.compat.strait.render import render_job
from runcord.http.models.answers import Job, JobVersion
from runcord.http.models.job import JobChanges, JobCopy, NewJob
from runcord.http.models.page import PageQuery, encode_cursor, list_of, page
from runcord.http.operation import Answer, Call, Operation
from runcord.ids import new_id, new_version_id
from runcord.job.commands import CreateJob, DefinitionCommand, DeleteJob, UpdateJob
from runcord.ledger.committer import Committed
from runcord.projecting.job_versions import job_versions
from runcord_projections.job_view.projection import CODEC, SQL

_BEYOND_LAST = 2**62


class JobQuery(PageQuery):
    """Which page of the project's jobs."""

    project_id: str | None = None
    tag_key: Annotated[str | None, Field(max_length=64, description="Only jobs that have this tag.")] = None
    tag_value: Annotated[str | None, Field(max_length=256, description="With `tag_key`: of this value.")] = None


async def create_job(call: Call) -> Answer:
    """Create a job.

    Its slug must be free in the project. What is left out has the default that the job then shows.
    """
    body = call.body(NewJob)
    call.require_own_project(body.project_id)
    call.backend.guard.check_endpoints(body.settings())
    command = CreateJob(new_version_id(), body.settings(), created_by=call.actor)
    handler = CommandJob(call.context, new_id("job"), command, sealed(call, body))
    return _shown(call, await call.backend.committer.execute(call.project_id, handler), 201)


async def list_jobs(call: Call) -> Answer:
    """List the project's jobs, newest first."""
    query = call.query(JobQuery)
    call.require_own_project(query.project_id)
    if query.tag_value is not None and query.tag_key is None:
        raise Invalid("tag_value needs tag_key: give the tag whose value it is")
    place = query.place("jobs", int)
    params = {
        "tag_key": query.tag_key,
        "tag_value": query.tag_value,
        "project_id": call.project_id,
        "before": _BEYOND_LAST if place is None else place[0],
        "limit": query.size + 1,
    }
    rows = await call.backend.read(SQL["page"], params)
    shown = rows[: query.size]
    cursor = encode_cursor("jobs", shown[-1][1]) if len(rows) > len(shown) else None
    jobs = [render_job(CODEC.decode(state), project_id=call.project_id) for state, _ in shown]
    return page(call, query, jobs, cursor)


async def get_job(call: Call) -> Answer:
    """Read a job by its id or its slug."""
    job = await call.backend.job_refs.job(call.project_id, call.path["job_id"])
    return Answer(render_job(job, project_id=call.project_id), version=job.version)


async def update_job(call: Call) -> Answer:
    """Change settings of a job: those that are given; null unsets one that may be unset.

    Every change is a new version. Runs that were triggered before keep theirs, or follow, as `version_policy` says.
    """
    body = call.body(JobChanges)
    call.require_own_project(body.project_id)
    call.backend.guard.check_endpoints(body.given())
    command = UpdateJob(new_version_id(), body.given())
    return _shown(call, await _command(call, command, sealed(call, body)))


async def delete_job(call: Call) -> Answer:
    """Delete a job. Its runs and its history stay; while any of its runs has not ended, this is refused."""
    committed = await _command(call, DeleteJob())
    return Answer(status=204, position=committed.position)


async def clone_job(call: Call) -> Answer:
    """Make a job with the settings of another, its secrets included, under a name and a slug of its own.

    Dependencies are not copied.
    """
    body = call.body(JobCopy)
    job_id = await call.backend.job_refs.find(call.project_id, call.path["job_id"])
    handler = CloneJob(call.context, job_id, new_id("job"), new_version_id(), body.name, body.slug)
    return _shown(call, await call.backend.committer.execute(call.project_id, handler), 201)


async def pause_job(call: Call) -> Answer:
    """Let a job take no new runs, and its queued ones wait: the same as to change `enabled` to false."""
    return await _switch(call, enabled=False)


async def resume_job(call: Call) -> Answer:
    """Let a job take runs and have them worked on again: the same as to change `enabled` to true."""
    return await _switch(call, enabled=True)


async def list_job_versions(call: Call) -> Answer:
    """List the versions of a job, newest first."""
    query = call.query(PageQuery)
    place = query.place("job-versions", int)
    job_id = await call.backend.job_refs.find(call.project_id, call.path["job_id"])
    versions = await job_versions(call.backend.read, call.project_id, job_id)
    rest = [job for job in reversed(versions) if place is None or job.version < place[0]]
    shown = rest[: query.size]
    cursor = encode_cursor("job-versions", shown[-1].version) if len(rest) > len(shown) else None
    rows = [{**render_job(job, project_id=call.project_id), "job_id": job.job_id} for job in shown]
    return page(call, query, rows, cursor)


def sealed(call: Call, body: NewJob | JobChanges) -> dict[str, bytes | None]:
    """Return the secrets in a body as they are kept."""
    seal = call.backend.sealer.seal
    return {
        name: None if value is None else seal(call.project_id, name, value) for name, value in body.secrets().items()
    }


async def get_job_version(call: Call) -> Answer:
    """Read a job as one of its versions was, by the id of the version or by its number."""
    job_id = await call.backend.job_refs.find(call.project_id, call.path["job_id"])
    ref = call.path["version_id"]
    for job in await job_versions(call.backend.read, call.project_id, job_id):
        if ref in (job.version_id, str(job.version)):
            return Answer({**render_job(job, project_id=call.project_id), "job_id": job_id}, version=job.version)
    raise JobVersionNotFound(f"the job has no version {ref[:128]!r}")


async def _switch(call: Call, *, enabled: bool) -> Answer:
    refs, ref = call.backend.job_refs, call.path["job_id"]
    job_id = await refs.find(call.project_id, ref)
    committed = await call.backend.committer.execute(
        call.project_id, SwitchJobs(call.context, {job_id: new_version_id()}, enabled)
    )
    job = await refs.job(call.project_id, job_id)
    return Answer(render_job(job, project_id=call.project_id), position=committed.position, version=job.version)


async def _command(
    call: Call, command: DefinitionCommand, secrets: Mapping[str, bytes | None] | None = None
) -> Committed:
    refs, ref = call.backend.job_refs, call.path["job_id"]
    job_id = await refs.find(call.project_id, ref)
    try:
        return await call.backend.committer.execute(
            call.project_id, CommandJob(call.context, job_id, command, secrets or {})
        )
    except JobNotFound:
        raise JobNotFound(f"there is no job {ref!r} in this project") from None
    finally:
        # Its slug may be another by now, or nobody's.
        refs.forget(call.project_id, ref)


def _shown(call: Call, committed: Committed, status: int = 200) -> Answer:
    job = committed.value
    return Answer(render_job(job, project_id=call.project_id), status, position=committed.position, version=job.version)


OPERATIONS = (
    Operation(
        "POST", "/v1/jobs", create_job, "Create a job", "jobs", "jobs:write", body=NewJob, status=201, answer=Job
    ),
    Operation("GET", "/v1/jobs", list_jobs, "List jobs", "jobs", "jobs:read", query=JobQuery, answer=list_of(Job)),
    Operation("GET", "/v1/jobs/{job_id}", get_job, "Read a job", "jobs", "jobs:read", answer=Job),
    Operation(
        "PATCH", "/v1/jobs/{job_id}", update_job, "Change a job", "jobs", "jobs:write", body=JobChanges, answer=Job
    ),
    Operation("DELETE", "/v1/jobs/{job_id}", delete_job, "Delete a job", "jobs", "jobs:write", status=204),
    Operation(
        "GET",
        "/v1/jobs/{job_id}/versions",
        list_job_versions,
        "List the versions of a job",
        "jobs",
        "jobs:read",
        query=PageQuery,
        answer=list_of(JobVersion),
    ),
    Operation(
        "GET",
        "/v1/jobs/{job_id}/versions/{version_id}",
        get_job_version,
        "Read a version of a job",
        "jobs",
        "jobs:read",
        answer=JobVersion,
    ),
    Operation(
        "POST",
        "/v1/jobs/{job_id}/clone",
        clone_job,
        "Copy a job",
        "jobs",
        "jobs:write",
        body=JobCopy,
        status=201,
        answer=Job,
    ),
    Operation("POST", "/v1/jobs/{job_id}/pause", pause_job, "Pause a job", "jobs", "jobs:write", answer=Job),
    Operation("POST", "/v1/jobs/{job_id}/resume", resume_job, "Resume a job", "jobs", "jobs:write", answer=Job),
)
