"""The runs of a database of before are filed by the migration as the server files new ones."""

import importlib
import random
from typing import Any

import orjson
import psycopg
import pytest

from runcord.sql.migrate import migrate, migrations
from runcord.testing.postgres import TestServer
from runcord.testing.project import Project, in_project
from runcord_projections.run_terms import terms as t
from runcord_projections.run_view.projection import CODEC

from .population import populate

TABLES = ("projects", "ledger_heads", "jobs", "runs")
NUMBER = 10


def filed_for(
    state: bytes, payload: bytes | None, job_id: str, batch_id: str | None, cause: str, position: int
) -> set[tuple[int, int]]:
    """Return the rows that a run needs to be found as it is now."""
    run = CODEC.decode(state)
    terms = {t.job_term(job_id), t.trigger_term(cause), *t.terms_of_labels(run.tags, run.metadata)}
    if batch_id is not None:
        terms.add(t.batch_term(batch_id))
    if payload is not None and b'"NUL' not in payload:  # one that no request could hold, and none finds
        terms |= t.terms_of_payload(orjson.loads(payload))
    return {((position >> 21 << 32) | term, position) for term in terms}


def test_the_runs_of_before_are_filed(dsn: str, postgres: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    @in_project
    async def fill(project: Project) -> None:
        project.rows("update ledger_heads set position = %s returning 1", 2**21 - 100)
        await populate(project, random.Random(1), 80)

    fill(dsn)
    before = [migration for migration in migrations() if migration.number < NUMBER]
    upgraded = postgres.create_database()
    with monkeypatch.context() as patched:
        patched.setattr(importlib.import_module("runcord.sql.migrate"), "migrations", lambda: before)
        migrate(upgraded)
    copy_tables(dsn, upgraded)
    assert "0010_run_terms" in migrate(upgraded)
    with psycopg.connect(upgraded) as conn:
        filed = conn.execute(
            "select term, position + n from run_terms cross join generate_series(0, 62) n where mask >> n & 1 = 1"
        ).fetchall()
        runs: list[Any] = conn.execute(
            "select state, payload, job_id, batch_id, triggered_by, created_position from runs"
        ).fetchall()
    postgres.drop_database(upgraded)
    assert len(runs) >= 80
    assert set(filed) == set[tuple[int, int]]().union(*(filed_for(*run) for run in runs))


def copy_tables(source_dsn: str, target_dsn: str) -> None:
    """Copy what a table of before has columns for."""
    with psycopg.connect(source_dsn) as source, psycopg.connect(target_dsn) as target:
        for table in TABLES:
            named = target.execute(
                "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0", [table]
            )
            columns = ", ".join(name for (name,) in named)
            with (
                source.cursor().copy(f"copy {table} ({columns}) to stdout".encode()) as rows,
                target.cursor().copy(f"copy {table} ({columns}) from stdin".encode()) as copied,
            ):
                for row in rows:
                    copied.write(row)
