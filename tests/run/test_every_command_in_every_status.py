"""The cross product of commands and statuses, against a table written from the specification.

`yes`: the command causes the events beside it. `-`: it is accepted and causes nothing, because it comes late or
its purpose is fulfilled already. `no`: it is refused. The run is as `history_to` leaves it, with a time to live and
an idempotency key; worker commands carry its present attempt and fence; two days have passed.
"""

from collections.abc import Callable, Iterator

import pytest

from runcord.errors import IllegalTransition
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.commands import Claim
from runcord.run.metadata import MetadataOperation
from runcord.run.retry import RetryPolicy
from runcord.run.status import TRANSITIONS, Status
from runcord.run.trace import ExecutionTrace
from runcord.run.trigger_events import Admission
from runcord.testing.scenario import FAILURE, given, history_to, moment, triggered

TWO_DAYS = moment(2 * 86400)

COLUMNS = "delayed queued dequeued executing waiting paused dead_letter replay_staged completed failed timed_out crashed system_failed canceled expired"  # noqa: E501

TABLE = """
                 | del que deq exe wai pau | dea rep | com fai tim cra sys can exp
Trigger          | no  no  no  no  no  no  | no  no  | no  no  no  no  no  no  no
Debounce         | no  no  no  no  no  no  | no  no  | no  no  no  no  no  no  no
Postpone         | no  no  no  no  no  no  | no  no  | no  no  no  no  no  no  no
AddToBatch       | no  no  no  no  no  no  | no  no  | no  no  no  no  no  no  no
Enqueue          | yes -   -   -   -   -   | -   -   | -   -   -   -   -   -   -
Dequeue          | no  yes no  no  no  no  | no  no  | no  no  no  no  no  no  no
DequeueAndStart  | no  yes no  no  no  no  | no  no  | no  no  no  no  no  no  no
Start            | no  no  yes -   no  no  | no  no  | no  no  no  no  no  no  no
RecordDispatch   | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
Checkpoint       | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
Log              | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
Progress         | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
ChangeMetadata   | yes yes yes yes yes yes | yes yes | yes yes yes yes yes yes yes
Annotate         | yes yes yes yes yes yes | yes yes | yes yes yes yes yes yes yes
Tag              | yes yes yes yes yes yes | yes yes | yes yes yes yes yes yes yes
RecordUsage      | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
CallTool         | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
SetOutput        | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
SetState         | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
DeleteState      | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
Wait             | no  no  no  yes no  no  | no  no  | no  no  no  no  no  no  no
WaitForEvent     | no  no  no  yes no  no  | no  no  | no  no  no  no  no  no  no
ResumeWork       | no  no  no  -   yes no  | no  no  | no  no  no  no  no  no  no
Spawn            | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
SpawnAndWait     | no  no  no  yes no  no  | no  no  | no  no  no  no  no  no  no
Continue         | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
Complete         | no  no  no  yes yes no  | no  no  | -   no  no  no  no  no  no
Fail             | no  no  no  yes yes no  | -   no  | no  -   no  no  no  no  no
FailForGood      | no  no  no  yes yes no  | no  no  | no  no  no  no  no  no  no
Release          | no  -   yes yes no  no  | no  no  | no  no  no  no  no  no  no
Crash            | -   -   yes yes -   -   | -   -   | -   -   -   -   -   -   -
TimeOut          | -   -   -   yes -   -   | -   -   | -   -   -   -   -   -   -
Expire           | yes yes -   -   -   -   | -   -   | -   -   -   -   -   -   -
EndWait          | -   -   -   -   yes -   | -   -   | -   -   -   -   -   -   -
MeetDependencies | -   -   -   -   -   -   | -   -   | -   -   -   -   -   -   -
ChildEnded       | -   -   -   -   -   -   | -   -   | -   -   -   -   -   -   -
FailSystem       | -   -   yes yes -   -   | -   -   | -   -   -   -   -   -   -
Cancel           | yes yes yes yes yes yes | no  yes | no  no  no  no  no  no  no
Pause            | no  no  no  yes no  -   | no  no  | no  no  no  no  no  no  no
Resume           | no  no  no  no  no  yes | no  no  | no  no  no  no  no  no  no
Restart          | no  no  no  yes no  yes | no  no  | no  no  no  no  no  no  no
Reschedule       | yes yes no  no  no  no  | no  no  | no  no  no  no  no  no  no
Replay           | no  no  no  no  no  no  | yes no  | yes yes yes yes yes yes yes
StageReplay      | no  no  no  no  no  no  | yes -   | no  no  no  no  no  no  no
ReplayDeadLetter | no  no  no  no  no  no  | yes yes | no  no  no  no  no  no  no
OpenStream       | yes yes yes yes yes yes | no  yes | no  no  no  no  no  no  no
ResetIdempotency | yes yes yes yes yes yes | yes yes | yes yes yes yes yes yes yes
SetDebug         | yes yes yes yes yes yes | yes yes | yes yes yes yes yes yes yes
ReceiveEvent     | no  no  no  no  no  no  | no  no  | no  no  no  no  no  no  no
"""

