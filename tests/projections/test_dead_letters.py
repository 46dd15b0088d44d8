"""Dead letters: an entry for each round, and like errors together."""

from datetime import timedelta

import pytest
from tests.projections.story import Story

from runcord.run import events as e
from runcord.run.events import Failure
from runcord.testing.scenario import START, triggered
from runcord_projections.dead_letters.projection import FAILURES, PROJECTION, DeadLetter, fingerprint

FIRST, SECOND = Failure("no route", "OSError"), Failure("boom", "ValueError", "a stack", {"n": 1})
ID = "run_0123456789abcdefghijklmnop"


def entries(story: Story) -> list[DeadLetter]:
    return [row for _, row in sorted(story.rows(PROJECTION).items())]


def attempt(story: Story, number: int, *end: object, fence: int = 1) -> Story:
    return story.happens("run_1", e.Dequeued("w", number, fence, 60), e.Attempted(number), *end)


def retried(number: int, error: Failure) -> e.Retried:
    return e.Retried(number, number + 1, START, error)


def test_an_entry_tells_the_first_and_the_last_error_of_a_round() -> None:
    story = Story().happens("run_1", triggered())
    attempt(story, 1, retried(1, FIRST))
    attempt(story, 2, e.DeadLettered(2, SECOND))
    [entry] = entries(story)
    assert (entry.run_id, entry.round, entry.position, entry.dead_at) == ("run_1", 1, 7, START + timedelta(seconds=7))
    assert (entry.attempts, entry.left_position, entry.replayed_as) == (2, None, None)
    assert [FAILURES.decode(error) for error in (entry.first_error, entry.last_error)] == [FIRST, SECOND]
    assert entry.fingerprint == fingerprint(SECOND)


def test_a_run_of_one_attempt_has_one_error() -> None:
    story = attempt(Story().happens("run_1", triggered()), 1, e.DeadLettered(1, FIRST))
    assert [(entry.attempts, entry.first_error == entry.last_error) for entry in entries(story)] == [(1, True)]


@pytest.mark.parametrize(
    "end", [e.Completed(2), e.Failed(2, FIRST), e.TimedOut(2, FIRST), e.Crashed(2, FIRST), e.Canceled("no")]
)
def test_a_round_that_ends_otherwise_leaves_nothing(end: object) -> None:
    story = attempt(Story().happens("run_1", triggered()), 1, retried(1, FIRST))
    assert [entry.position for entry in entries(story)] == [None]
    assert entries(attempt(story, 2, end)) == []


def test_a_dead_letter_that_is_requeued_and_dies_again_has_two_entries() -> None:
    story = attempt(Story().happens("run_1", triggered()), 1, e.DeadLettered(1, FIRST))
    story.happens("run_1", e.ReplayStaged(), e.DeadLetterReplayed(2))
    attempt(story, 1, retried(1, SECOND))
    attempt(story, 2, e.DeadLettered(2, SECOND))
    first, second = entries(story)
    assert (first.round, first.position, first.left_position, first.attempts) == (1, 4, 5, 1)
    assert (second.round, second.position, second.left_position, second.attempts) == (2, 12, None, 2)
    assert FAILURES.decode(second.first_error) == SECOND


def test_an_entry_stays_when_the_next_round_ends_well() -> None:
    story = attempt(Story().happens("run_1", triggered()), 1, e.DeadLettered(1, FIRST))
    story.happens("run_1", e.DeadLetterReplayed(2))
    attempt(story, 1, retried(1, FIRST))
    attempt(story, 2, e.Completed(2))
    assert [(entry.round, entry.left_position) for entry in entries(story)] == [(1, 5)]


def test_an_entry_names_the_runs_that_were_made_from_it() -> None:
    story = attempt(Story().happens("run_1", triggered()), 1, e.DeadLettered(1, FIRST))
    story.happens("run_1", e.Replayed("run_2"), e.Replayed("run_3"))
    [entry] = entries(story)
    assert (entry.replays, entry.replay_positions, entry.replayed_as) == (("run_2", "run_3"), (5, 6), "run_3")
    assert entry.left_position is None


def test_a_staged_dead_letter_that_is_canceled_has_left() -> None:
    story = attempt(Story().happens("run_1", triggered()), 1, e.DeadLettered(1, FIRST))
    story.happens("run_1", e.ReplayStaged(), e.Canceled("no"))
    assert [entry.left_position for entry in entries(story)] == [5]


@pytest.mark.parametrize(
    "messages",
    [
        (f"timeout after 31 s for {ID}", f"timeout after 32 s for {ID.replace('0', 'a')}"),
        ("at 0x7f3a2b", "at 0xdeadbeef"),
        ("commit 9c1185a5c5e9fc54", "commit 0a0b0c0d0e0f0a0b"),
        ("job 6f1f6e5e-4b5b-4d3c-9a55-0f0e0d0c0b0a", "job 01234567-89ab-cdef-0123-456789abcdef"),
        ("no file 'a.txt'", "no file 'b.txt'"),
        ("can't open 'a.txt'", "can't open 'b.txt'"),
        ('no key "x y"', 'no key ""'),
        ("took 1.5s", "took 12s"),
        ("  boom\nline 2", "boom\nanother line 2"),
    ],
)
def test_like_failures_have_the_same_fingerprint(messages: tuple[str, str]) -> None:
    one, other = (fingerprint(Failure(message, "OSError")) for message in messages)
    assert one == other
    assert len(one) == 16


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Failure(f"timeout after 31 s for {ID}"), Failure(f"timeout before 31 s for {ID}")),
        (Failure(f"timeout after 31 s for {ID}"), Failure(f"timeout after 31 s for {ID} again")),
        (Failure("boom", "OSError"), Failure("boom", "ValueError")),
        (Failure("boom", "OSError"), Failure("boom")),
        (Failure("can't open it"), Failure("can't close it")),
        (Failure("it's John's"), Failure("it was John's")),
        (Failure(""), Failure("x")),
    ],
)
def test_other_failures_have_another_fingerprint(one: Failure, other: Failure) -> None:
    assert fingerprint(one) != fingerprint(other)
