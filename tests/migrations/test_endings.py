"""Runs that had ended before their endings had columns of their own."""

from importlib.resources import files

import psycopg

from runcord.clock import utc_now
from runcord.run.status import Status
from runcord.testing.scenario import given, history_to
from runcord_projections.run_view.projection import CODEC, work_ms

MIGRATIONS = files("runcord.sql") / "migrations"
MIGRATION = "0008_dependencies.sql"


def test_the_migration_writes_what_the_view_would_have_written(empty: str) -> None:
    runs = {status: given(*history_to(status)).run for status in Status}
    with psycopg.connect(empty, autocommit=True) as conn:
        migrations = sorted(MIGRATIONS.iterdir(), key=lambda file: file.name)
        for file in migrations:
            if file.name < MIGRATION:
                conn.execute(file.read_text("utf-8").encode())
        for position, (status, run) in enumerate(runs.items(), 1):
            conn.execute(
                "insert into runs (project_id, run_id, version, position, created_position, status, job_id, queue,"
                " priority, due_at, triggered_by, state)"
                " values ('p', %s, 1, %s, %s, %s, 'job', 'default', 0, %s, 'm', %s)",
                (status, position, position, status, utc_now(), CODEC.encode(run)),
            )
        conn.execute((MIGRATIONS / MIGRATION).read_text("utf-8").encode())
        rows = conn.execute("select run_id, finished_at, work_ms from runs").fetchall()
    assert {row[0]: row[1:] for row in rows} == {
        status: (run.finished_at, work_ms(run)) for status, run in runs.items()
    }
    assert any(row[2] for row in rows) and any(row[1] is None for row in rows)
