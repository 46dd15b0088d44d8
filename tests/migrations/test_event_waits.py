"""Waits for events from before they could be listed get their beginnings from the ledger."""

import orjson
import psycopg

from runcord.handling.event_waits import SQL, EventWait
from runcord.http.credentials import create_project
from runcord.sql.migrate import migrations
from runcord.testing.ledger import PROJECT, Entry, append

STEP = 11


def test_waits_of_before_can_be_listed(empty: str) -> None:
    waited = {"kind": "event", "until": "2026-01-01T01:00:00Z", "event_key": "k", "trigger_id": "trigger_1"}
    heard = {"event_key": "k", "payload": 1}
    with psycopg.connect(empty) as conn:
        for migration in migrations():
            if migration.number < STEP:
                conn.execute(migration.sql.encode())
        create_project(conn, PROJECT, "A")
        append(
            conn,
            Entry("run_a", 1, orjson.dumps({**waited, "trigger_id": "trigger_0"}), "run.waited.v1"),
            Entry("run_a", 2, orjson.dumps({**waited, "notify_url": "https://x"}), "run.waited.v1"),
            Entry("run_a", 3, orjson.dumps(heard), "run.event_received.v1", b'{"actor":"apikey:key_1"}'),
        )
        conn.execute(
            "insert into event_waits (project_id, event_key, run_id, trigger_id, status, waits_until, settled_at,"
            " payload) select %s, 'k', 'run_a', 'trigger_1', 'received', null, recorded_at, '1' from events"
            " where position = 3",
            (PROJECT,),
        )
        (step,) = [migration for migration in migrations() if migration.number == STEP]
        conn.execute(step.sql.encode())
        row = conn.execute(SQL["event_wait"], {"project_id": PROJECT, "event_key": "k"}).fetchone()
        began = conn.execute("select recorded_at from events where position = 2").fetchone()
    assert row is not None and began is not None
    wait = EventWait.of_row(row)
    assert (wait.position, wait.requested_at, wait.status, wait.payload) == (2, began[0], "received", 1)
    assert (wait.sent_by, wait.notify_url) == ("apikey:key_1", "https://x")
    assert wait.expires_at is not None and wait.expires_at.isoformat() == "2026-01-01T01:00:00+00:00"
