"""Trigger.dev's API: reading runs, and what may be done with one."""

from typing import Any

from runcord.clock import utc_now
from runcord.errors import IllegalTransition, NotFound, RunNotEnded
from runcord.handling.metadata import ChangeRunMetadata
from runcord.handling.reschedule import RescheduleRun
from runcord.handling.runs import CommandRun
from runcord.handling.tasks import FreeTaskKey, ReplayTask
from runcord.handling.trigger import Triggering
from runcord.http.compat.trigger import answers, targets
from runcord.http.compat.trigger.bodies import (
    MetadataBody,
    ReplayTaskBody,
    RescheduleTaskBody,
    ResetKeyBody,
    TagsBody,
)
from runcord.http.compat.trigger.duration import due_at, life_secs
from runcord.http.compat.trigger.listing import find, wanted
from runcord.http.compat.trigger.operation import trigger_operation, wants_new
from runcord.http.compat.trigger.query import ProjectRunsQuery, TaskRunsQuery, pagination
from runcord.http.compat.trigger.render import ENVIRONMENT, render_item, render_result, render_run
from runcord.http.compat.trigger.request_ids import id_for_request
from runcord.http.compat.trigger.tags import MOST, entries_of
from runcord.http.compat.trigger.wishes import changes_of, checked_metadata, operations_of
from runcord.http.operation import Answer, Call, TokenAccess
from runcord.http.run_answers import ancestors, load_run
from runcord.http.targets import run_in_path
from runcord.ledger.transaction import Row
from runcord.run import commands as c
from runcord.run.metadata import MetadataOperation
from runcord.run.state import Run
from runcord_projections.run_view.projection import CODEC, SQL

MOST_CHILDREN = 100


async def retrieve_task_run(call: Call) -> Answer:
    """Answer a run with its payload, its output and its family."""
    run, row = await load_run(call)
    return Answer(await _whole(call, run, row), version=run.version)


async def list_task_runs(call: Call) -> Answer:
    """List runs, newest first."""
    return await _listed(call, call.query(TaskRunsQuery))


async def list_project_task_runs(call: Call) -> Answer:
    """List the runs of the key's own project, newest first; its one environment is `prod`."""
    query = call.query(ProjectRunsQuery)
    if call.path["project_ref"] != call.project_id:
        raise NotFound(f"there is no project {call.path['project_ref'][:128]!r} that this key is of")
    if query.environments is not None and ENVIRONMENT not in query.environments:
        return Answer({"data": [], "pagination": {}})
    return await _listed(call, query)


async def _listed(call: Call, query: TaskRunsQuery) -> Answer:
    read, project_id = call.backend.read, call.project_id

    async def find_job(slug: str) -> str:
        return await call.backend.job_refs.find(project_id, slug)

    what = await wanted(read, project_id, query, utc_now(), find_job)
    steps = query.steps
    found = await find(read, project_id, what, below=steps[-1] if steps else what.below, limit=query.size)
    new = wants_new(call)
    data = [render_item(run, project_id, new=new, hidden=call.hidden) for run in found.runs]
    return Answer({"data": data, "pagination": pagination(steps, found.next_below)})


async def cancel_task_run(call: Call) -> Answer:
    """Cancel a run and all that it has spawned. One that has ended stays as it is."""
    handler = CommandRun(call.context, call.path["run_id"], c.Cancel())
    try:
        committed = await call.backend.committer.execute(call.project_id, handler)
    except IllegalTransition:
        return Answer({"id": call.path["run_id"]})
    return Answer({"id": call.path["run_id"]}, position=committed.position)


async def replay_task_run(call: Call) -> Answer:
    """Make a new run like this one, whatever its status, but for what the body says otherwise."""
    body = call.body(ReplayTaskBody)
    changes, policy = changes_of(body, utc_now())
    new_run_id = id_for_request(call, "run")
    life = life_secs(body.idempotencyKeyTTL)
    handler = ReplayTask(call.context, call.path["run_id"], new_run_id, changes, policy, life)
    committed = await call.backend.committer.execute(call.project_id, handler)
    triggering: Triggering = committed.value
    return Answer({"id": triggering.run.run_id}, position=committed.position)


async def reschedule_task_run(call: Call) -> Answer:
    """Make a delayed run due at another time, and answer it."""
    due = due_at(call.body(RescheduleTaskBody).delay, utc_now())
    handler = RescheduleRun(call.context, call.path["run_id"], due, delayed_only=True)
    committed = await call.backend.committer.execute(call.project_id, handler)
    run, row = await load_run(call)
    return Answer(await _whole(call, run, row), position=committed.position, version=run.version)


async def add_task_run_tags(call: Call) -> Answer:
    """Add tags to a run, which has ten at most then."""
    given = call.body(TagsBody).tags
    tags = entries_of([given] if isinstance(given, str) else given)
    handler = CommandRun(call.context, call.path["run_id"], c.Tag(tags, most=MOST))
    committed = await call.backend.committer.execute(call.project_id, handler)
    return Answer({"message": f"Successfully set {len(tags)} tags."}, position=committed.position)


