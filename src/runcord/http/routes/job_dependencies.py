"""What jobs depend on."""

from runcord.handling.job_dependencies import DependOnJob, EndDependency
from runcord.http.compat.strait.render import render_dependency
from runcord.http.models.job import NewDependency
from runcord.http.models.page import PageQuery, encode_cursor, list_of, page
from runcord.http.models.run import JobDependency
from runcord.http.operation import Answer, Call, Operation
from runcord.ids import new_id, new_version_id
from runcord.job.state import Job


async def create_job_dependency(call: Call) -> Answer:
    """Let a job depend on another: its runs wait until the latest run of that one has ended as `condition` says.

    `completed`; `failed`, which is failed, timed out, crashed, system-failed or dead-lettered; or `any` ending at
    all. What counts is the latest ending among runs with the same idempotency key if the waiting run has one, else
    with the same `dependency_key` in the payload, else among all. Circles are refused.
    """
    body = call.body(NewDependency)
    job_id = await call.backend.job_refs.find(call.project_id, call.path["job_id"])
    dependency_id = new_id("dep")
    handler = DependOnJob(call.context, job_id, new_version_id(), dependency_id, body.depends_on_job_id, body.condition)
    committed = await call.backend.committer.execute(call.project_id, handler)
    job: Job = committed.value
    made = next(one for one in job.dependencies if one.dependency_id == dependency_id)
    return Answer(render_dependency(job.job_id, made), 201, position=committed.position)


async def list_job_dependencies(call: Call) -> Answer:
    """List what a job depends on, oldest dependency first."""
    query = call.query(PageQuery)
    place = query.place("dependencies", str)
    job = await call.backend.job_refs.job(call.project_id, call.path["job_id"])
    rest = sorted(
        (one for one in job.dependencies if place is None or one.dependency_id > place[0]),
        key=lambda one: one.dependency_id,
    )
    shown = rest[: query.size]
    cursor = encode_cursor("dependencies", shown[-1].dependency_id) if len(rest) > len(shown) else None
    return page(call, query, [render_dependency(job.job_id, one) for one in shown], cursor)


async def delete_job_dependency(call: Call) -> Answer:
    """Take a dependency away. Runs that only it has held back are queued."""
    job_id = await call.backend.job_refs.find(call.project_id, call.path["job_id"])
    handler = EndDependency(call.context, job_id, new_version_id(), call.path["dependency_id"])
    committed = await call.backend.committer.execute(call.project_id, handler)
    return Answer(status=204, position=committed.position)


OPERATIONS = (
    Operation(
        "POST",
        "/v1/jobs/{job_id}/dependencies",
        create_job_dependency,
        "Let a job depend on another",
        "jobs",
        "jobs:write",
        body=NewDependency,
        status=201,
        answer=JobDependency,
    ),
    Operation(
        "GET",
        "/v1/jobs/{job_id}/dependencies",
        list_job_dependencies,
        "List what a job depends on",
        "jobs",
        "jobs:read",
        query=PageQuery,
        answer=list_of(JobDependency),
    ),
    Operation(
        "DELETE",
        "/v1/jobs/{job_id}/dependencies/{dependency_id}",
        delete_job_dependency,
        "End a dependency",
        "jobs",
        "jobs:write",
        status=204,
    ),
)
