"""Writing to a ledger without commands: for tests of what reads it, and of the log itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from runcord.ids import new_event_id
from runcord.sql import load

ACCESS_SQL = load("runcord.sql", "queries/access.sql")
LEDGER_SQL = load("runcord.sql", "queries/ledger.sql")

PROJECT = "proj_test"
"""The project that is meant when none is named."""


@dataclass
class Entry:
    """One event as `ledger_append` takes it."""

    stream_id: str
    version: int
    data: bytes = b"{}"
    type: str = "test.happened.v1"
    metadata: bytes = b'{"actor":"test"}'
    event_id: UUID = field(default_factory=new_event_id)


def open_project(dsn: str, project_id: str = PROJECT) -> None:
    """Make a project with an empty ledger."""
    with psycopg.connect(dsn) as conn:
        conn.execute(ACCESS_SQL["create_project"], {"project_id": project_id, "name": project_id})
        conn.execute(ACCESS_SQL["open_ledger"], {"project_id": project_id})


def append(
    conn: psycopg.Connection[Any], *entries: Entry, project_id: str = PROJECT, at: datetime | None = None
) -> int:
    """Append entries and return the last position."""
    row = conn.execute(
        LEDGER_SQL["append"],
        {
            "project_id": project_id,
            "at": at,
            "stream_ids": [entry.stream_id for entry in entries],
            "versions": [entry.version for entry in entries],
            "event_ids": [entry.event_id for entry in entries],
            "types": [entry.type for entry in entries],
            "data": [entry.data for entry in entries],
            "metadata": [entry.metadata for entry in entries],
        },
    ).fetchone()
    assert row is not None
    return row[0]


def positions(conn: psycopg.Connection[Any], project_id: str = PROJECT) -> Sequence[int]:
    """Return the positions of a ledger in order."""
    rows = conn.execute("select position from events where project_id = %s order by position", (project_id,))
    return [position for (position,) in rows]
