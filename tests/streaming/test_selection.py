"""Which runs a subscription is about: matching, and the keys under which matches are looked for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcord.http.selecting import selection, tag
from runcord.run.retry import RetryPolicy
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.streaming.selection import Selection, index_keys_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAMES = ("a", "b", "a:b", "")


def run(**members: Any) -> Run:
    given = {"run_id": "run_1", "version": 1, "status": Status.QUEUED, "job_id": "job_1", "job_slug": "one"}
    moments = {"created_at": NOW, "updated_at": NOW, "due_at": NOW}
    return Run(**{**given, "job_version": 1, "triggered_by": "api", "policy": RetryPolicy(), **moments, **members})


@pytest.mark.parametrize(
    ("text", "tags", "found", "found_with_any"),
    [
        ("env", {"env": ""}, True, True),
        ("env", {"env": "prod"}, False, True),
        ("env", {"other": "env"}, False, False),
        ("env:prod", {"env": "prod"}, True, True),
        ("env:prod", {"env:prod": ""}, True, True),
        ("env:prod", {"env": "test"}, False, False),
        ("env:prod", {"env:prod": "x"}, False, False),
        ("user:a:b", {"user": "a:b"}, True, True),
        ("user:a:b", {"user:a": "b"}, False, False),
        (":x", {":x": ""}, True, True),
        (":x", {"": "x"}, False, False),
    ],
)
def test_a_tag_stands_for_a_key_or_for_a_key_and_a_value(text, tags, found, found_with_any):
    assert selection(tags=[tag(text)]).has(run(tags=tags)) is found
    assert selection(tags=[tag(text, any_value=True)]).has(run(tags=tags)) is found_with_any


def test_all_that_is_asked_must_hold():
    selected = selection(
        tags=[tag("a"), tag("b:1")],
        job_id="job_1",
        batch_id="batch_1",
        statuses=[Status.QUEUED, Status.EXECUTING],
        created_since=NOW,
    )
    tags = {"a": "", "b": "1"}
    assert selected.has(run(tags=tags, batch_id="batch_1"))
    assert selected.has(run(tags=tags, batch_id="batch_1", status=Status.EXECUTING))
    for other in (
        {"tags": {"a": ""}},
        {"tags": None},
        {"batch_id": "batch_2"},
        {"job_id": "job_2"},
        {"status": Status.COMPLETED},
        {"created_at": NOW - timedelta(seconds=1)},
    ):
        assert not selected.has(run(**{"tags": tags, "batch_id": "batch_1", **other}))


@given(
    tags=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NAMES)),
    wanted=st.lists(st.tuples(st.sampled_from(["a", "b", "a:b", ":a"]), st.booleans()), max_size=3),
    job_id=st.sampled_from([None, "job_1", "job_2"]),
    batch_id=st.sampled_from([None, "batch_1"]),
    run_id=st.sampled_from([None, "run_1", "run_2"]),
)
def test_whatever_is_selected_is_found_under_one_of_the_keys(tags, wanted, job_id, batch_id, run_id):
    selected = selection(
        tags=[tag(text, any_value=any_value) for text, any_value in wanted], job_id=job_id, batch_id=batch_id
    )
    if run_id is not None:
        selected = Selection(run_id=run_id)
    for one in (run(tags=tags), run(tags=tags, batch_id="batch_1", job_id="job_2")):
        if selected.has(one):
            assert set(selected.index_keys) & set(index_keys_of(one))


def test_the_present_state_is_listed_for_each_way_to_spell_the_tags():
    labels = [one["labels"] for one in selection(tags=[tag("a:1"), tag("b")]).lists]
    assert labels == ['{"tags":{"a:1":"","b":""}}', '{"tags":{"a":"1","b":""}}']
    assert len(selection(tags=[tag(f"k{n}:v") for n in range(10)]).lists) == 8