# How to ask for it, and the types of the events that `yes` stands for.
COMMANDS: dict[str, tuple[Callable[[Claim], c.Command], tuple[type, ...]]] = {
    "Trigger": (lambda _: c.Trigger(triggered()), ()),
    "Debounce": (lambda _: c.Debounce(e.Debounced(moment(60), 1, RetryPolicy(), Admission("debounce"))), ()),
    "Postpone": (lambda _: c.Postpone(e.Postponed(moment(60), Admission("debounce"))), ()),
    "AddToBatch": (lambda _: c.AddToBatch(e.Batched(Admission("batch"))), ()),
    "Enqueue": (lambda _: c.Enqueue(), (e.Enqueued,)),
    "Dequeue": (lambda _: c.Dequeue("worker-2", 60), (e.Dequeued,)),
    "DequeueAndStart": (lambda _: c.Dequeue("worker-2", 60, start=True), (e.Dequeued, e.Attempted)),
    "Start": (c.Start, (e.Attempted,)),
    "RecordDispatch": (lambda claim: c.RecordDispatch("primary", ExecutionTrace(), 200, claim=claim), (e.Dispatched,)),
    "Checkpoint": (lambda claim: c.Checkpoint({"at": 1}, claim=claim), (e.Checkpointed,)),
    "Log": (lambda claim: c.Log("hello", claim=claim), (e.Logged,)),
    "Progress": (lambda claim: c.Progress(50, claim=claim), (e.Progressed,)),
    "ChangeMetadata": (
        lambda claim: c.ChangeMetadata((MetadataOperation("set", "a", 1),), claim=claim),
        (e.MetadataChanged,),
    ),
    "Annotate": (lambda claim: c.Annotate({"a": "b"}, claim=claim), (e.Annotated,)),
    "Tag": (lambda claim: c.Tag({"a": "b"}, claim=claim), (e.Tagged,)),
    "RecordUsage": (lambda claim: c.RecordUsage("openai", "gpt", claim=claim), (e.UsageRecorded,)),
    "CallTool": (lambda claim: c.CallTool("search", claim=claim), (e.ToolCalled,)),
    "SetOutput": (lambda claim: c.SetOutput("report", 1, claim=claim), (e.OutputSet,)),
    "SetState": (lambda claim: c.SetState("key", 1, claim=claim), (e.StateSet,)),
    "DeleteState": (lambda claim: c.DeleteState("key", claim=claim), (e.StateDeleted,)),
    "Wait": (lambda claim: c.Wait(claim=claim), (e.Waited,)),
    "WaitForEvent": (lambda claim: c.WaitForEvent("paid", "trg_1", claim=claim), (e.Waited,)),
    "ResumeWork": (c.ResumeWork, (e.Resumed,)),
    "Spawn": (lambda claim: c.Spawn("run_child", "job_child", claim=claim), (e.Spawned,)),
    "SpawnAndWait": (
        lambda claim: c.Spawn("run_child", "job_child", await_completion=True, claim=claim),
        (e.Spawned, e.Waited),
    ),
    "Continue": (lambda claim: c.Continue("run_next", claim=claim), (e.Continued,)),
    "Complete": (lambda claim: c.Complete(claim=claim), (e.Completed,)),
    "Fail": (lambda claim: c.Fail(FAILURE, claim=claim), (e.Retried,)),
    "FailForGood": (lambda claim: c.Fail(e.Failure("other"), retryable=False, claim=claim), (e.Failed,)),
    "Release": (lambda claim: c.Release(claim=claim), (e.Released,)),
    "Crash": (lambda claim: c.Crash(claim.fence or 0), (e.Retried,)),
    "TimeOut": (lambda _: c.TimeOut(), (e.Retried,)),
    "Expire": (lambda _: c.Expire(), (e.Expired,)),
    "EndWait": (lambda _: c.EndWait(), (e.Resumed,)),
    "MeetDependencies": (lambda _: c.MeetDependencies(), ()),
    "ChildEnded": (lambda _: c.ChildEnded("run_child", "completed"), ()),
    "FailSystem": (lambda _: c.FailSystem(FAILURE), (e.SystemFailed,)),
    "Cancel": (lambda _: c.Cancel(), (e.Canceled,)),
    "Pause": (lambda _: c.Pause(), (e.Paused,)),
    "Resume": (lambda _: c.Resume(), (e.Resumed,)),
    "Restart": (lambda _: c.Restart(), (e.Restarted,)),
    "OpenStream": (lambda _: c.OpenStream("tokens"), (e.StreamOpened,)),
    "Reschedule": (lambda _: c.Reschedule(moment(3 * 86400)), (e.Rescheduled,)),
    "Replay": (lambda _: c.Replay("run_again"), (e.Replayed,)),
    "StageReplay": (lambda _: c.StageReplay(), (e.ReplayStaged,)),
    "ReplayDeadLetter": (lambda _: c.ReplayDeadLetter(), (e.DeadLetterReplayed,)),
    "ResetIdempotency": (lambda _: c.ResetIdempotency(), (e.IdempotencyReset,)),
    "SetDebug": (lambda _: c.SetDebug(True), (e.DebugSet,)),
    "ReceiveEvent": (lambda _: c.ReceiveEvent("paid"), ()),
}


