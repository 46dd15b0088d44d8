"""A run driven through random commands, right and wrong ones, held against what must hold for every run.

After each command: it was refused and the run is unchanged, or each single event moved it along the transition
table; versions have no hole; attempts stay within the policy; every claim has a higher fence; the terminal stays
terminal. At the end: folding the whole history, in one go or through a stored snapshot at any point, gives the
same run in the same bytes.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runcord.errors import RuncordError
from runcord.ledger.mapper import Codec, decode, encode
from runcord.recorded import Recorded
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.commands import Claim
from runcord.run.evolve import evolve, evolve_all
from runcord.run.metadata import MetadataOperation
from runcord.run.retry import RetryPolicy
from runcord.run.state import Run
from runcord.run.status import FINISHED, TERMINAL, TRANSITIONS, Status
from runcord.testing.scenario import START, Given, triggered

RUNS = Codec(Run)

seconds = st.one_of(st.integers(0, 200), st.floats(0, 200, allow_nan=False).map(lambda s: round(s, 3)))
jitters = st.floats(0, 1, exclude_max=True)
json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
short = st.text("abc", min_size=1, max_size=2)
labels = st.dictionaries(short, short, max_size=3)
failures = st.builds(e.Failure, short, st.none() | short, st.none(), json)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 4),
    timeout_secs=seconds,
    strategy=st.sampled_from(["exponential", "linear", "fixed", "custom"]),
    initial_delay_secs=seconds,
    max_delay_secs=seconds,
    delays_secs=st.lists(seconds, max_size=3).map(tuple),
)

operations = st.builds(
    MetadataOperation,
    st.sampled_from(["set", "delete", "append", "remove", "increment"]),
    st.sampled_from(["a", "b", "$.a.b", "$.a[0]", "$.c"]),
    json | st.integers(0, 3),
) | st.builds(MetadataOperation, st.just("update"), st.none(), labels)

PLAIN_REPORTS = (
    st.builds(c.Checkpoint, json),
    st.builds(c.Log, short, data=json),
    st.builds(c.Progress, st.integers(0, 100) | st.floats(0, 100)),
    st.builds(c.Annotate, labels),
    st.builds(c.Tag, labels),
    st.builds(c.ChangeMetadata, st.lists(operations, max_size=3).map(tuple)),
    st.builds(c.RecordUsage, short, short, st.integers(0, 9)),
    st.builds(c.CallTool, short),
    st.builds(c.SetOutput, short, json),
    st.builds(c.SetState, short, json),
    st.builds(c.DeleteState, short),
    st.builds(c.Continue, short),
)


class RunMachine(RuleBasedStateMachine):
    """One run and everything that may be asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.past = Given()
        self.now = START

    # --- how the world acts ---------------------------------------------------------------------------

    @initialize(
        policy=policies, due=st.none() | seconds, ttl=st.none() | seconds, tags=st.none() | labels, payload=json
    )
    def trigger(self, policy: RetryPolicy, due: float | None, ttl: float | None, tags: Any, payload: Any) -> None:
        due_at = None if due is None else START + timedelta(seconds=due)
        facts = triggered(policy=policy, due_at=due_at, ttl_secs=ttl, tags=tags, payload=payload, idempotency_key="key")
        self.ask(c.Trigger(facts))

    @rule(secs=st.sampled_from([0, 0.001, 1, 10, 100, 1000]))
    def time_passes(self, secs: float) -> None:
        self.now += timedelta(seconds=secs)

    @rule(lease=seconds, start=st.booleans())
    def take(self, lease: float, start: bool) -> None:
        self.now = max(self.now, self.past.run.due_at)
        self.ask(c.Enqueue())
        self.ask(c.Dequeue("worker", lease, start))

    @rule(data=st.data(), report=st.one_of(*PLAIN_REPORTS))
    def report(self, data: st.DataObject, report: c.Command) -> None:
        self.ask(replace(report, claim=self.claim(data)))

    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        self.ask(c.Start(self.claim(data)))

    @rule(data=st.data(), until=st.none() | seconds)
    def wait(self, data: st.DataObject, until: float | None) -> None:
        self.ask(c.Wait("because", None if until is None else self.now + timedelta(seconds=until), self.claim(data)))

    @rule(data=st.data(), key=short, secs=seconds)
    def wait_for_event(self, data: st.DataObject, key: str, secs: float) -> None:
        self.ask(c.WaitForEvent(key, "trg_1", secs, claim=self.claim(data)))

    @rule(data=st.data(), child=short, awaits=st.booleans(), secs=st.none() | seconds)
    def spawn(self, data: st.DataObject, child: str, awaits: bool, secs: float | None) -> None:
        self.ask(c.Spawn(child, "job_child", awaits, secs, self.claim(data)))

    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        self.ask(c.ResumeWork(self.claim(data)))

    @rule(data=st.data(), result=json)
    def complete(self, data: st.DataObject, result: Any) -> None:
        self.ask(c.Complete(result, claim=self.claim(data)))

    @rule(data=st.data(), error=failures, retryable=st.booleans(), after=st.none() | seconds, jitter=jitters)
    def fail(self, data: st.DataObject, error: e.Failure, retryable: bool, after: float | None, jitter: float) -> None:
        self.ask(c.Fail(error, retryable, after, jitter, self.claim(data)))

    @rule(data=st.data(), secs=seconds)
    def release(self, data: st.DataObject, secs: float) -> None:
        self.ask(c.Release(None, secs, self.claim(data)))

    @precondition(lambda self: self.past.run.wait is not None)
    @rule(payload=json)
    def what_was_awaited_comes(self, payload: Any) -> None:
        wait = self.past.run.wait
        assert wait is not None
        if wait.event_key is not None:
            self.ask(c.ReceiveEvent(wait.event_key, payload))
        elif wait.child_run_id is not None:
            self.ask(c.ChildEnded(wait.child_run_id, "completed", payload))
        else:
            self.now = max(self.now, wait.until or self.now)
            self.ask(c.EndWait())

    @rule(data=st.data(), jitter=jitters, fence=st.integers(-1, 0))
    def a_timer_rings(self, data: st.DataObject, jitter: float, fence: int) -> None:
        self.claim(data)
        for timer in (
            c.Enqueue(),
            c.Expire(),
            c.EndWait(),
            c.TimeOut(jitter),
            c.Crash(self.past.run.fence + fence, jitter),
        ):
            self.ask(timer)

    @rule(
        data=st.data(),
        command=st.sampled_from(
            [
                c.Cancel(),
                c.Resume(),
                c.Replay("run_again"),
                c.StageReplay(),
                c.ReplayDeadLetter(),
                c.ResetIdempotency(),
                c.SetDebug(True),
                c.SetDebug(False),
                c.ReceiveEvent("a"),
                c.ChildEnded("a", "failed"),
                c.FailSystem(e.Failure("x")),
                c.Trigger(triggered()),
            ]
        ),
    )
    def operate(self, data: st.DataObject, command: c.Command) -> None:
        if data.draw(st.booleans()):
            self.bring_to_work(start=data.draw(st.booleans()))
        self.ask(command)

    @rule(command=st.sampled_from([c.Pause(), c.Restart("micro"), c.Restart()]), resumes=st.booleans())
    def interrupt(self, command: c.Command, resumes: bool) -> None:
        self.bring_to_work(start=True)
        self.ask(command)
        if resumes:
            self.ask(c.Resume())

    @rule(secs=st.integers(-100, 100), payload=json, replaces=st.booleans())
    def reschedule(self, secs: int, payload: Any, replaces: bool) -> None:
        self.ask(c.Reschedule(self.now + timedelta(seconds=secs), payload if replaces else None, replaces))

    def bring_to_work(self, *, start: bool) -> None:
        """Ask for what leads into a worker's hands from wherever the run is, so that lives get long."""
        if self.past.run.status is Status.DELAYED:
            self.now = max(self.now, self.past.run.due_at)
            self.ask(c.Enqueue())
        if self.past.run.status is Status.PAUSED:
            self.ask(c.Resume())
        if self.past.run.status in {Status.DEAD_LETTER, Status.REPLAY_STAGED}:
            self.ask(c.ReplayDeadLetter())
        if self.past.run.status is Status.QUEUED:
            self.now = max(self.now, self.past.run.due_at)
            self.ask(c.Dequeue("worker", 60, start))

    def claim(self, data: st.DataObject) -> Claim:
        """Return mostly the right claim of a run at work, sometimes less or a wrong one, or leave the run at rest."""
        if data.draw(st.sampled_from([True, True, True, False])):
            self.bring_to_work(start=data.draw(st.sampled_from([True, True, True, False])))
        run = self.past.run
        right = Claim(run.attempt, run.fence)
        others = [Claim(), Claim(run.attempt), Claim(run.attempt - 1, run.fence), Claim(run.attempt, run.fence - 1)]
        return data.draw(st.sampled_from([right] * 6 + others))

    # --- what must hold -------------------------------------------------------------------------------

    def ask(self, command: c.Command) -> None:
        before = self.past
        state_before = None if not before.history else RUNS.encode(before.run)
        when = before.when(command, at=self.now)
        note(f"{self.now:%H:%M:%S.%f} {command} -> {when.refusal or when.events}")
        if when.refusal is not None:
            assert isinstance(when.refusal, RuncordError)
            assert not when.events
        else:
            for event in when.events:
                self.past = self.past.followed_by((event,), self.now)
                self.check_step(before=None if len(self.past.history) == 1 else self.last_run, event=event)
                self.last_run = self.past.run
        if state_before is not None:
            assert RUNS.encode(before.run) == state_before, "deciding or folding changed a run in place"

    def check_step(self, before: Run | None, event: e.Event) -> None:
        after = self.past.run
        assert after.version == len(self.past.history)
        if before is None:
            assert after.status in {Status.DELAYED, Status.QUEUED}
            return
        assert after.status is before.status or after.status in TRANSITIONS[before.status], (before.status, event)
        if before.status in TERMINAL:
            assert after.status is before.status
            assert after.finished_at == before.finished_at
        if isinstance(event, e.Dequeued):
            assert after.fence == event.fence == before.fence + 1
        else:
            assert after.fence == before.fence
        if isinstance(event, e.DeadLetterReplayed):
            assert (after.attempt, after.round) == (1, before.round + 1)
        else:
            assert after.round == before.round
            assert after.attempt - before.attempt == isinstance(event, e.Retried)

    @invariant()
    def the_run_is_in_order(self) -> None:
        run = self.past.run
        assert 1 <= run.attempt <= run.policy.max_attempts
        assert (run.finished_at is not None) == (run.status in FINISHED)
        assert (run.wait is not None) == (run.status is Status.WAITING)
        assert (run.timeout_at is not None) == (run.status is Status.EXECUTING)
        assert (run.started_at is not None) <= (run.dequeued_at is not None)
        if run.holds_slot:
            assert run.worker_id is not None
            assert run.lease_secs is not None
        if run.status in {Status.DELAYED, Status.QUEUED}:
            assert (run.worker_id, run.lease_secs, run.dequeued_at, run.started_at) == (None,) * 4
        else:
            assert run.expires_at is None
            assert run.next_retry_at is None
        if run.expires_at is not None:
            assert run.expires_at >= run.due_at
        if run.status is Status.COMPLETED:
            assert run.error is None

    def teardown(self) -> None:
        if not self.past.history:
            return
        history = self.past.history
        whole = self.past.run
        stored = RUNS.encode(whole)
        assert RUNS.encode(RUNS.decode(stored)) == stored
        assert evolve_all(None, history) == whole
        reread = tuple(restored(history))
        assert [recorded.event for recorded in reread] == [recorded.event for recorded in history]
        run: Run | None = None
        for recorded in reread:
            # A snapshot after every event: the strictest way to fold through snapshots.
            run = evolve(None if run is None else RUNS.decode(RUNS.encode(run)), recorded)
        assert run == whole
        assert RUNS.encode(run) == stored


def restored(history: tuple[Recorded[Any], ...]) -> Iterator[Recorded[Any]]:
    """Yield the history as it is read back from stored bytes."""
    for recorded in history:
        yield Recorded(
            recorded.stream_id,
            recorded.version,
            recorded.position,
            recorded.at,
            recorded.event_id,
            recorded.metadata,
            decode(recorded.event.TYPE, encode(recorded.event)),
        )


TestRunMachine = RunMachine.TestCase
