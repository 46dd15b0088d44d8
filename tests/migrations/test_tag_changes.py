"""Rows of the tag index from when each change took sixteen bytes are kept."""

import psycopg

from runcord.sql.migrate import migrations
from runcord_projections.tag_index.projection import TagCounts

(STEP,) = [migration for migration in migrations() if migration.name.endswith("_tag_changes")]

NONE = (0,) * 15


def test_changes_keep_their_places_and_their_order(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as conn:
        for migration in migrations():
            if migration.number < STEP.number:
                conn.execute(migration.sql.encode())
        for value, area, positions, moves in (
            ("some", 3, [768, 800, 1023], [0xF1, 0x12, 0x28]),
            ("none", 0, [], []),
        ):
            conn.execute(
                "insert into tag_index values ('p', 1, 'env', %s, %s, %s, %s, %s)",
                (value, area, list(NONE), positions, moves),
            )
        conn.execute(STEP.sql.encode())
        found = conn.execute(
            "select tag_key, tag_value, area, counts, changes from tag_index order by tag_value"
        ).fetchall()
    none, some = (TagCounts(*row) for row in found)
    assert none.changes == b""
    assert some.changes == b"\x00\xf1\x20\x12\xff\x28"
    assert [some.counts_at(at)[:3] for at in (767, 768, 799, 800, 1022)] == [
        (0, 0, 0),
        (0, 1, 0),
        (0, 1, 0),
        (0, 0, 1),
        (0, 0, 1),
    ]
    assert some.counts_at(2000)[8] == 1
