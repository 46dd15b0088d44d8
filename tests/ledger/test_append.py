"""`ledger_append`, the one door to the log: what it promises to everything that is built on it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from runcord.ids import new_id
from runcord.ledger.chain import verify
from runcord.testing.ledger import PROJECT, Entry, append, open_project, positions


def sqlstate(conn: psycopg.Connection[Any], *entries: Entry, project_id: str = PROJECT) -> str | None:
    with pytest.raises(psycopg.Error) as refused:
        append(conn, *entries, project_id=project_id)
    return refused.value.sqlstate


def versions(conn: psycopg.Connection[Any], stream_id: str) -> Sequence[int]:
    rows = conn.execute("select version from events where stream_id = %s order by position", (stream_id,))
    return [version for (version,) in rows]


def test_positions_count_from_one_without_a_hole(conn: psycopg.Connection[Any]) -> None:
    assert append(conn, Entry("run_a", 1), Entry("run_b", 1)) == 2
    assert append(conn, Entry("run_a", 2)) == 3
    assert positions(conn) == [1, 2, 3]


def test_a_refused_or_rolled_back_append_leaves_no_hole(conn: psycopg.Connection[Any]) -> None:
    append(conn, Entry("run_a", 1))
    assert sqlstate(conn, Entry("run_b", 1), Entry("run_a", 3)) == "RC002"
    with conn.transaction(force_rollback=True):
        assert append(conn, Entry("run_b", 1)) == 2
    assert append(conn, Entry("run_b", 1)) == 2
    assert positions(conn) == [1, 2]
    assert verify(conn, PROJECT).ok


def test_projects_count_for_themselves(ledger: str, conn: psycopg.Connection[Any]) -> None:
    open_project(ledger, "proj_other")
    append(conn, Entry("run_a", 1), Entry("run_a", 2))
    assert append(conn, Entry("run_a", 1), project_id="proj_other") == 1


def test_events_are_kept_as_they_were_given(conn: psycopg.Connection[Any]) -> None:
    entry = Entry("run_a", 1, b'{ "a" : 1.0 }\x00\xff', "test.ähnlich.v1", b'{"actor":"\xc3\xbc"}')
    append(conn, entry)
    row = conn.execute("select stream_id, version, data, type, metadata, event_id from events").fetchone()
    assert row == (entry.stream_id, entry.version, entry.data, entry.type, entry.metadata, entry.event_id)


def test_a_project_without_a_ledger_is_refused(conn: psycopg.Connection[Any]) -> None:
    assert sqlstate(conn, Entry("run_a", 1), project_id="proj_unknown") == "RC001"


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param([Entry("run_a", 2)], id="a version that is there"),
        pytest.param([Entry("run_a", 4)], id="a version too far"),
        pytest.param([Entry("run_a", 0)], id="a version before the first"),
        pytest.param([Entry("run_new", 2)], id="a new stream that does not begin at its beginning"),
        pytest.param([Entry("run_a", 3), Entry("run_a", 5)], id="a hole within the append"),
        pytest.param([Entry("run_a", 3), Entry("run_a", 3)], id="one version twice"),
        pytest.param([Entry("run_b", 1), Entry("run_a", 3), Entry("run_a", 2)], id="one that is there among others"),
    ],
)
def test_versions_that_do_not_continue_their_stream_are_refused(
    conn: psycopg.Connection[Any], refused: list[Entry]
) -> None:
    append(conn, Entry("run_a", 1), Entry("run_a", 2))
    assert sqlstate(conn, *refused) == "RC002"
    assert positions(conn) == [1, 2]


def test_versions_out_of_order_are_refused(conn: psycopg.Connection[Any]) -> None:
    assert sqlstate(conn, Entry("run_a", 2), Entry("run_a", 1)) == "RC002"


def test_streams_may_be_interleaved(conn: psycopg.Connection[Any]) -> None:
    append(conn, Entry("run_a", 1), Entry("run_b", 1), Entry("run_a", 2), Entry("run_b", 2), Entry("run_a", 3))
    assert (versions(conn, "run_a"), versions(conn, "run_b")) == ([1, 2, 3], [1, 2])


def test_an_append_is_all_or_none(conn: psycopg.Connection[Any]) -> None:
    too_few = {"stream_ids": ["run_a", "run_b"], "versions": [1, 1], "types": ["t"]}
    with pytest.raises(psycopg.errors.NotNullViolation):
        conn.execute(
            "select ledger_append(%(project)s, null, %(stream_ids)s, %(versions)s, array[gen_random_uuid()], %(types)s,"
            " array['{}'::bytea], array['{}'::bytea])",
            {"project": PROJECT, **too_few},
        )
    assert positions(conn) == []
    assert append(conn, Entry("run_a", 1)) == 1


def test_an_append_of_nothing_changes_nothing(conn: psycopg.Connection[Any]) -> None:
    append(conn, Entry("run_a", 1))
    before = conn.execute("select * from ledger_heads").fetchall()
    assert append(conn) == 1
    after = conn.execute("select position, digest from ledger_heads").fetchone()
    assert after == (before[0][1], before[0][2])
    assert verify(conn, PROJECT).ok


def test_time_never_goes_backwards_when_the_clock_does(conn: psycopg.Connection[Any]) -> None:
    conn.execute("set runcord.now = '2030-01-01T12:00:00Z'")
    append(conn, Entry("run_a", 1))
    conn.execute("set runcord.now = '2029-01-01T12:00:00Z'")
    append(conn, Entry("run_a", 2))
    append(conn, Entry("run_a", 3), at=datetime(2028, 1, 1, tzinfo=UTC))
    conn.execute("set runcord.now = '2030-01-01T12:00:01Z'")
    append(conn, Entry("run_a", 4))
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    recorded = [at for (at,) in conn.execute("select recorded_at from events order by position")]
    assert recorded == [noon, noon, noon, noon + timedelta(seconds=1)]


def test_events_are_recorded_at_the_time_they_were_decided_at(conn: psycopg.Connection[Any]) -> None:
    decided_at = datetime(2030, 1, 1, 12, 0, 0, 123456, UTC)
    append(conn, Entry("run_a", 1), Entry("run_b", 1), at=decided_at)
    assert conn.execute("select distinct recorded_at from events").fetchall() == [(decided_at,)]


def test_concurrent_appends_take_turns(ledger: str, conn: psycopg.Connection[Any]) -> None:
    writers, writes, events = 6, 30, 3

    def write() -> None:
        with psycopg.connect(ledger, autocommit=True) as own:
            for _ in range(writes):
                stream_id = new_id("run")
                append(own, *(Entry(stream_id, n) for n in range(1, events + 1)))

    with ThreadPoolExecutor(writers) as executor:
        for done in [executor.submit(write) for _ in range(writers)]:
            done.result()
    assert positions(conn) == list(range(1, writers * writes * events + 1))
    assert verify(conn, PROJECT).ok
    times = [at for (at,) in conn.execute("select recorded_at from events order by position")]
    assert times == sorted(times)


def test_of_concurrent_appends_to_one_stream_one_wins(ledger: str, conn: psycopg.Connection[Any]) -> None:
    def write(_: int) -> str | None:
        with psycopg.connect(ledger, autocommit=True) as own:
            try:
                append(own, Entry("run_a", 1))
            except psycopg.Error as error:
                return error.sqlstate
            return None

    with ThreadPoolExecutor(8) as executor:
        outcomes = list(executor.map(write, range(8)))
    assert sorted(outcomes, key=str) == [None, *["RC002"] * 7]
    assert positions(conn) == [1]


def test_the_log_can_be_read_as_json(conn: psycopg.Connection[Any]) -> None:
    append(conn, Entry("run_a", 1, b'{"message":"hello"}'))
    row = conn.execute("select data ->> 'message', metadata ->> 'actor', length(digest) from event_log").fetchone()
    assert row == ("hello", "test", 64)
