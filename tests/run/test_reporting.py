"""What a worker reports on its way."""

import pytest

from runcord.errors import IllegalTransition, Invalid, LineageTooDeep, TooManyTags
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.commands import Claim
from runcord.run.metadata import MetadataOperation
from runcord.run.status import Status
from runcord.testing.scenario import given, history_to

CLAIM = Claim(attempt=1, fence=1)
EXECUTING = given(*history_to(Status.EXECUTING))


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (c.Checkpoint({"i": 1}, "mine", CLAIM), e.Checkpointed(1, {"i": 1}, "mine")),
        (c.Log("hi", "warn", "debug", [1], CLAIM), e.Logged("hi", "warn", "debug", [1])),
        (c.Progress(12.5, "on it", "two", 9, CLAIM), e.Progressed(12.5, "on it", "two", 9)),
        (c.Annotate({"a": "1"}, CLAIM), e.Annotated({"a": "1"})),
        (c.Tag({"a": "1"}, CLAIM), e.Tagged({"a": "1"})),
        (c.RecordUsage("p", "m", 3, 4, None, 5, CLAIM), e.UsageRecorded("p", "m", 3, 4, 7, 5)),
        (c.RecordUsage("p", "m", 3, 4, 9, 5, CLAIM), e.UsageRecorded("p", "m", 3, 4, 9, 5)),
        (c.RecordUsage("p", "m", 3, 4, 0, 5, CLAIM), e.UsageRecorded("p", "m", 3, 4, 0, 5)),
        (c.CallTool("t", "failed", 1, 2, 3, CLAIM), e.ToolCalled("t", "failed", 1, 2, 3)),
        (c.SetOutput("o", 1, {"type": "integer"}, CLAIM), e.OutputSet("o", 1, {"type": "integer"})),
        (c.SetState("k", None, CLAIM), e.StateSet("k", None)),
        (c.DeleteState("k", CLAIM), e.StateDeleted("k")),
        (c.Spawn("run_c", "job_c", claim=CLAIM), e.Spawned("run_c", "job_c")),
        (c.Continue("run_n", CLAIM), e.Continued("run_n")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_report_is_recorded_as_it_was_made_and_moves_nothing(command: c.Command, event: e.Event):
    run = EXECUTING.when(command).then(event).run
    assert run.status is Status.EXECUTING
    assert run.timeout_at == EXECUTING.run.timeout_at


def test_checkpoints_are_numbered_and_the_last_one_is_remembered():
    first = EXECUTING.when(c.Checkpoint("a")).then(e.Checkpointed(1, "a"))
    second = first.when(c.Checkpoint("b")).then(e.Checkpointed(2, "b"))
    assert (second.run.checkpoints, second.run.checkpoint_version) == (2, second.run.version)


def test_checkpoints_count_on_in_the_next_attempt():
    saved = EXECUTING.when(c.Checkpoint("a")).then_follows()
    again = saved.when(c.Fail(e.Failure("x"), retry_after_secs=0)).then_follows()
    again = again.when(c.Dequeue("w", 60, start=True)).then_follows()
    assert again.run.checkpoint_version == saved.run.version
    again.when(c.Checkpoint("b")).then(e.Checkpointed(2, "b"))


def test_metadata_is_merged_and_the_later_value_wins():
    run = (
        EXECUTING.when(c.Annotate({"a": "1", "b": "1"})).then_follows().when(c.Annotate({"b": "2"})).then_follows().run
    )
    assert run.metadata == {"a": "1", "b": "2"}


def test_tags_are_merged_and_the_later_value_wins():
    run = given(*history_to(Status.EXECUTING, tags={"a": "1"})).when(c.Tag({"a": "2", "b": "1"})).then_follows().run
    assert run.tags == {"a": "2", "b": "1"}


def test_a_run_has_at_most_twenty_tags():
    full = given(*history_to(Status.EXECUTING, tags={f"t{i}": "x" for i in range(20)}))
    full.when(c.Tag({"t0": "y"})).then(e.Tagged({"t0": "y"}))
    full.when(c.Tag({"new": "x"})).then_refused(TooManyTags, contains="20 tags, this would make it 21")


def test_whoever_adds_tags_may_allow_fewer():
    run = given(*history_to(Status.EXECUTING, tags={"a": "", "b": ""}))
    run.when(c.Tag({"c": ""}, most=3)).then(e.Tagged({"c": ""}))
    run.when(c.Tag({"c": ""}, most=2)).then_refused(TooManyTags, code="too_many_tags", contains="at most 2 tags")


def test_metadata_is_changed_by_operations_which_are_what_is_recorded():
    counted = (MetadataOperation("increment", "n", 2), MetadataOperation("append", "steps", "one"))
    run = EXECUTING.when(c.ChangeMetadata(counted)).then(e.MetadataChanged(counted))
    assert run.run.metadata == {"n": 2, "steps": ["one"]}
    replaced = (MetadataOperation("update", value={}),)
    assert run.when(c.ChangeMetadata(replaced)).then(e.MetadataChanged(replaced)).run.metadata is None


def test_operations_that_change_nothing_are_not_recorded():
    run = EXECUTING.when(c.Annotate({"a": "1"})).then_follows()
    run.when(c.ChangeMetadata((MetadataOperation("set", "a", "1"), MetadataOperation("delete", "b")))).then()


def test_metadata_has_at_most_256_kilobytes():
    large = (MetadataOperation("set", "a", "x" * (256 * 1024 - 8)),)
    full = EXECUTING.when(c.ChangeMetadata(large)).then(e.MetadataChanged(large))
    more = c.ChangeMetadata((MetadataOperation("set", "b", 1),))
    full.when(more).then_refused(Invalid, contains="262,144 bytes")


def test_a_run_has_at_most_256_metadata_keys():
    full = given(*history_to(Status.EXECUTING, metadata={f"m{i}": "x" for i in range(256)}))
    full.when(c.Annotate({"m0": "y"})).then_follows()
    full.when(c.Annotate({"new": "x"})).then_refused(Invalid, contains="256 metadata keys")


def test_a_chain_of_continuations_has_at_most_ten_links():
    given(*history_to(Status.EXECUTING, lineage_depth=9)).when(c.Continue("run_n")).then(e.Continued("run_n"))
    given(*history_to(Status.EXECUTING, lineage_depth=10)).when(c.Continue("run_n")).then_refused(
        LineageTooDeep, code="lineage_too_deep", contains="10"
    )


def test_a_run_remembers_what_it_handed_over_to():
    assert EXECUTING.when(c.Continue("run_n")).then_follows().run.continued_as == "run_n"


def test_completing_ends_the_run_and_forgets_the_errors_of_earlier_attempts():
    failed = EXECUTING.when(c.Fail(e.Failure("x"), retry_after_secs=0)).then_follows()
    again = failed.when(c.Dequeue("w", 60, start=True)).then_follows()
    assert again.run.error == e.Failure("x")
    run = again.when(c.Complete({"n": 1}, "report", Claim(2, 2)), at=99).then(e.Completed(2, {"n": 1}, "report")).run
    assert (run.status, run.error, run.output_type, run.attempt) == (Status.COMPLETED, None, "report", 2)
    assert (run.timeout_at, run.lease_secs, run.wait) == (None, None, None)


@pytest.mark.parametrize("claim", [CLAIM, Claim(attempt=1), Claim(fence=1), c.ANY_CLAIM])
def test_a_completion_that_is_repeated_changes_nothing(claim: Claim):
    done = EXECUTING.when(c.Complete(1)).then_follows()
    done.when(c.Complete(1, claim=claim)).then_nothing()


def test_the_message_of_a_refusal_says_which_statuses_would_do():
    given(*history_to(Status.QUEUED)).when(c.Checkpoint(1)).then_refused(
        IllegalTransition, contains="a run that is queued cannot be checkpointed: only a run that is executing, waiting"
    )
