"""Keys from before their administration was recorded keep working, and get a history."""

from datetime import UTC, datetime

import psycopg

from runcord.http.credentials import create_project, hash_key
from runcord.http.key_administration import find_key, keys_of, revoke_key
from runcord.ledger.mapper import decode
from runcord.sql.migrate import migrations
from runcord.testing.ledger import Entry, append

(STEP,) = [migration for migration in migrations() if migration.name.endswith("_keys")]

CREATED, ENDS = datetime(2026, 1, 2, tzinfo=UTC), datetime(2199, 1, 2, 3, 4, 5, 678901, UTC)


def test_keys_of_before_are_kept_and_put_on_record(empty: str) -> None:
    with psycopg.connect(empty) as conn:
        for migration in migrations():
            if migration.number < STEP.number:
                conn.execute(migration.sql.encode())
        create_project(conn, "proj_a", "A")
        create_project(conn, "proj_b", "B")
        append(conn, Entry("test_x", 1), project_id="proj_a")
        for project_id, key_id, expires_at, revoked_at in (
            ("proj_a", "key_one", ENDS, None),
            ("proj_a", "key_two", None, CREATED),
            ("proj_b", "key_three", None, None),
        ):
            conn.execute(
                "insert into api_keys (project_id, key_id, name, key_hash, key_prefix, scopes, created_at, expires_at,"
                " revoked_at) values (%s, %s, 'a \"name\"', %s, 'strait_00000', '{runs:read,jobs:read}', %s, %s, %s)",
                (project_id, key_id, hash_key(key_id), CREATED, expires_at, revoked_at),
            )
        conn.execute(STEP.sql.encode())
        found = find_key(conn, "key_one")
        assert found is not None
        project_id, key = found
        assert (project_id, key.key_id, key.version, key.name) == ("proj_a", "key_one", 1, 'a "name"')
        assert (key.scopes, key.prefix) == (("runs:read", "jobs:read"), "strait_00000")
        assert (key.created_at, key.expires_at, key.revoked_at) == (CREATED, ENDS, None)
        revoked = keys_of(conn, "proj_a")[1]
        assert (revoked.key_id, revoked.version, revoked.revoked_at) == ("key_two", 2, CREATED)
        events = conn.execute(
            "select position, stream_id, type, data from events where project_id = 'proj_a' order by position"
        ).fetchall()
    assert [row[:3] for row in events[1:]] == [
        (2, "key_one", "key.created.v1"),
        (3, "key_two", "key.created.v1"),
        (4, "key_two", "key.revoked.v1"),
    ]
    made = decode(events[1][2], events[1][3])
    assert (made.name, made.scopes, made.since, made.expires_at) == (key.name, key.scopes, CREATED, ENDS)


def test_a_key_of_before_can_be_administered(empty: str) -> None:
    test_keys_of_before_are_kept_and_put_on_record(empty)
    with psycopg.connect(empty) as conn:
        for migration in migrations():
            if migration.number > STEP.number:
                conn.execute(migration.sql.encode())
    key = revoke_key(empty, "proj_b", "key_three")
    assert (key.version, key.revoked_by) == (2, "operator")
    with psycopg.connect(empty) as conn:
        assert keys_of(conn, "proj_b") == [key]
