"""Rows that are copied are the rows that are inserted, whatever is in them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg
import pytest

from runcord.projecting.table import Table
from runcord.testing.ledger import PROJECT


class Mixed(NamedTuple):
    """A row with a column of each kind."""

    name: str
    number: int | None
    yes: bool
    data: bytes | None
    at: datetime | None
    numbers: tuple[int, ...]
    names: tuple[str, ...]


TABLE = Table("mixed", Mixed, key=("name",))
NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
EMPTY = Mixed("empty", None, False, None, None, (), ())
ROWS = (
    Mixed("plain", 1, True, b"{}", NOON, (1, 2, 3), ("a", "b")),
    Mixed(
        "strange 'ü'\\\n\t\"",
        -(2**63),
        False,
        b"\0\xff\n",
        datetime(1999, 1, 1, tzinfo=UTC),
        (-1,),
        ('"', "\\", "ü,{}"),
    ),
    EMPTY,
)


@pytest.mark.parametrize("rows", [ROWS, [EMPTY], [EMPTY, EMPTY._replace(name="other")]], ids=len)
def test_copied_rows_are_as_inserted(dsn: str, rows: Sequence[Mixed]) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            "create temporary table mixed (project_id text, generation integer, name text, number bigint, yes boolean, "
            "data bytea, at timestamptz, numbers bigint[], names text[])"
        )
        conn.execute(TABLE.insert, {"project_id": PROJECT, "generation": 1, **TABLE.arrays(rows)})
        with conn.cursor() as cursor, cursor.copy(TABLE.copy) as copy:
            copy.write(TABLE.copied(PROJECT, 2, rows))
        found = {n: conn.execute("select * from mixed where generation = %s", (n,)).fetchall() for n in (1, 2)}
    assert [row[2:] for row in found[1]] == [row[2:] for row in found[2]]
    assert [TABLE.read(row[2:]) for row in found[2]] == list(rows)
    assert {row[0] for row in found[2]} == {PROJECT}
