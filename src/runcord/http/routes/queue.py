"""The queue: workers take runs, and settle many attempts at once."""

import asyncio
import random
from typing import Any

from runcord.errors import Forbidden, Invalid, JobNotFound, RuncordError
from runcord.handling.runs import CommandRuns
from runcord.http.compat.strait.render import render_checkpoint, render_run
from runcord.http.models.answers import Claims, Settlements
from runcord.http.models.worker import DequeueBody, SettleBody, Settlement
from runcord.http.operation import Answer, Call, Operation
from runcord.http.request import Request
from runcord.http.results import bounded
from runcord.ledger.committer import Committed
from runcord.projecting.handover import NOTHING, Handover, handovers
from runcord.queue.claims import ClaimedRun, ClaimRuns, Selection
from runcord.queue.leases import first_deadline
from runcord.run import commands as c
from runcord.run.events import Failure
from runcord.run.state import Run
from runcord_projections.run_view.projection import CODEC, SQL


async def dequeue_runs(call: Call) -> Answer:
    """Take up to `limit` due runs, those of higher priority first, then those due longest.

    With nothing due, the answer waits up to `wait_secs` for the first. No attempt is ever given to two workers. A
    worker that goes away before the answer has come gives its claims back.
    """
    body = call.body(DequeueBody)
    claim = ClaimRuns(
        context=call.context,
        worker_id=body.worker_id,
        selection=Selection(
            job_ids=None if body.jobs is None else await _job_ids(call, body.jobs),
            queues=None if body.queues is None else tuple(sorted(set(body.queues))),
        ),
        limit=body.limit,
        lease_secs=body.lease_secs,
        start=body.start,
        run_id=body.run_id,
    )
    committed = await _take(call, claim, body.wait_secs)
    claimed: list[ClaimedRun] = [] if committed is None else committed.value
    try:
        left = await handovers(call.backend.read, call.project_id, [one.run for one in claimed])
    except RuncordError:
        # Better no claim than one whose worker does not know where to go on from.
        await call.backend.desk.give_back(call.project_id, call.context, claimed)
        raise
    data = [_given(call, one, left.get(one.run.run_id, NOTHING)) for one in claimed]
    return Answer({"data": data}, position=None if committed is None else committed.position)


async def _job_ids(call: Call, refs: list[str]) -> tuple[str, ...]:
    try:
        return tuple(sorted({await call.backend.job_refs.find(call.project_id, ref) for ref in refs}))
    except JobNotFound as error:
        raise Invalid(f"jobs: {error.message}") from None


async def _take(call: Call, claim: ClaimRuns, wait_secs: float) -> Committed | None:
    """Return what the desk gives, or None when the worker has gone away meanwhile: then it was given nothing."""
    desk = call.backend.desk
    if wait_secs == 0:
        return await desk.take(call.project_id, claim, 0)
    taking = asyncio.create_task(desk.take(call.project_id, claim, wait_secs))
    leaving = asyncio.create_task(_gone(call.request))
    try:
        await asyncio.wait((taking, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not taking.done():
            return None
        committed = taking.result()
        if leaving.done() and committed.value:
            await desk.give_back(call.project_id, claim.context, committed.value)
            return None
        return committed
    finally:
        taking.cancel()
        leaving.cancel()
        await asyncio.gather(taking, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Return when the client has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _given(call: Call, claimed: ClaimedRun, left: Handover) -> dict[str, Any]:
    run = claimed.run
    members: dict[str, Any] = {
        "run": render_run(run, claimed.payload, project_id=call.project_id),
        "run_token": call.backend.run_tokens.sign(call.project_id, run, claimed=True),
        "lease_expires_at": first_deadline(run),
    }
    if left.checkpoint is not None:
        members["checkpoint"] = render_checkpoint(left.checkpoint)
    if left.event is not None:
        members["event"] = {"event_key": left.event.event_key, "payload": left.event.payload}
    if run.error is not None:
        members["previous_error"] = _failure(run.error)
    return members


def _failure(error: Failure) -> dict[str, Any]:
    members = {"message": error.message, "type": error.type, "stack": error.stack, "details": error.details}
    return {name: value for name, value in members.items() if value is not None}


async def settle_runs(call: Call) -> Answer:
    """Report how up to 1,000 attempts ended. Each is taken or refused on its own; the answers are in order."""
    settlements = call.body(SettleBody).settlements
    outcomes: list[Run | RuncordError | None] = []
    commands: list[tuple[str, c.WorkerCommand | c.OperatorCommand]] = []
    for settlement in settlements:
        try:
            commands.append((settlement.run_id, _ending(call, settlement)))
            outcomes.append(None)
        except RuncordError as refusal:
            outcomes.append(refusal)
    position = None
    decided: list[Run | RuncordError] = []
    if commands:
        committed = await call.backend.committer.execute(call.project_id, CommandRuns(call.context, commands))
        decided, position = committed.value, committed.position
    answers = iter(decided)
    ended = [next(answers) if outcome is None else outcome for outcome in outcomes]
    return Answer({"results": await _settled(call, settlements, ended)}, position=position)


def _ending(call: Call, settlement: Settlement) -> c.Complete | c.Fail:
    fence = settlement.fence
    if settlement.run_token is not None:
        token = call.backend.run_tokens.read(settlement.run_token)
        if (token.project_id, token.run_id) != (call.project_id, settlement.run_id):
            raise Forbidden("this run token belongs to another run")
        fence = token.claim.fence if token.claim.fence is not None else fence
    claim = c.Claim(settlement.attempt, fence)
    if settlement.status == "completed":
        return c.Complete(bounded(call, settlement.result), settlement.output_type, claim)
    assert settlement.error is not None
    return c.Fail(
        settlement.error.failure(),
        settlement.retryable,
        settlement.retry_after_secs,
        jitter=random.random(),
        claim=claim,
    )


async def _settled(call: Call, settlements: list[Settlement], ended: list[Run | RuncordError]) -> list[dict[str, Any]]:
    """Return one answer for each; a refused one shows the status that the run has."""
    refused = [s.run_id for s, outcome in zip(settlements, ended, strict=True) if isinstance(outcome, RuncordError)]
    statuses: dict[str, str] = {}
    if refused:
        rows = await call.backend.read(SQL["load"], {"project_id": call.project_id, "run_ids": refused})
        statuses = {run_id: CODEC.decode(state).status for run_id, _, state in rows}
    results: list[dict[str, Any]] = []
    for settlement, outcome in zip(settlements, ended, strict=True):
        if isinstance(outcome, RuncordError):
            status = statuses.get(settlement.run_id, "not_found")
            error = {"code": outcome.code, "message": outcome.message}
            results.append({"run_id": settlement.run_id, "status": status, "error": error})
        else:
            results.append({"run_id": settlement.run_id, "status": outcome.status})
    return results


OPERATIONS = (
    Operation(
        "POST", "/v1/runs/dequeue", dequeue_runs, "Take runs", "workers", "runs:work", body=DequeueBody, answer=Claims
    ),
    Operation(
        "POST",
        "/v1/runs/settle",
        settle_runs,
        "Report the ends of many attempts",
        "workers",
        "runs:work",
        body=SettleBody,
        answer=Settlements,
        body_limit_factor=16,
    ),
)
