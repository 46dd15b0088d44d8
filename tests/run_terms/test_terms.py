"""What contains something has all its terms; and whatever has been filed once is found by the same terms for ever."""

from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, event, given, settings

from runcord.ledger.mapper import to_json
from runcord.testing.postgres import TestServer
from runcord_projections.run_terms import terms as t

names = st.sampled_from(["a", "b", "ü", ""])
json = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -0.0, 1, 1.0, 0.1, 2**53 + 1, 2**63, 1e23, 5e-324, "", "a", "1", "ü"])
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)

PAYLOAD = [39100028, 237423876, 352065913, 1112530266, 1376562769, 2018152376, 2813806770, 3125749238, 3783764515]
OTHERS = (2916034073, 2445668518, 1583811356, 2373837485)
LABELS = ((3725739009, 2417339436), (2493761243, 3899926788))


@st.composite
def wholes_and_parts(draw: st.DrawFn) -> tuple[Any, Any]:
    """Return two values of which the first often contains the second."""
    whole = draw(json)
    return whole, draw(parts_of(whole))


def parts_of(value: Any) -> st.SearchStrategy[Any]:
    if isinstance(value, dict) and value:
        chosen = st.lists(st.sampled_from(sorted(value)), unique=True)
        return chosen.flatmap(lambda names: st.fixed_dictionaries({name: parts_of(value[name]) for name in names}))
    if isinstance(value, list) and value:
        element = st.sampled_from(value).flatmap(parts_of)
        return st.lists(element, max_size=2) | element
    if isinstance(value, int | float) and not isinstance(value, bool):
        return st.just(value) | st.just(float(value)) | st.just(int(value))
    return st.just(value)


@pytest.fixture(scope="module")
def conn(postgres: TestServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.dsn, autocommit=True) as conn:
        yield conn


@given(wholes_and_parts())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_what_contains_something_has_all_its_terms(conn: psycopg.Connection[Any], pair: tuple[Any, Any]) -> None:
    try:
        whole, part = (to_json(value).decode() for value in pair)
    except orjson.JSONEncodeError:
        return  # an integer beyond 64 bits, which no request can hold
    [(contains,)] = conn.execute("select %s::jsonb @> %s::jsonb", (whole, part)).fetchall()
    event(f"contains: {contains}")
    if contains and pair[0] is not None:
        assert t.terms_of_sought(orjson.loads(part)) <= t.terms_of_payload(orjson.loads(whole))


def test_terms_never_change() -> None:
    """They are in databases: others would not be found again."""
    payload = {"a": [1, "x", None], "b": {"c": True, "d": -2.5, "e": False}}
    assert sorted(t.terms_of_payload(payload)) == PAYLOAD
    assert (t.job_term("job_1"), t.batch_term("batch_1"), t.trigger_term("manual"), t.LARGE) == OTHERS
    assert (t.tag_terms("k", "v"), t.metadata_terms("k", "v")) == LABELS


def test_a_large_payload_has_one_term() -> None:
    assert len(t.terms_of_payload(list(range(t.MAX_PAYLOAD_TERMS - 1)))) == t.MAX_PAYLOAD_TERMS
    assert t.terms_of_payload(list(range(t.MAX_PAYLOAD_TERMS))) == {t.LARGE}


def test_no_payload_has_no_terms_and_null_may_be_sought() -> None:
    assert t.terms_of_payload(None) == set()
    assert t.terms_of_sought(None) <= t.terms_of_payload([None])
