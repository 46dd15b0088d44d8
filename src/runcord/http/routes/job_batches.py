"""Many jobs at once: creating them, and switching them on or off."""

import asyncio
from typing import Any

from runcord.errors import Invalid, JobNotFound, RuncordError
from runcord.handling.jobs import CommandJob, SwitchJobs
from runcord.handling.jobs import Switched as Outcome
from runcord.http.body import validate
from runcord.http.compat.strait.render import render_job
from runcord.http.models.answers import JobBatch, Switched
from runcord.http.models.job import JobRefs, NewJob, NewJobs
from runcord.http.operation import Answer, Call, Operation
from runcord.http.routes.jobs import sealed
from runcord.ids import new_id, new_version_id
from runcord.job.commands import CreateJob
from runcord.ledger.committer import Committed


async def create_jobs(call: Call) -> Answer:
    """Create up to 50 jobs, each for itself: those that are refused are told of by their place in the request."""
    jobs = call.body(NewJobs).jobs
    outcomes = await asyncio.gather(*(_create(call, value) for value in jobs), return_exceptions=True)
    created: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    position: int | None = None
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, Committed):
            created.append(render_job(outcome.value, project_id=call.project_id))
            position = max(position or 0, outcome.position)
        elif isinstance(outcome, RuncordError):
            refused.append({"index": index, "code": outcome.code, "message": outcome.message})
        else:
            raise outcome
    return Answer({"created": created, "errors": refused}, 201, position=position)


async def enable_jobs(call: Call) -> Answer:
    """Enable up to 500 jobs, in one append; answers how many were not enabled before."""
    return await _switch(call, enabled=True)


async def disable_jobs(call: Call) -> Answer:
    """Disable up to 500 jobs, in one append: they take no new runs, and their queued ones wait."""
    return await _switch(call, enabled=False)


async def _create(call: Call, value: Any) -> Committed:
    body = validate(NewJob, value, "the job")
    if body.project_id is not None and body.project_id != call.project_id:
        raise Invalid(f"there is no project {body.project_id[:128]!r} that this credential may use")
    call.backend.guard.check_endpoints(body.settings())
    command = CreateJob(new_version_id(), body.settings(), created_by=call.actor)
    handler = CommandJob(call.context, new_id("job"), command, sealed(call, body))
    return await call.backend.committer.execute(call.project_id, handler)


async def _switch(call: Call, *, enabled: bool) -> Answer:
    versions: dict[str, str] = {}
    not_found: list[str] = []
    for ref in call.body(JobRefs).refs:
        try:
            versions[await call.backend.job_refs.find(call.project_id, ref)] = new_version_id()
        except JobNotFound:
            not_found.append(ref)
    committed = await call.backend.committer.execute(call.project_id, SwitchJobs(call.context, versions, enabled))
    outcome: Outcome = committed.value
    body: dict[str, Any] = {"updated": outcome.updated}
    if missing := [*not_found, *outcome.not_found]:
        body["not_found"] = missing
    return Answer(body, position=committed.position)


OPERATIONS = (
    Operation(
        "POST",
        "/v1/jobs/batch",
        create_jobs,
        "Create many jobs",
        "jobs",
        "jobs:write",
        body=NewJobs,
        status=201,
        answer=JobBatch,
        body_limit_factor=16,
    ),
    Operation(
        "POST",
        "/v1/jobs/batch-enable",
        enable_jobs,
        "Enable many jobs",
        "jobs",
        "jobs:write",
        body=JobRefs,
        answer=Switched,
    ),
    Operation(
        "POST",
        "/v1/jobs/batch-disable",
        disable_jobs,
        "Disable many jobs",
        "jobs",
        "jobs:write",
        body=JobRefs,
        answer=Switched,
    ),
)
