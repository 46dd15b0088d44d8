"""Operations on metadata do what Trigger.dev's own clients do with them."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcord.run.metadata import MetadataOperation as Op
from runcord.run.metadata import applied, is_safe, places_of, size_of


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        ({}, Op("set", "a", {"b": 1}), {"a": {"b": 1}}),
        ({"a": {"b": 1}}, Op("set", "$.a.b", 2), {"a": {"b": 2}}),
        ({"a": [1, 2]}, Op("set", "$.a[1]", 3), {"a": [1, 3]}),
        ({"a": [1, 2]}, Op("set", "$.a[9]", 3), {"a": [1, 2]}),
        ({}, Op("set", "$.a.b.c", 1), {"a": {"b": {"c": 1}}}),
        ({}, Op("set", "$.a['b c']", 1), {"a": {"b c": 1}}),
        ({"a": 1}, Op("set", "$.a.b", 1), {"a": 1}),
        ({"a": 1, "b": 2}, Op("delete", "a"), {"b": 2}),
        ({"a": 1}, Op("delete", "c"), {"a": 1}),
        ({"a": {"b": 1}}, Op("delete", "$.a.b"), {"a": {"b": 1}}),
        ({}, Op("append", "a", 1), {"a": [1]}),
        ({"a": [1]}, Op("append", "a", [2]), {"a": [1, [2]]}),
        ({"a": "x"}, Op("append", "a", "y"), {"a": ["x", "y"]}),
        ({"a": {"b": [1]}}, Op("append", "$.a.b", 2), {"a": {"b": [1, 2]}}),
        ({"a": [1, {"b": 2}, 1]}, Op("remove", "a", {"b": 2}), {"a": [1, 1]}),
        ({"a": [1, True, 1]}, Op("remove", "a", 1), {"a": [True]}),
        ({"a": "x"}, Op("remove", "a", "x"), {"a": "x"}),
        ({}, Op("remove", "a", "x"), {}),
        ({}, Op("increment", "n", 2), {"n": 2}),
        ({"n": 1.5}, Op("increment", "n", -2), {"n": -0.5}),
        ({"n": "x"}, Op("increment", "n", 1), {"n": 1}),
        ({"a": {"n": 1}}, Op("increment", "$.a.n", 1), {"a": {"n": 2}}),
        ({"a": 1}, Op("update", value={"b": 2}), {"b": 2}),
        ({"a": 1}, Op("update", value=[1]), {"a": 1}),
        ({"a": 1}, Op("set", "__proto__", 1), {"a": 1}),
        ({"a": {}}, Op("set", "$.a.constructor", 1), {"a": {}}),
    ],
)
def test_an_operation(before: dict[str, Any], operation: Op, after: dict[str, Any]):
    untouched = deepcopy(before)
    assert applied(before, [operation]) == after
    assert before == untouched


def test_operations_follow_each_other():
    operations = [Op("set", "a", 1), Op("append", "a", 2), Op("increment", "n", 1), Op("increment", "n", 1)]
    assert applied({}, operations) == {"a": [1, 2], "n": 2}


def test_a_key_that_is_no_path_is_one_name():
    assert places_of("a.b[0]") == ("a.b[0]",)
    assert places_of("$.a.b[0]['c.d']") == ("a", "b", 0, "c.d")


@pytest.mark.parametrize("key", ["__proto__", "prototype", "$.a.__proto__.b", "$.constructor"])
def test_keys_that_would_change_what_objects_inherit_are_not_safe(key: str):
    assert not is_safe(key)


def test_the_size_is_that_of_compact_json():
    assert size_of({"a": "ü"}) == len('{"a":"ü"}'.encode())


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)
keys = st.text("ab$.[]0'", max_size=6) | st.sampled_from(["$.a.b", "$.a[0]", "$.", "$", "$.a[0].b"])
operations = st.builds(
    Op, st.sampled_from(["set", "delete", "append", "remove", "increment", "update"]), st.none() | keys, json
)


@given(st.dictionaries(st.text("ab", max_size=2), json, max_size=3), st.lists(operations, max_size=4))
def test_any_operations_on_anything_leave_an_object_and_what_was_given_alone(before: dict[str, Any], given: list[Op]):
    untouched = deepcopy(before)
    after = applied(before, given)
    assert isinstance(after, dict)
    assert before == untouched
    assert size_of(after) > 0
