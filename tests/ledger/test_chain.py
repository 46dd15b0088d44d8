"""The chain of digests: what was written verifies, and no edit goes unseen."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from runcord.errors import NotFound
from runcord.ledger.chain import Checkpoint, Link, Verification, digest, genesis, verify
from runcord.testing.ledger import PROJECT, Entry, append, open_project
from runcord.testing.postgres import as_superuser

EVENTS = 6

Mutation = Callable[[psycopg.Connection[Any], int], int]
"""Edits the ledger at a position and returns the first position that is wrong from then on."""

MUTATIONS: dict[str, Mutation] = {}


def mutation(edit: Mutation) -> Mutation:
    MUTATIONS[edit.__name__] = edit
    return edit


def edit_of(column: str, expression: str) -> None:
    def edit(conn: psycopg.Connection[Any], position: int) -> int:
        conn.execute(
            f"update events set {column} = {expression} where position = %s and project_id = '{PROJECT}'".encode(),
            (position,),
        )
        return position

    edit.__name__ = f"{column} = {expression}"
    mutation(edit)


edit_of("data", "data || ' '")
edit_of("data", "substr(data, 2)")
edit_of("metadata", "metadata || ' '")
edit_of("type", "type || 'x'")
edit_of("stream_id", "stream_id || 'x'")
edit_of("recorded_at", "recorded_at + interval '1 microsecond'")
edit_of("recorded_at", "'infinity'")
edit_of("recorded_at", "'-infinity'")
edit_of("version", "version + 100")
edit_of("event_id", "gen_random_uuid()")
edit_of("digest", "sha256(digest)")
# What is taken from one member and given to its neighbour.
edit_of("(type, metadata)", "(type || convert_from(substr(metadata, 1, 1), 'UTF8'), substr(metadata, 2))")
edit_of("(metadata, data)", "(metadata || substr(data, 1, 1), substr(data, 2))")


@mutation
def delete(conn: psycopg.Connection[Any], position: int) -> int:
    conn.execute("delete from events where position = %s", (position,))
    return position


@mutation
def delete_and_close_the_gap(conn: psycopg.Connection[Any], position: int) -> int:
    conn.execute("delete from events where position = %s", (position,))
    conn.execute("update events set position = -position where position > %s", (position,))
    conn.execute("update events set position = -position - 1 where position < 0")
    return position


@mutation
def truncate(conn: psycopg.Connection[Any], position: int) -> int:
    conn.execute("delete from events where position >= %s", (position,))
    return position


@mutation
def swap_with_the_next(conn: psycopg.Connection[Any], position: int) -> int:
    first = min(position, EVENTS - 1)
    conn.execute("update events set position = -position where position in (%s, %s)", (first, first + 1))
    conn.execute("update events set position = %s + position where position < 0", (2 * first + 1,))
    return first


@mutation
def insert_before(conn: psycopg.Connection[Any], position: int) -> int:
    conn.execute("update events set position = -position where position >= %s", (position,))
    conn.execute("update events set position = -position + 1 where position < 0")
    forge(conn, position)
    return position


@mutation
def insert_behind_the_head(conn: psycopg.Connection[Any], position: int) -> int:
    forge(conn, EVENTS + 1)
    return EVENTS + 1


@mutation
def insert_a_rightly_chained_one_behind_the_head(conn: psycopg.Connection[Any], position: int) -> int:
    forge(conn, EVENTS + 1)
    row = conn.execute("select digest from events where position = %s", (EVENTS,)).fetchone()
    assert row is not None
    link = Link(EVENTS + 1, "run_forged", 1, UUID(int=1), "t", 0, b"{}", b"{}", b"")
    conn.execute("update events set digest = %s where position = %s", (digest(row[0], link), EVENTS + 1))
    return EVENTS + 1


@mutation
def forge_the_head(conn: psycopg.Connection[Any], position: int) -> int:
    conn.execute("update ledger_heads set digest = sha256(digest) where project_id = %s", (PROJECT,))
    return EVENTS


def forge(conn: psycopg.Connection[Any], position: int) -> None:
    conn.execute(
        "insert into events values (%s, %s, 'run_forged', 1, %s, 't', to_timestamp(0), '{}', '{}', sha256(''))",
        (PROJECT, position, UUID(int=1)),
    )


@pytest.fixture
def conn(ledger: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the superuser: nobody else can tamper."""
    with psycopg.connect(as_superuser(ledger), autocommit=True) as connection:
        yield connection