async def get_task_run_metadata(call: Call) -> Answer:
    """Answer the metadata of a run."""
    run, _ = await load_run(call)
    return Answer({"metadata": run.metadata or {}}, version=run.version)


async def change_task_run_metadata(call: Call) -> Answer:
    """Replace the metadata of a run, or change it by operations, and answer what it is then.

    `parentOperations` and `rootOperations` change that of the run which triggered it, and of the first of its family.
    """
    body = call.body(MetadataBody)
    own = operations_of(body.operations)
    if body.metadata is not None:
        own = (MetadataOperation("update", value=checked_metadata(body.metadata)), *own)
    handler = ChangeRunMetadata(
        call.context,
        call.path["run_id"],
        own,
        operations_of(body.parentOperations),
        operations_of(body.rootOperations),
    )
    committed = await call.backend.committer.execute(call.project_id, handler)
    run: Run = committed.value
    return Answer({"metadata": run.metadata or {}}, position=committed.position, version=run.version)


async def reset_task_key(call: Call) -> Answer:
    """Free an idempotency key of a task, so that the next trigger with it makes a new run."""
    key = call.path["key"]
    handler = FreeTaskKey(call.context, call.body(ResetKeyBody).taskIdentifier, key)
    committed = await call.backend.committer.execute(call.project_id, handler)
    return Answer({"id": key}, position=committed.position)


async def get_task_run_result(call: Call) -> Answer:
    """Answer what a finished run came to; 404 until it is."""
    run, row = await load_run(call)
    if run.finished_at is None:
        raise RunNotEnded(f"the run {run.run_id} has not ended yet: ask again later")
    return Answer(render_result(run, row[2]), version=run.version)


async def _whole(call: Call, run: Run, row: Row) -> dict[str, Any]:
    _, payload, result = row[:3]
    params = {"project_id": call.project_id, "run_id": run.run_id, "after": 0, "limit": MOST_CHILDREN}
    children = [CODEC.decode(child[0]) for child in await call.backend.read(SQL["children"], params)]
    return render_run(
        run,
        payload,
        result,
        new=wants_new(call),
        ancestors=await ancestors(call, run),
        children=children,
        hidden=call.hidden,
    )


_WRITES = TokenAccess("write", run_in_path, hides=True)
_READS = TokenAccess("read", run_in_path, hides=True)


OPERATIONS = (
    trigger_operation(
        "GET",
        "/api/v3/runs/{run_id}",
        retrieve_task_run,
        "Retrieve a run",
        answer=answers.TaskRun,
        tokens=_READS,
    ),
    trigger_operation(
        "GET",
        "/api/v1/runs",
        list_task_runs,
        "List runs",
        query=TaskRunsQuery,
        answer=answers.TaskRuns,
        tokens=TokenAccess("read", targets.runs_of_tasks, hides=True),
    ),
    trigger_operation(
        "GET",
        "/api/v1/projects/{project_ref}/runs",
        list_project_task_runs,
        "List a project's runs",
        query=ProjectRunsQuery,
        answer=answers.TaskRuns,
    ),
    trigger_operation(
        "POST",
        "/api/v2/runs/{run_id}/cancel",
        cancel_task_run,
        "Cancel a run",
        answer=answers.RunId,
        tokens=_WRITES,
    ),
    trigger_operation(
        "POST",
        "/api/v1/runs/{run_id}/replay",
        replay_task_run,
        "Replay a run",
        body=ReplayTaskBody,
        answer=answers.RunId,
        tokens=_WRITES,
        body_limit_factor=4,
    ),
    trigger_operation(
        "POST",
        "/api/v1/runs/{run_id}/reschedule",
        reschedule_task_run,
        "Reschedule a run",
        body=RescheduleTaskBody,
        answer=answers.TaskRun,
        refusal_status=400,
    ),
    trigger_operation(
        "POST",
        "/api/v1/runs/{run_id}/tags",
        add_task_run_tags,
        "Add tags to a run",
        body=TagsBody,
        answer=answers.Said,
    ),
    trigger_operation(
        "GET",
        "/api/v1/runs/{run_id}/metadata",
        get_task_run_metadata,
        "Get a run's metadata",
        answer=answers.RunMetadata,
    ),
    trigger_operation(
        "PUT",
        "/api/v1/runs/{run_id}/metadata",
        change_task_run_metadata,
        "Change a run's metadata",
        body=MetadataBody,
        answer=answers.RunMetadata,
    ),
    trigger_operation(
        "GET",
        "/api/v1/runs/{run_id}/result",
        get_task_run_result,
        "Get a run's result",
        answer=answers.TaskRunResult,
    ),
    trigger_operation(
        "POST",
        "/api/v1/idempotencyKeys/{key}/reset",
        reset_task_key,
        "Free an idempotency key",
        body=ResetKeyBody,
        answer=answers.FreedKey,
        tokens=TokenAccess("write", targets.any_run),
    ),
)
