"""Job statistics: everything is counted once, in its hour, and percentiles are as exact as they promise."""

import itertools
import math
import random
from datetime import datetime, timedelta

import pytest
from tests.projections.story import Story

from runcord.run import events as e
from runcord.testing.scenario import FAILURE, JOB_ID, START, triggered
from runcord_projections.job_statistics.durations import bucket_of, count, middle_of, percentile
from runcord_projections.job_statistics.projection import PROJECTION, JobHour

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def hours(story: Story) -> list[JobHour]:
    return [row for _, row in sorted(story.rows(PROJECTION).items())]


def claimed(story: Story, run_id: str, at: datetime, number: int = 1) -> Story:
    return story.happens(run_id, e.Dequeued("w", number, number, 60), e.Attempted(number), at=at)


def test_everything_is_counted_in_the_hour_in_which_it_happened() -> None:
    story = Story().happens("run_1", triggered(), at=START + 59 * timedelta(minutes=1))
    claimed(story, "run_1", START + HOUR + SECOND).happens("run_1", e.Completed(1), at=START + 2 * HOUR + SECOND)
    first, second, third = hours(story)
    assert [hour.hour for hour in (first, second, third)] == [START, START + HOUR, START + 2 * HOUR]
    assert (first.triggered, second.attempts, third.completed) == (1, 1, 1)
    assert (sum(first.wait_counts), sum(second.wait_counts), sum(third.work_counts)) == (0, 1, 1)
    assert percentile(second.wait_counts, 50) == pytest.approx(61_000, rel=1 / 32)
    assert percentile(third.work_counts, 50) == pytest.approx(3_600_000, rel=1 / 32)


def test_runs_are_counted_by_how_they_ended() -> None:
    story = Story()
    ends = [e.Completed(1), e.Failed(1, FAILURE), e.TimedOut(1, FAILURE), e.Crashed(1, FAILURE)]
    for number, end in enumerate([*ends, e.SystemFailed(FAILURE), e.DeadLettered(1, FAILURE), e.Canceled("no")]):
        run_id = f"run_{number}"
        story.happens(run_id, triggered(), at=START)
        claimed(story, run_id, START).happens(run_id, end, at=START + number * SECOND)
    story.happens("run_late", triggered(ttl_secs=1), e.Expired(), at=START)
    [hour] = hours(story)
    assert hour[:8] == (JOB_ID, START, 8, 7, 1, 5, 1, 1)
    assert sum(hour.work_counts) == 7


def test_a_dead_letter_that_ends_again_counts_again() -> None:
    story = claimed(Story().happens("run_1", triggered(), at=START), "run_1", START)
    story.happens("run_1", e.DeadLettered(1, FAILURE), e.DeadLetterReplayed(2), at=START)
    claimed(story, "run_1", START).happens("run_1", e.Completed(1), at=START)
    [hour] = hours(story)
    assert (hour.triggered, hour.attempts, hour.completed, hour.failed) == (1, 2, 1, 1)


def test_what_is_over_is_no_work() -> None:
    story = claimed(Story().happens("run_1", triggered(), at=START), "run_1", START)
    story.happens("run_1", e.Paused(), at=START + SECOND).happens("run_1", e.Canceled("no"), at=START + 50 * SECOND)
    claimed(story.happens("run_2", triggered(), at=START), "run_2", START)
    story.happens("run_2", e.DeadLettered(1, FAILURE), at=START + 3 * SECOND)
    story.happens("run_2", e.ReplayStaged(), e.Canceled("no"), at=START + 50 * SECOND)
    [hour] = hours(story)
    assert (sum(hour.work_counts), percentile(hour.work_counts, 99)) == (1, pytest.approx(3_000, rel=1 / 32))


def test_the_wait_of_a_retry_begins_when_it_is_due() -> None:
    story = claimed(Story().happens("run_1", triggered(), at=START), "run_1", START)
    story.happens("run_1", e.Retried(1, 2, START + 10 * SECOND, FAILURE), at=START + SECOND)
    claimed(story, "run_1", START + 14 * SECOND, 2)
    [hour] = hours(story)
    assert [percentile(hour.wait_counts, 50), percentile(hour.wait_counts, 99)] == [0, pytest.approx(4_000, rel=1 / 32)]


def test_cost_and_tokens_are_summed_exactly() -> None:
    story = Story().happens("run_1", triggered(), at=START)
    story.happens("run_1", *(e.UsageRecorded("p", "m", 1, 2, 3, 10**12 + 1) for _ in range(1000)), at=START)
    [hour] = hours(story)
    assert (hour.cost_microusd, hour.tokens) == (1000 * (10**12 + 1), 3000)


@pytest.mark.parametrize("highest", [1, 31, 40, 1_000, 10**5, 10**9])
def test_percentiles_are_off_by_no_more_than_they_promise(highest: int) -> None:
    chance = random.Random(highest)
    for size in (1, 2, 3, 19, 20, 100, 1_000):
        exact = sorted(highest ** chance.random() if highest > 1 else chance.random() for _ in range(size))
        counts: list[int] = []
        for ms in exact:
            count(counts, timedelta(milliseconds=ms))
        for percent in (1, 50, 95, 99, 100):
            wanted = exact[max(1, math.ceil(percent * size / 100)) - 1]
            found = percentile(counts, percent)
            assert found is not None
            assert abs(found - wanted) < max(1, wanted / 32 + 0.001)


def test_each_duration_lies_in_one_bucket_and_buckets_follow_each_other() -> None:
    places = [bucket_of(timedelta(milliseconds=ms)) for ms in range(70_000)]
    assert places[:33] == list(range(33))
    assert all(0 <= later - earlier <= 1 for earlier, later in itertools.pairwise(places))
    assert bucket_of(timedelta(seconds=-1)) == 0
    assert middle_of(bucket_of(timedelta(days=3650))) == pytest.approx(3650 * 86_400_000, rel=1 / 32)


def test_nothing_counted_has_no_percentile() -> None:
    assert percentile([], 50) is None
    assert percentile([0, 0], 50) is None