def cells() -> Iterator[tuple[str, Status, str]]:
    for line in TABLE.strip().splitlines()[1:]:
        name, *outcomes = line.replace("|", " ").split()
        for status, outcome in zip(COLUMNS.split(), outcomes, strict=True):
            yield name, Status(status), outcome


@pytest.mark.parametrize(("name", "status", "outcome"), list(cells()))
def test_the_command_does_in_the_status_what_the_table_says(name: str, status: Status, outcome: str):
    before = given(*history_to(status, ttl_secs=3600, idempotency_key="key"))
    make, expected = COMMANDS[name]
    when = before.when(make(Claim(before.run.attempt, before.run.fence)), at=TWO_DAYS)
    if outcome == "no":
        when.then_refused(IllegalTransition, code="illegal_transition", contains=str(status))
    elif outcome == "-":
        when.then_nothing()
    else:
        assert when.refusal is None
        assert tuple(type(event) for event in when.events) == expected


def test_the_table_has_every_command():
    spoken_of = {type(make(c.ANY_CLAIM)) for make, _ in COMMANDS.values()}
    assert spoken_of == set(c.Command.__args__)
    assert set(COMMANDS) == {name for name, _, _ in cells()}


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_but_a_trigger_can_happen_to_a_run_that_is_not_there(name: str):
    make, _ = COMMANDS[name]
    if name == "Trigger":
        given().when(make(c.ANY_CLAIM)).then(triggered())
    else:
        given().when(make(c.ANY_CLAIM)).then_refused(IllegalTransition, contains="triggered before")


def test_every_row_of_the_transition_table_is_reached_by_some_command():
    reached: set[tuple[Status, Status]] = set()
    once = {"policy": RetryPolicy(max_attempts=1)}
    for facts in ({}, once):
        for name, status, outcome in cells():
            before = given(*history_to(status, ttl_secs=3600, idempotency_key="key", **facts))
            for at in (TWO_DAYS, moment(10)):
                when = before.when(COMMANDS[name][0](Claim(1, before.run.fence)), at=at)
                if outcome != "yes" or when.refusal or not when.events:
                    continue
                after = before
                for event in when.events:
                    here = after.run.status
                    after = after.followed_by((event,), at)
                    if after.run.status is not here:
                        reached.add((here, after.run.status))
    # The one transition that needs a wait of another kind than a worker's.
    waits = given(*history_to(Status.EXECUTING)).when(c.WaitForEvent("paid", "trg_1")).then_follows()
    ended = waits.when(c.EndWait(), at=TWO_DAYS).then_follows()
    reached.add((waits.run.status, ended.run.status))
    assert reached == {(a, b) for a, following in TRANSITIONS.items() for b in following}
