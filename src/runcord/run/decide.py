"""`decide(command, run, at) -> events`: what a command causes, or why it is refused.

Pure: no clock (`at` is the ledger's time), no dice (commands carry their jitter), no I/O. A command that finds
its purpose already fulfilled causes nothing, so that a client may repeat a call whose answer was lost.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from runcord.errors import IllegalTransition, Invalid, LineageTooDeep, StaleAttempt, TooManyTags
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.deadline import later
from runcord.run.limits import MAX_METADATA_BYTES, MAX_METADATA_KEYS, MAX_STREAMS, MAX_TAGS
from runcord.run.metadata import applied, size_of
from runcord.run.retry import delay_secs
from runcord.run.state import Run
from runcord.run.status import REPLAYABLE, SLOT_HOLDING, Status, may_become
from runcord.run.trace import whole_ms
from runcord.run.trigger_events import WindowKind

MAX_LINEAGE_DEPTH = 10
MAX_BATCH_BYTES = 1024 * 1024
"""A batch of so many bytes of payloads is full, whatever it may hold by number."""

_NOT_STARTED = frozenset({Status.DELAYED, Status.QUEUED})
_WORKING = frozenset({Status.EXECUTING, Status.WAITING})

Events = tuple[e.Event, ...]


def decide(command: c.Command, run: Run | None, at: datetime) -> Events:
    """Return the events that `command` causes at `at`.

    Raises:
        StaleAttempt: the command speaks for an attempt that is not the run's current one.
        IllegalTransition: the run's status does not allow it; the message says which would.
        Invalid: the command would break a limit.
    """
    if isinstance(command, c.Trigger):
        if run is not None:
            raise _refused(run, "be triggered", "it was triggered already")
        return (command.facts,)
    if run is None:
        raise IllegalTransition("a run must be triggered before anything else can happen to it")
    match command:
        case c.Dequeue():
            return _dequeue(command, run, at)
        case c.Debounce() | c.Postpone() | c.AddToBatch():
            return _gather(command, run, at)
        case (
            c.Cancel()
            | c.Pause()
            | c.Resume()
            | c.Restart()
            | c.Reschedule()
            | c.Replay()
            | c.StageReplay()
            | c.ReplayDeadLetter()
            | c.OpenStream()
            | c.ResetIdempotency()
            | c.SetDebug()
            | c.ReceiveEvent()
        ):
            return _operate(command, run, at)
        case (
            c.Enqueue()
            | c.Expire()
            | c.Crash()
            | c.TimeOut()
            | c.EndWait()
            | c.MeetDependencies()
            | c.ChildEnded()
            | c.FailSystem()
        ):
            return _pass_time(command, run, at)
        case _:
            return _work(command, run, at)


def require_live_attempt(claim: c.Claim, run: Run) -> None:
    """Refuse what only a live attempt may do beside its commands: to stream.

    Raises:
        StaleAttempt: the claim is for an attempt that is not the run's current one.
        IllegalTransition: the current one is not at work.
    """
    _refuse_stale(claim, run)
    _require(run, SLOT_HOLDING, "stream")


def _dequeue(command: c.Dequeue, run: Run, at: datetime) -> Events:
    if run.status is not Status.QUEUED or run.due_at > at:
        raise _refused(run, "be dequeued", "it must be queued and due")
    taken = e.Dequeued(command.worker_id, run.attempt, run.fence + 1, command.lease_secs)
    return (taken, e.Attempted(run.attempt)) if command.start else (taken,)


# --- what further triggers do -------------------------------------------------------------------------


def is_open(run: Run, kind: WindowKind, key: str, at: datetime) -> bool:
    """Return whether the run gathers triggers of that kind and key at `at`: until it is due, fired or not."""
    window = run.window
    if window is None or run.status is not Status.DELAYED or run.due_at <= at:
        return False
    return (window.kind, window.key) == (kind, key)


def is_full(size: int, payload_bytes: int, max_size: int | None) -> bool:
    """Return whether a batch of `size` payloads takes no more."""
    return (max_size is not None and size >= max_size) or payload_bytes >= MAX_BATCH_BYTES


def _gather(command: c.GatherCommand, run: Run, at: datetime) -> Events:
    kind: WindowKind = "batch" if isinstance(command, c.AddToBatch) else "debounce"
    facts, window = command.facts, run.window
    if window is None or not is_open(run, kind, facts.admission.key, at):
        raise _refused(run, "gather triggers", f"it is in no open {kind} window of that key")
    if not isinstance(command, c.AddToBatch):
        return (command.facts,)
    batched = command.facts
    _limit({**(run.tags or {}), **(batched.tags or {})}, MAX_TAGS, "tags")
    _limit({**(run.metadata or {}), **(batched.metadata or {})}, MAX_METADATA_KEYS, "metadata keys")
    full = is_full(window.size + 1, window.bytes + batched.admission.payload_bytes, command.max_size)
    return (replace(batched, full=full),)


# --- what a worker says -------------------------------------------------------------------------------


def _work(command: c.WorkerCommand, run: Run, at: datetime) -> Events:
    if _is_repeated(command, run):
        return ()
    _refuse_stale(command.claim, run)
    match command:
        case c.Annotate():
            _limit({**(run.metadata or {}), **command.annotations}, MAX_METADATA_KEYS, "metadata keys")
            return (e.Annotated(command.annotations),)
        case c.Tag():
            return _tag(command, run)
        case c.ChangeMetadata():
            return _change_metadata(command, run)
        case c.Start():
            _require(run, {Status.DEQUEUED}, "start")
            return (e.Attempted(run.attempt),)
        case c.Release():
            _require(run, {Status.DEQUEUED, Status.EXECUTING}, "be released")
            return (e.Released(run.attempt, later(at, command.delay_secs), command.reason),)
        case c.Wait():
            _require(run, {Status.EXECUTING}, "wait")
            return (e.Waited("worker", reason=command.reason, until=command.until),)
        case c.WaitForEvent():
            _require(run, {Status.EXECUTING}, "wait for an event")
            return (
                e.Waited(
                    "event",
                    until=later(at, command.timeout_secs),
                    event_key=command.event_key,
                    trigger_id=command.trigger_id,
                    notify_url=command.notify_url,
                ),
            )
        case c.ResumeWork():
            _require(run, {Status.WAITING}, "go on")
            if run.wait is None or run.wait.kind != "worker":
                raise _refused(
                    run, "go on", "it waits for an event or a child, or for dependencies, which will queue it again"
                )
            return (e.Resumed("executing", "worker"),)
        case _:
            pass
    _require(run, _WORKING, _PHRASES.get(type(command), "be reported on"))
    if run.is_held:
        raise _refused(run, _PHRASES.get(type(command), "be reported on"), "its job's dependencies are not met yet")
    match command:
        case c.RecordDispatch():
            waited = whole_ms(run.dequeued_at - run.due_at) if run.dequeued_at else 0
            trace = replace(command.measured, queue_wait_ms=waited, total_ms=whole_ms(at - run.due_at))
            return (e.Dispatched(run.attempt, command.endpoint, trace, command.status_code, command.error_class),)
        case c.Checkpoint():
            return (e.Checkpointed(run.checkpoints + 1, command.state, command.source),)
        case c.Log():
            return (e.Logged(command.message, command.level, command.type, command.data),)
        case c.Progress():
            return (e.Progressed(command.percent, command.message, command.step, command.eta_seconds),)
        case c.RecordUsage():
            total = command.total_tokens
            return (
                e.UsageRecorded(
                    command.provider,
                    command.model,
                    command.prompt_tokens,
                    command.completion_tokens,
                    command.prompt_tokens + command.completion_tokens if total is None else total,
                    command.cost_microusd,
                ),
            )
        case c.CallTool():
            return (
                e.ToolCalled(command.tool_name, command.status, command.input, command.output, command.duration_ms),
            )
        case c.SetOutput():
            return (e.OutputSet(command.output_key, command.value, command.schema),)
        case c.SetState():
            return (e.StateSet(command.state_key, command.value),)
        case c.DeleteState():
            return (e.StateDeleted(command.state_key),)
        case c.Spawn():
            return _spawn(command, run, at)
        case c.Continue():
            if run.lineage_depth >= MAX_LINEAGE_DEPTH:
                raise LineageTooDeep(f"a chain of continuations has at most {MAX_LINEAGE_DEPTH} links")
            return (e.Continued(command.continuation_run_id),)
        case c.Complete():
            return (e.Completed(run.attempt, command.result, command.output_type),)
        case c.Fail():
            return _fail(command, run, at)


def _tag(command: c.Tag, run: Run) -> Events:
    tags = run.tags or {}
    if len({**tags, **command.tags}) > command.most:
        raise TooManyTags(f"a run has at most {command.most} tags, this would make it {len({**tags, **command.tags})}")
    return (e.Tagged(command.tags),)


def _change_metadata(command: c.ChangeMetadata, run: Run) -> Events:
    """What changes nothing is not recorded: a client that reports the same again does no harm."""
    before = run.metadata or {}
    after = applied(before, command.operations)
    if after == before:
        return ()
    if (size := size_of(after)) > MAX_METADATA_BYTES:
        raise Invalid(f"the metadata of a run has at most {MAX_METADATA_BYTES:,} bytes, this would make it {size:,}")
    return (e.MetadataChanged(command.operations),)


_PHRASES: dict[type, str] = {
    c.RecordDispatch: "be dispatched",
    c.Checkpoint: "be checkpointed",
    c.Spawn: "spawn a run",
    c.Continue: "be continued",
    c.Complete: "complete",
    c.Fail: "fail",
}


def _is_repeated(command: c.WorkerCommand, run: Run) -> bool:
    """Whether the very same report was heard before: the answer to it may have been lost."""
    claim = command.claim
    same_attempt = claim.attempt in (None, run.attempt) and claim.fence in (None, run.fence)
    match command:
        case c.Start():
            return run.status is Status.EXECUTING and same_attempt and claim != c.ANY_CLAIM
        case c.Complete():
            return run.status is Status.COMPLETED and same_attempt
        case c.Fail():
            # Another error than the last one heard is news from an attempt that is over: a timeout, say, came first.
            if command.error != run.error:
                return False
            if run.status in {Status.FAILED, Status.DEAD_LETTER}:
                return same_attempt
            # The failure moved the attempt on, but nobody has claimed the run since.
            moved_on = run.status is Status.QUEUED and claim.attempt == run.attempt - 1
            return moved_on and claim.fence in (None, run.fence)
        case c.Release():
            return run.status is Status.QUEUED and same_attempt and claim != c.ANY_CLAIM
        case c.Wait():
            wait = run.wait
            same_wait = wait is not None and (wait.kind, wait.until) == ("worker", command.until)
            return same_wait and same_attempt and claim != c.ANY_CLAIM
        case c.WaitForEvent():
            same_wait = run.wait is not None and run.wait.event_key == command.event_key
            return same_wait and same_attempt and claim != c.ANY_CLAIM
        case c.ResumeWork():
            # Only the claim itself tells the worker that went on from the next one that took the run.
            return run.status is Status.EXECUTING and same_attempt and claim.fence is not None
        case _:
            return False


def _refuse_stale(claim: c.Claim, run: Run) -> None:
    if claim.attempt is not None and claim.attempt != run.attempt:
        raise StaleAttempt(
            f"attempt {claim.attempt} is not the run's current one ({run.attempt}); stop working on it, "
            "nothing was changed"
        )
    if claim.fence is not None and claim.fence != run.fence:
        raise StaleAttempt("another worker has taken this attempt over; stop working on it, nothing was changed")


def _spawn(command: c.Spawn, run: Run, at: datetime) -> Events:
    spawned = e.Spawned(command.child_run_id, command.job_id)
    if not command.await_completion:
        return (spawned,)
    _require(run, {Status.EXECUTING}, "wait for a child")
    secs = command.await_timeout_secs
    until = None if secs is None else later(at, secs)
    return (spawned, e.Waited("child", until=until, child_run_id=command.child_run_id))


def _fail(command: c.Fail, run: Run, at: datetime) -> Events:
    if not command.retryable:
        return (e.Failed(run.attempt, command.error),)
    if run.attempt < run.policy.max_attempts:
        return (_retry(run, at, command.error, "error", command.jitter, command.retry_after_secs),)
    if may_become(run.status, Status.DEAD_LETTER):
        return (e.DeadLettered(run.attempt, command.error),)
    return (e.Failed(run.attempt, command.error),)


def _retry(
    run: Run, at: datetime, error: e.Failure, cause: e.FailureCause, jitter: float, after_secs: float | None = None
) -> e.Retried:
    secs = delay_secs(run.policy, run.attempt, jitter) if after_secs is None else after_secs
    return e.Retried(run.attempt, run.attempt + 1, later(at, secs), error, cause)


# --- what time does -----------------------------------------------------------------------------------


def _pass_time(command: c.TimerCommand, run: Run, at: datetime) -> Events:
    """Timers are raised by any number of schedulers: one that comes late, or twice, causes nothing."""
    match command:
        case c.Enqueue():
            return (e.Enqueued(),) if run.status is Status.DELAYED and run.due_at <= at else ()
        case c.Expire():
            waits = run.status in {Status.DELAYED, Status.QUEUED}
            return (e.Expired(),) if waits and run.expires_at is not None and run.expires_at <= at else ()
        case c.Crash():
            return _crash(command, run, at) if run.holds_slot and run.fence == command.fence else ()
        case c.TimeOut():
            if run.status is not Status.EXECUTING or run.timeout_at is None or run.timeout_at > at:
                return ()
            error = e.Failure("execution timed out", "Timeout")
            if run.attempt < run.policy.max_attempts:
                return (_retry(run, at, error, "timeout", command.jitter),)
            return (e.TimedOut(run.attempt, error),)
        case c.EndWait():
            wait = run.wait
            if run.status is not Status.WAITING or wait is None or wait.until is None or wait.until > at:
                return ()
            if wait.kind == "worker":
                return (e.Resumed("queued", "until"),)
            return (e.TimedOut(run.attempt, e.Failure(f"{_WAITS[wait.kind]} timed out", "Timeout")),)
        case c.MeetDependencies():
            return (e.Resumed("queued", "dependency"),) if run.is_held else ()
        case c.ChildEnded():
            wait = run.wait
            if run.status is not Status.WAITING or wait is None or wait.child_run_id != command.child_run_id:
                return ()
            payload = {
                "run_id": command.child_run_id,
                "status": command.child_status,
                "result": command.result,
            }
            return (
                e.EventReceived(f"run:{command.child_run_id}", payload),
                e.Resumed("queued", "child"),
            )
        case c.FailSystem():
            return (e.SystemFailed(command.error),) if run.holds_slot else ()


_WAITS = {"event": "event trigger", "child": "wait for the child run", "dependency": "wait for dependencies"}


def _crash(command: c.Crash, run: Run, at: datetime) -> Events:
    error = e.Failure("the worker was lost: its lease ran out", "LeaseLost")
    if run.attempt < run.policy.max_attempts:
        return (_retry(run, at, error, "crash", command.jitter),)
    if run.status is Status.EXECUTING:
        return (e.Crashed(run.attempt, error),)
    return (e.SystemFailed(error),)


# --- what somebody outside wants ----------------------------------------------------------------------


def _operate(command: c.OperatorCommand, run: Run, at: datetime) -> Events:
    match command:
        case c.Cancel():
            if not may_become(run.status, Status.CANCELED):
                raise _refused(run, "be canceled", "it has ended" if run.is_finished else "")
            return (e.Canceled(command.reason, command.by_parent),)
        case c.Pause():
            if run.status is Status.PAUSED:
                return ()
            _require(run, {Status.EXECUTING}, "be paused")
            return (e.Paused(command.reason),)
        case c.Resume():
            _require(run, {Status.PAUSED}, "be resumed")
            return (e.Resumed("queued", "request"),)
        case c.Restart():
            _require(run, {Status.EXECUTING, Status.PAUSED}, "be restarted")
            return (e.Restarted(command.machine_preset),)
        case c.Reschedule():
            _require(run, {Status.DELAYED} if command.delayed_only else _NOT_STARTED, "be rescheduled")
            return (e.Rescheduled(command.due_at, command.payload, command.replace_payload),)
        case c.Replay():
            if not command.any_status:
                _require(run, REPLAYABLE, "be replayed")
            return (e.Replayed(command.new_run_id),)
        case c.StageReplay():
            if run.status is Status.REPLAY_STAGED:
                return ()
            _require(run, {Status.DEAD_LETTER}, "be staged for a replay")
            return (e.ReplayStaged(),)
        case c.ReplayDeadLetter():
            _require(run, {Status.DEAD_LETTER, Status.REPLAY_STAGED}, "be replayed from the dead-letter queue")
            return (e.DeadLetterReplayed(run.round + 1),)
        case c.OpenStream():
            if command.claim is not None:
                require_live_attempt(command.claim, run)
            if command.stream_id in run.streams:
                return ()
            if run.is_finished:
                raise _refused(run, "be given a stream", "it has ended")
            if len(run.streams) >= MAX_STREAMS:
                raise Invalid(f"a run has at most {MAX_STREAMS} announced streams")
            return (e.StreamOpened(command.stream_id),)
        case c.ResetIdempotency():
            key = command.key or run.idempotency_key
            return () if key is None else (e.IdempotencyReset(key),)
        case c.SetDebug():
            return () if run.debug_mode == command.debug_mode else (e.DebugSet(command.debug_mode),)
        case c.ReceiveEvent():
            wait = run.wait
            if run.status is not Status.WAITING or wait is None or wait.event_key != command.event_key:
                raise _refused(run, "receive the event", "it does not wait for it")
            return (e.EventReceived(command.event_key, command.payload), e.Resumed("queued", "event"))


# --- refusals -----------------------------------------------------------------------------------------


def _require(run: Run, allowed: set[Status] | frozenset[Status], what: str) -> None:
    if run.status not in allowed:
        names = ", ".join(sorted(allowed))
        raise _refused(run, what, f"only a run that is {names} can")


def _refused(run: Run, what: str, why: str) -> IllegalTransition:
    reason = f": {why}" if why else ""
    return IllegalTransition(f"a run that is {run.status} cannot {what}{reason}", status=run.status)


def _limit(merged: Mapping[str, Any], most: int, what: str) -> None:
    if len(merged) > most:
        raise Invalid(f"a run has at most {most} {what}, this would make it {len(merged)}")
