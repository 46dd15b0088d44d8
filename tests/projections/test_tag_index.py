"""The tag index: runs are counted where they are, and reading goes from tag to tag."""

from typing import Any

import psycopg
import pytest
from tests.projections.story import Story

from runcord.run import events as e
from runcord.run.status import Status
from runcord.run.trigger_events import Admission, WindowKind
from runcord.testing.project import Project, in_project
from runcord.testing.scenario import FAILURE, START, triggered
from runcord_projections.tag_index.projection import AREA_BITS, PROJECTION, STATUSES
from runcord_projections.tag_index.reading import SQL, Choice, tags_at

Counts = dict[str, dict[str, int]]


def counts(story: Story, position: int | None = None) -> Counts:
    """Return how many runs have each tag at a position, by `key:value` and status."""
    at = story.position if position is None else position
    found: Counts = {}
    for (key, value, area), row in sorted(story.rows(PROJECTION).items()):
        if area <= at >> AREA_BITS:
            places = zip(STATUSES, row.counts_at(at), strict=True)
            found[f"{key}:{value}"] = {status.value: count for status, count in places if count}
    return {tag: by_status for tag, by_status in found.items() if by_status}


def test_a_run_is_counted_in_the_status_that_it_has() -> None:
    story = Story().happens("run_1", triggered(tags={"env": "prod"})).happens("run_2", triggered(tags={"env": "prod"}))
    assert counts(story) == {"env:prod": {"queued": 2}}
    story.happens("run_1", e.Dequeued("w", 1, 1, 60), e.Attempted(1), e.Completed(1))
    assert counts(story) == {"env:prod": {"queued": 1, "completed": 1}}
    assert counts(story, 4) == {"env:prod": {"queued": 1, "executing": 1}}
    assert counts(story, 0) == {}


def test_a_run_without_tags_counts_nowhere() -> None:
    assert Story().happens("run_1", triggered(), e.Dequeued("w", 1, 1, 60)).rows(PROJECTION) == {}


def test_a_tag_that_is_added_to_a_finished_run_counts_from_then_on() -> None:
    story = Story().happens("run_1", triggered(), e.Canceled("no"), e.Tagged({"env": "prod"}))
    assert (counts(story, 2), counts(story)) == ({}, {"env:prod": {"canceled": 1}})


def test_a_value_that_is_changed_no_longer_counts() -> None:
    story = Story().happens("run_1", triggered(tags={"env": "prod", "a": "b"}), e.Tagged({"env": "test"}))
    assert counts(story) == {"a:b": {"queued": 1}, "env:test": {"queued": 1}}
    assert counts(story, 1) == {"a:b": {"queued": 1}, "env:prod": {"queued": 1}}
    story.happens("run_1", e.Tagged({"env": "prod"}))
    assert counts(story) == counts(story, 1)


def test_a_tag_that_is_set_again_changes_nothing() -> None:
    story = Story().happens("run_1", triggered(tags={"env": "prod"}), e.Tagged({"env": "prod"}))
    assert [row.changes[::2] for row in story.rows(PROJECTION).values()] == [b"\1"]


def test_a_further_trigger_that_is_debounced_replaces_tags() -> None:
    born = triggered(tags={"env": "prod", "a": "b"}, due_at=START.replace(hour=1), admission=_admission("debounce"))
    again = e.Debounced(
        job_version=1,
        policy=born.policy,
        due_at=START.replace(hour=2),
        admission=_admission("debounce"),
        tags={"env": "test"},
    )
    story = Story().happens("run_1", born, again)
    assert (counts(story), counts(story, 1)) == (
        {"env:test": {"delayed": 1}},
        {"a:b": {"delayed": 1}, "env:prod": {"delayed": 1}},
    )


def test_a_further_trigger_of_a_batch_adds_tags_and_may_fill_it() -> None:
    born = triggered(tags={"env": "prod"}, due_at=START.replace(hour=1), admission=_admission("batch"))
    story = Story().happens("run_1", born)
    story.happens("run_1", e.Batched(_admission("batch"), tags={"a": "b"}, full=True))
    assert counts(story) == {"a:b": {"queued": 1}, "env:prod": {"queued": 1}}


def test_a_dead_letter_is_counted_as_one_and_again_when_it_is_queued() -> None:
    story = Story().happens("run_1", triggered(tags={"env": "prod"}), e.Dequeued("w", 1, 1, 60), e.Attempted(1))
    story.happens("run_1", e.DeadLettered(1, FAILURE), e.ReplayStaged(), e.DeadLetterReplayed(2))
    assert [counts(story, at)["env:prod"] for at in (4, 5, 6)] == [
        {"dead_letter": 1},
        {"replay_staged": 1},
        {"queued": 1},
    ]


