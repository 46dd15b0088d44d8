"""Runs: what an operator may do with one."""

from typing import Any

from runcord.errors import Invalid, JobNotFound
from runcord.handling.descent import ReplayDeadLetter, ReplayRun
from runcord.handling.reschedule import RescheduleRun
from runcord.handling.runs import CommandRun
from runcord.http.models.run import (
    CancelBody,
    DebugBody,
    DebugSet,
    IdempotencyReset,
    JobRun,
    PauseBody,
    ReplayQuery,
    RescheduleBody,
    RestartBody,
)
from runcord.http.operation import Answer, Call, Operation
from runcord.http.run_answers import run_after
from runcord.ids import new_id
from runcord.ledger.committer import Committed
from runcord.run import commands as c
from runcord.run.status import TERMINAL


async def delete_run(call: Call) -> Answer:
    """Cancel the run and all that it has spawned, and answer it. Its history stays: nothing is ever deleted."""
    return await _command(call, c.Cancel())


async def cancel_run(call: Call) -> Answer:
    """Cancel the run and all that it has spawned, for a reason of your own."""
    return await _command(call, c.Cancel(reason=call.body(CancelBody).reason))


async def replay_run(call: Call) -> Answer:
    """Make a new run of one that has ended, and answer the new one; both name each other.

    It has the payload of the old one or, with `from_checkpoint`, the state of that checkpoint, in debug mode.
    """
    checkpoint = call.query(ReplayQuery).from_checkpoint
    committed = await _replay(call, ReplayRun(call.context, call.path["run_id"], new_id("run"), checkpoint))
    return await run_after(call, Committed(committed.value.run, committed.position), status=201)


async def replay_dead_letter(call: Call) -> Answer:
    """Queue the same run again, as attempt 1 of a new round; its earlier attempts stay in its history."""
    return await run_after(call, await _replay(call, ReplayDeadLetter(call.context, call.path["run_id"])))


async def pause_run(call: Call) -> Answer:
    """Stop the run until it is resumed; its attempt is over, its checkpoints stay. Pausing twice does no harm."""
    return await _command(call, c.Pause(reason=call.body(PauseBody).reason))


async def resume_run(call: Call) -> Answer:
    """Queue a paused run again; a worker goes on from its last checkpoint."""
    return await _command(call, c.Resume())


async def restart_run(call: Call) -> Answer:
    """Stop the run's attempt, if any, and queue the run again; the preset is put on record."""
    return await _command(call, c.Restart(machine_preset=call.body(RestartBody).machine_preset))


async def reschedule_run(call: Call) -> Answer:
    """Make a run that was not started due at another time, at once if that is past; its time to live counts anew.

    A new payload has to fit the job's schema.
    """
    body = call.body(RescheduleBody)
    handler = RescheduleRun(
        call.context, call.path["run_id"], body.scheduled_at, body.payload, "payload" in body.model_fields_set
    )
    return await run_after(call, await call.backend.committer.execute(call.project_id, handler))


async def set_debug_mode(call: Call) -> Answer:
    """Switch the run's debug mode.

    While it is on, every command that reaches the run is put on its record: what it said, what was decided, and how
    long that took; refused ones too. `…/events?type=debug` lists them, 1,000 in a run's life at most.
    """
    committed = await _execute(call, c.SetDebug(call.body(DebugBody).debug_mode))
    return Answer(
        {"status": "ok", "debug_mode": committed.value.debug_mode},
        position=committed.position,
        version=committed.value.version,
    )


async def reset_idempotency_key(call: Call) -> Answer:
    """Free the run's idempotency key, so that the next trigger with it makes a new run."""
    committed = await _execute(call, c.ResetIdempotency())
    return Answer(
        {"status": "reset", "run_id": committed.value.run_id},
        position=committed.position,
        version=committed.value.version,
    )


async def _replay(call: Call, handler: ReplayRun | ReplayDeadLetter) -> Committed:
    try:
        return await call.backend.committer.execute(call.project_id, handler)
    except JobNotFound as error:
        raise Invalid("the run's job was deleted: it takes no more runs") from error


async def _command(call: Call, command: c.OperatorCommand) -> Answer:
    return await run_after(call, await _execute(call, command))


async def _execute(call: Call, command: c.OperatorCommand) -> Committed:
    return await call.backend.committer.execute(call.project_id, CommandRun(call.context, call.path["run_id"], command))


def _write(path: str, **options: Any) -> dict[str, Any]:
    return {
        "method": "POST",
        "path": f"/v1/runs/{{run_id}}{path}",
        "tag": "runs",
        "scope": "runs:write",
        "answer": JobRun,
        **options,
    }


# Which statuses refusals have is Strait's: its clients tell by them what went wrong.
_ENDED: dict[str, int] = dict.fromkeys(TERMINAL, 400)

OPERATIONS = (
    Operation(**_write("", method="DELETE"), handle=delete_run, summary="Cancel a run", refusal_status=_ENDED),
    Operation(
        **_write("/cancel"),
        handle=cancel_run,
        summary="Cancel a run for a reason",
        body=CancelBody,
        refusal_status=_ENDED,
    ),
    Operation(
        **_write("/replay", status=201),
        handle=replay_run,
        summary="Make a new run of an ended one",
        query=ReplayQuery,
        refusal_status=400,
    ),
    Operation(**_write("/dlq-replay"), handle=replay_dead_letter, summary="Queue a dead letter again"),
    Operation(**_write("/pause"), handle=pause_run, summary="Pause a run", body=PauseBody, refusal_status=400),
    Operation(**_write("/resume"), handle=resume_run, summary="Resume a paused run", refusal_status=400),
    Operation(**_write("/restart"), handle=restart_run, summary="Restart a run", body=RestartBody, refusal_status=400),
    Operation(
        **_write("/reschedule"),
        handle=reschedule_run,
        summary="Reschedule a run",
        body=RescheduleBody,
        refusal_status=404,
    ),
    Operation(**_write("/debug", answer=DebugSet), handle=set_debug_mode, summary="Switch debug mode", body=DebugBody),
    Operation(
        **_write("/idempotency-key", method="DELETE", answer=IdempotencyReset),
        handle=reset_idempotency_key,
        summary="Free a run's idempotency key",
    ),
)
