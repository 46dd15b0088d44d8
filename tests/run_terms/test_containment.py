"""Containment is PostgreSQL's, to the last digit; and a run meets a filter as lists of the present have it."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from tests.run_terms.test_terms import wholes_and_parts

from runcord.ledger.mapper import to_json
from runcord.run.retry import RetryPolicy
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.testing.postgres import TestServer
from runcord_projections.run_terms.containment import contains
from runcord_projections.run_terms.filter import RunFilter
from runcord_projections.run_terms.matching import meets

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = dataclasses.replace(
    Run("run_1", 1, Status.QUEUED, "job_1", "job", 1, "manual", RetryPolicy(), NOW, NOW, NOW),
    tags={"env": "prod", "empty": ""},
    metadata={"team": "red"},
    batch_id="batch_1",
)


@pytest.fixture(scope="module")
def conn(postgres: TestServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.dsn, autocommit=True) as conn:
        yield conn


def as_postgres_has_it(conn: psycopg.Connection[Any], whole: bytes, part: bytes) -> bool:
    """Return what the database says."""
    [(contained,)] = conn.execute("select %s::jsonb @> %s::jsonb", (whole.decode(), part.decode())).fetchall()
    return contained


@given(wholes_and_parts())
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example((1234567890123456768, 1.2345678901234567e18))
@example((1.2345678901234567e18, 1234567890123456768))
@example(([1, [2]], 1))
@example(([[1]], 1))
@example((1, [1]))
@example((1, []))
@example(([True], 1))
@example(([0], False))
@example(([None], None))
@example(({"a": [1]}, {"a": 1}))
@example(([{"a": 1}, {"b": 2}], [{"a": 1, "b": 2}]))
def test_containment_is_that_of_the_database(conn: psycopg.Connection[Any], pair: tuple[Any, Any]) -> None:
    try:
        whole, part = (to_json(value) for value in pair)
    except orjson.JSONEncodeError:
        return  # an integer beyond 64 bits, which no request can hold
    expected = as_postgres_has_it(conn, whole, part)
    event(f"contains: {expected}")
    assert contains(orjson.loads(whole), orjson.loads(part)) is expected


@pytest.mark.parametrize(
    ("wanted", "is_met"),
    [
        (RunFilter(), True),
        (RunFilter([Status.QUEUED, Status.FAILED]), True),
        (RunFilter([]), False),
        (RunFilter(job_id="job_1", batch_id="batch_1", triggered_by="manual"), True),
        (RunFilter(job_id="job_2"), False),
        (RunFilter(batch_id="batch_2"), False),
        (RunFilter(triggered_by="cron"), False),
        (RunFilter(tags={"env": None, "empty": ""}, metadata={"team": "red"}), True),
        (RunFilter(tags={"env": ""}), False),
        (RunFilter(tags={"team": None}), False),
        (RunFilter(metadata={"team": "blue"}), False),
        (RunFilter(payload={"n": 1.0}), True),
        (RunFilter(payload={"n": 2}), False),
        (RunFilter(payload=None), False),
    ],
)
def test_a_run_meets_a_filter_if_everything_holds(wanted: RunFilter, is_met: bool) -> None:
    assert meets(wanted, RUN, {"n": 1, "m": None}) is is_met


def test_what_the_database_cannot_hold_contains_nothing() -> None:
    assert not meets(RunFilter(payload={}), RUN, {"deep": [{"a\0": 1}]})
    assert not meets(RunFilter(payload={}), RUN, {"deep": ["\0"]})
    assert meets(RunFilter(payload={}), RUN, {"deep": ["\\u0000"]})
    assert not meets(RunFilter(payload=None), RUN, None)