@pytest.fixture
def written(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """A connection to a ledger of `EVENTS` events in three appends, beside another project's."""
    open_project(conn.info.dsn, "proj_other")
    append(conn, Entry("run_x", 1), project_id="proj_other")
    append(conn, Entry("run_a", 1, b'{"n":1}'), Entry("run_b", 1, '{"ü":"€"}'.encode()))
    append(conn, Entry("run_a", 2, b"0"), at=datetime(2031, 5, 6, 7, 8, 9, 123457, UTC))
    append(conn, Entry("run_c", 1, bytes(range(256)) * 40), Entry("run_a", 3, type="ä"), Entry("run_c", 2))
    return conn


def test_a_written_ledger_verifies(written: psycopg.Connection[Any]) -> None:
    assert verify(written, PROJECT) == Verification(True, EVENTS)
    assert verify(written, "proj_other") == Verification(True, 1)


def test_an_empty_ledger_verifies(conn: psycopg.Connection[Any]) -> None:
    assert verify(conn, PROJECT) == Verification(True, 0)


def test_a_ledger_verifies_across_pages(conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    append(conn, *(Entry("run_a", n) for n in range(1, 21)))
    for size in (1, 7, 20):
        monkeypatch.setattr("runcord.ledger.chain.PAGE_SIZE", size)
        assert verify(conn, PROJECT) == Verification(True, 20)


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_edit_is_found_where_it_was_made(written: psycopg.Connection[Any], name: str) -> None:
    written.execute("create table events_kept as table events")
    written.execute("create table heads_kept as table ledger_heads")
    for position in range(1, EVENTS + 1):
        with written.transaction():
            first_bad = MUTATIONS[name](written, position)
        found = verify(written, PROJECT)
        assert (found.ok, found.first_bad_position, found.verified_to) == (False, first_bad, first_bad - 1)
        assert found.reason
        with written.transaction():
            written.execute("delete from events")
            written.execute("insert into events table events_kept")
            written.execute(
                "update ledger_heads h set digest = k.digest from heads_kept k where k.project_id = h.project_id"
            )
        assert verify(written, PROJECT).ok, "the ledger is whole again"


def test_what_is_verified_already_is_taken_as_right(written: psycopg.Connection[Any]) -> None:
    written.execute("update events set data = '[]' where position = 2 and project_id = %s", (PROJECT,))
    assert verify(written, PROJECT).first_bad_position == 2
    assert verify(written, PROJECT, after=1).first_bad_position == 2
    assert verify(written, PROJECT, after=2) == Verification(True, EVENTS)
    assert verify(written, PROJECT, after=EVENTS) == Verification(True, EVENTS)


def rechain(conn: psycopg.Connection[Any]) -> None:
    """Compute all digests anew, as somebody would who rewrites history and knows how it is chained."""
    previous = genesis(PROJECT)
    rows = conn.execute(
        "select position, stream_id, version, event_id, type, (extract(epoch from recorded_at) * 1000000)::bigint, "
        "data, metadata, digest from events where project_id = %s order by position",
        (PROJECT,),
    ).fetchall()
    for row in rows:
        link = Link(*row)
        previous = digest(previous, link)
        conn.execute(
            "update events set digest = %s where project_id = %s and position = %s", (previous, PROJECT, link.position)
        )
    conn.execute(
        "update ledger_heads set digest = %s, position = %s where project_id = %s", (previous, len(rows), PROJECT)
    )


@pytest.mark.parametrize("kept_at", [3, 5, EVENTS])
def test_history_that_was_rewritten_with_its_chain_fits_no_digest_kept_from_before(
    written: psycopg.Connection[Any], kept_at: int
) -> None:
    (row,) = written.execute(
        "select digest from events where project_id = %s and position = %s", (PROJECT, kept_at)
    ).fetchall()
    kept = Checkpoint(kept_at, row[0])
    assert verify(written, PROJECT, checkpoint=kept).ok
    assert verify(written, PROJECT, after=kept_at, checkpoint=kept).ok
    written.execute("update events set data = '[]' where position = 2 and project_id = %s", (PROJECT,))
    rechain(written)
    assert verify(written, PROJECT).ok, "the chain alone cannot tell"
    assert verify(written, PROJECT, checkpoint=kept).first_bad_position == kept_at
    assert verify(written, PROJECT, after=kept_at, checkpoint=kept).first_bad_position == kept_at


def test_a_ledger_that_was_cut_off_with_its_head_is_too_short_for_the_digest_kept(
    written: psycopg.Connection[Any],
) -> None:
    found = verify(written, PROJECT)
    assert found.digest is not None
    written.execute("delete from events where position > 4 and project_id = %s", (PROJECT,))
    rechain(written)
    assert verify(written, PROJECT).ok, "the chain alone cannot tell"
    cut = verify(written, PROJECT, after=EVENTS, checkpoint=Checkpoint(EVENTS, found.digest))
    assert (cut.ok, cut.first_bad_position) == (False, 5)


def test_progress_is_told_page_by_page(written: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runcord.ledger.chain.PAGE_SIZE", 4)
    told: list[tuple[int, int]] = []
    verify(written, PROJECT, progress=lambda done, head: told.append((done, head)))
    assert told == [(4, EVENTS), (EVENTS, EVENTS)]


def test_a_ledger_or_a_position_that_is_not_there_is_told(written: psycopg.Connection[Any]) -> None:
    with pytest.raises(NotFound):
        verify(written, "proj_unknown")
    with pytest.raises(NotFound):
        verify(written, PROJECT, after=EVENTS + 1)


def test_a_digest_is_what_its_description_says() -> None:
    link = Link(1, "run_a", 1, UUID(int=0xA), "t.v1", 1_000_000, b"{}", b"[]", b"")
    covered = genesis("p") + bytes.fromhex(
        "0000000000000001"
        "00000000000f4240"
        "00000001"
        "0000000000000000000000000000000a"
        "00000005"
        "72756e5f61"
        "00000004"
        "742e7631"
        "00000002"
        "5b5d"
        "7b7d"
    )
    assert digest(genesis("p"), link) == hashlib.sha256(covered).digest()
