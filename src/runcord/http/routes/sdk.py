"""The worker's calls that move a run: from the start of an attempt to its end, waits and children between."""

import random
from typing import Any

from runcord.handling.descent import ContinueRun, SpawnRun
from runcord.handling.events import WaitForEvent
from runcord.handling.trigger import Triggering, TriggerRequest
from runcord.http.compat.strait.render import render_run
from runcord.http.models.answers import EventWait, Heartbeat
from runcord.http.models.run import JobRun
from runcord.http.models.worker import (
    CompleteBody,
    ContinueBody,
    FailBody,
    HeartbeatBody,
    NoBody,
    ReleaseBody,
    SpawnBody,
    WaitBody,
    WaitForEventBody,
)
from runcord.http.operation import Answer, Call, Operation
from runcord.http.results import bounded
from runcord.http.run_answers import load_run
from runcord.http.sdk import SCOPE, TAG, report, run_answer, sdk_answer
from runcord.ids import new_id
from runcord.ledger.committer import Committed
from runcord.ledger.mapper import to_json
from runcord.queue.heartbeat import DEFAULT_LEASE_SECS, Pulse, pulse_without_lease, renew_lease
from runcord.queue.resumption import ResumeRun
from runcord.run import commands as c
from runcord.run.state import Run


async def start_attempt(call: Call) -> Answer:
    """Begin the attempt: dequeued becomes executing."""
    return await run_answer(call, await report(call, c.Start(call.claim)))


async def heartbeat(call: Call) -> Answer:
    """Move the attempt's lease, and learn whether somebody wants the attempt to stop.

    Without `lease_secs` it lasts as long again as the worker asked for when it took the run.
    """
    claim, lease_secs = call.claim, call.body(HeartbeatBody).lease_secs
    attempt = claim.attempt
    if attempt is None or lease_secs is None:
        run, _ = await load_run(call)
        attempt = attempt or run.attempt
        lease_secs = lease_secs or run.lease_secs or DEFAULT_LEASE_SECS
    touch, run_id = call.backend.touch, call.path["run_id"]
    pulse = await renew_lease(touch, call.project_id, run_id, claim, attempt, lease_secs)
    if pulse is None:
        run, _ = await load_run(call)
        pulse = pulse_without_lease(run, claim)
    return sdk_answer(call, _pulse(pulse))


def _pulse(pulse: Pulse) -> dict[str, Any]:
    members: dict[str, Any] = {
        "status": "ok",
        "cancel_requested": pulse.cancel_requested,
        "pause_requested": pulse.pause_requested,
    }
    if pulse.lease_expires_at is not None:
        members["lease_expires_at"] = pulse.lease_expires_at
    return members


async def complete_run(call: Call) -> Answer:
    """End the run as completed. Said again for the attempt that completed it, this answers the same run."""
    body = call.body(CompleteBody)
    command = c.Complete(bounded(call, body.result), body.output_type, call.claim)
    return await run_answer(call, await report(call, command))


async def fail_run(call: Call) -> Answer:
    """End the attempt as failed.

    While attempts are left, the run is queued again with a delay; after the last it is a dead letter. An error that is
    not `retryable` fails the run for good.
    """
    body = call.body(FailBody)
    command = c.Fail(body.error.failure(), body.retryable, body.retry_after_secs, random.random(), call.claim)
    return await run_answer(call, await report(call, command))


async def release_attempt(call: Call) -> Answer:
    """Give the attempt back unharmed: the run is queued again, and the attempt is not counted."""
    body = call.body(ReleaseBody)
    return await run_answer(call, await report(call, c.Release(body.reason, body.delay_secs, call.claim)))


async def wait_attempt(call: Call) -> Answer:
    """Stop for a while. The worker goes on with `resume`; with `until`, the run is queued again at that time."""
    body = call.body(WaitBody)
    return await run_answer(call, await report(call, c.Wait(body.reason, body.until, call.claim)))


