"""Trigger.dev's API: triggering a task."""

from runcord.clock import utc_now
from runcord.errors import Invalid, JobNotFound
from runcord.handling.admission import Foresight, Keys
from runcord.handling.tasks import TriggerTask
from runcord.handling.trigger import Triggering
from runcord.http.compat.trigger import targets
from runcord.http.compat.trigger.answers import TriggeredTask
from runcord.http.compat.trigger.bodies import TriggerTaskBody
from runcord.http.compat.trigger.handles import handle_headers
from runcord.http.compat.trigger.operation import trigger_operation
from runcord.http.compat.trigger.request_ids import id_for_request, request_key
from runcord.http.compat.trigger.uploads import inlined
from runcord.http.compat.trigger.wishes import TASK_DEFAULTS, request_of
from runcord.http.operation import Answer, Call, TokenAccess

LONGEST_TASK = 255


async def trigger_task(call: Call) -> Answer:
    """Trigger a run of a task. A task that nobody has defined becomes a job of the project.

    An idempotency key that a run holds answers that run, with `isCached`, whatever the payload. With `debounce` a run
    that waits for more triggers of its key is put off, and answered; it is as its first trigger says, or (`trailing`)
    its last. The answer's header
    `x-trigger-jwt` is a token that reads the run, for an hour.
    """
    task = call.path["task"]
    if not 0 < len(task) <= LONGEST_TASK:
        raise Invalid(f"the name of a task has 1 to {LONGEST_TASK} characters")
    body = await inlined(call, call.body(TriggerTaskBody))
    run_id, repeatable = id_for_request(call, "run"), request_key(call) is not None
    request = request_of(run_id, body, utc_now(), repeatable=repeatable)
    if request.keys is None:
        request = request._replace(keys=Keys())  # no trigger escapes a window of the job
    job_id, foresight = await guess(call, task)
    committed = await call.backend.committer.execute(
        call.project_id, TriggerTask(call.context, task, request, TASK_DEFAULTS, job_id, foresight)
    )
    triggering: Triggering = committed.value
    run = triggering.run
    headers = await handle_headers(call, f"read:runs:{run.run_id}", f"write:inputStreams:{run.run_id}")
    members = {"id": run.run_id, "isCached": triggering.idempotency_hit}
    return Answer(members, position=committed.position, headers=headers)


async def guess(call: Call, task: str) -> tuple[str | None, Foresight]:
    """Return the id of the job that a task probably is, and what its triggers look for: guesses, to be checked."""
    try:
        return await call.backend.job_refs.foresee(call.project_id, task)
    except JobNotFound:
        return None, Foresight()


OPERATIONS = (
    trigger_operation(
        "POST",
        "/api/v1/tasks/{task:path}/trigger",
        trigger_task,
        "Trigger a task",
        scope="jobs:trigger",
        body=TriggerTaskBody,
        answer=TriggeredTask,
        tokens=TokenAccess("trigger", targets.task_in_path, spends=True, repeat_key=request_key, hides=True),
        may_limit=True,
        body_limit_factor=4,
    ),
)