def test_counts_are_right_at_the_edges_of_areas() -> None:
    story = Story()
    for number in range(3 << AREA_BITS):
        story.happens(f"run_{number}", triggered(tags={"env": "prod"}))
    edges = [place for area in range(1, 4) for place in ((area << AREA_BITS) - 1, area << AREA_BITS)]
    for position in (1, *edges):
        assert counts(story, position) == {"env:prod": {"queued": position}}
    assert len(story.rows(PROJECTION)) == 4


def test_statuses_keep_their_places() -> None:
    assert set(STATUSES) == set(Status)
    assert [status.value for status in STATUSES[:3]] == ["delayed", "queued", "dequeued"]


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        (Choice(), ["", "a", "aa", "b", "ü", "10", "2"]),
        (Choice("k"), ["", "a", "aa", "b", "ü"]),
        (Choice("k", "a"), ["a"]),
        (Choice("k", ""), [""]),
        (Choice("k", None, "a"), ["a", "aa"]),
        (Choice("k", "aa", "a"), ["aa"]),
        (Choice("k", "b", "a"), []),
        (Choice("k", None, "\U0010ffff"), []),
        (Choice("n"), ["10", "2"]),
        (Choice("l"), []),
    ],
)
def test_tags_are_chosen_by_key_value_and_prefix(dsn: str, choice: Choice, found: list[str]) -> None:
    @in_project
    async def check(project: Project) -> None:
        _fill(
            project,
            "select k, v, 0, '{1,0,0,0,0,0,0,0,0,0,0,0,0,0,0}'::bigint[], ''::bytea from (values "
            "('k', ''), ('k', 'a'), ('k', 'aa'), ('k', 'b'), ('k', 'ü'), ('n', '2'), ('n', '10')) as u (k, v)",
        )
        tags, following = await tags_at(project.touch, project.project_id, 300, choice, limit=10)
        assert ([tag.value for tag in tags], following) == (found, None)
        assert all(tag.total == 1 and tag.by_status == {Status.DELAYED: 1} for tag in tags)

    check(dsn)


def test_tags_that_no_run_has_are_passed_over(dsn: str) -> None:
    @in_project
    async def check(project: Project) -> None:
        _fill(
            project,
            "select 'k', lpad(n::text, 5, '0'), 1, array_fill((n %% 700 = 0)::int::bigint, array[15]), "
            "''::bytea from generate_series(1, 2100) n",
        )
        read, place, found = project.touch, None, list[str]()
        for more in (True, True, False):
            tags, place = await tags_at(read, project.project_id, 256, Choice(), after=place, limit=1)
            found += [tag.value for tag in tags]
            assert (place is not None) == more
        assert found == ["00700", "01400", "02100"]
        assert await tags_at(read, project.project_id, 255, Choice(), limit=1) == ([], None)

    check(dsn)


@pytest.mark.slow
@pytest.mark.parametrize("analyzed", [True, False])
def test_a_page_reads_no_more_than_its_tags_however_many_there_are(dsn: str, analyzed: bool) -> None:
    @in_project
    async def check(project: Project) -> None:
        # 100,000 tags of which each has changed once, and ten that have changed all the time: a million runs' worth.
        row = "array_fill(1::bigint, array[15]), '\\x0001'::bytea"
        _fill(project, f"select 'customer', n::text, n / 10, {row} from generate_series(1, 100000) n")
        _fill(project, f"select 'env', (n %% 10)::text, n / 10, {row} from generate_series(1, 40000) n")
        with psycopg.connect(project.dsn, autocommit=True) as conn:
            if analyzed:
                conn.execute("vacuum analyze tag_index")
            for start in (("", ""), ("customer", "5"), ("env", "0")):
                for area in (10**6, 2000):
                    params = {"project_id": project.project_id, "area": area, "limit": 51}
                    params |= {"start_key": start[0], "start_value": start[1], "end_key": "z", "end_value": ""}
                    plan = conn.execute(b"explain (analyze, buffers, format json) " + SQL["counts"], params).fetchone()
                    assert plan is not None
                    top = plan[0][0]["Plan"]
                    assert "Seq Scan" not in {node["Node Type"] for node in _nodes(top)}
                    assert top["Shared Hit Blocks"] + top["Shared Read Blocks"] < 51 * 16

    check(dsn)


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", ()) for node in _nodes(part))]


def _fill(project: Project, rows: str) -> None:
    """Put rows into the live generation of the tag index, beside a ledger that knows nothing of them."""
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        conn.execute(
            "insert into projections (project_id, name, generation, version, status)"
            " values (%s, 'tag_index', 1, 1, 'live') on conflict do nothing",
            (project.project_id,),
        )
        conn.execute(
            f"insert into tag_index select %s, 1, rows.* from ({rows}) as rows".encode(), (project.project_id,)
        )


def _admission(window: WindowKind) -> Admission:
    return Admission(window=window, key="k")