async def resume_attempt(call: Call) -> Answer:
    """Go on after a wait, in the same worker's hands, as soon as the job's concurrency limits permit."""
    handler = ResumeRun(call.context, call.path["run_id"], c.ResumeWork(call.claim))
    return await run_answer(call, await call.backend.committer.execute(call.project_id, handler))


async def spawn_run(call: Call) -> Answer:
    """Make a child run of another job, or of the same; both name each other.

    With `await_completion` the run waits for the child's end and is queued again then.
    """
    body = call.body(SpawnBody)
    call.require_own_project(body.project_id)
    request = TriggerRequest(
        run_id=new_id("run"),
        payload=body.payload,
        delay_secs=body.delay_secs,
        ttl_secs=body.ttl_secs,
        priority=body.priority,
        tags=body.tags,
        metadata=body.metadata,
        concurrency_key=body.concurrency_key,
    )
    handler = SpawnRun(
        call.context,
        call.path["run_id"],
        body.job_slug or body.job_id or "",
        request,
        call.claim,
        body.await_completion,
        body.await_timeout_secs,
    )
    return _new_run(call, await call.backend.committer.execute(call.project_id, handler))


async def continue_run(call: Call) -> Answer:
    """Make the next run of the chain; its payload is this run's unless one is given."""
    body = call.body(ContinueBody)
    handler = ContinueRun(
        call.context,
        call.path["run_id"],
        new_id("run"),
        body.payload,
        keep_payload="payload" not in body.model_fields_set,
        claim=call.claim,
    )
    return _new_run(call, await call.backend.committer.execute(call.project_id, handler))


def _new_run(call: Call, committed: Committed) -> Answer:
    made: Triggering = committed.value
    payload = None if made.payload is None else to_json(made.payload)
    members = render_run(made.run, payload, project_id=call.project_id)
    return sdk_answer(call, members, 201, position=committed.position, version=made.run.version)


async def wait_for_event(call: Call) -> Answer:
    """Stop until an event with this key is sent; the run is queued again then. Without it, the run times out."""
    body = call.body(WaitForEventBody)
    command = c.WaitForEvent(body.event_key, new_id("trigger"), body.timeout_secs, body.notify_url, call.claim)
    handler = WaitForEvent(call.context, call.path["run_id"], command)
    committed = await call.backend.committer.execute(call.project_id, handler)
    run: Run = committed.value
    assert run.wait is not None
    members = {
        "status": "waiting",
        "event_key": run.wait.event_key,
        "expires_at": run.wait.until,
        "trigger_id": run.wait.trigger_id,
    }
    return sdk_answer(call, members, position=committed.position, version=run.version)


def _operation(name: str, handle: Any, summary: str, body: Any, status: int = 200, answer: Any = JobRun) -> Operation:
    return Operation(
        "POST",
        f"/sdk/v1/runs/{{run_id}}/{name}",
        handle,
        summary,
        TAG,
        SCOPE,
        access="run",
        body=body,
        status=status,
        answer=answer,
    )


OPERATIONS = (
    _operation("start", start_attempt, "Begin the attempt", NoBody),
    _operation("heartbeat", heartbeat, "Say that the attempt lives", HeartbeatBody, answer=Heartbeat),
    _operation("complete", complete_run, "End the run as completed", CompleteBody),
    _operation("fail", fail_run, "End the attempt as failed", FailBody),
    _operation("release", release_attempt, "Give the attempt back", ReleaseBody),
    _operation("wait", wait_attempt, "Stop for a while", WaitBody),
    _operation("resume", resume_attempt, "Go on after a wait", NoBody),
    _operation("spawn", spawn_run, "Make a child run", SpawnBody, 201),
    _operation("continue", continue_run, "Make the next run of the chain", ContinueBody, 201),
    _operation("wait-for-event", wait_for_event, "Wait for an event", WaitForEventBody, answer=EventWait),
)
