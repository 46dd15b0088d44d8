"""What the recorder promises beyond the library's contract: the hazards of the stock recorder do not exist here."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import (
    IntegrityError,
    Notification,
    OperationalError,
    ProgrammingError,
    StoredEvent,
)
from psycopg_pool import ConnectionPool

from runcord import faults
from runcord.clock import monotonic
from runcord.ids import new_id
from runcord.ledger.recorder import LedgerRecorder
from runcord.testing.ledger import PROJECT, Entry, append, open_project

DEADLINE = 20.0

NEVER = 600.0
"""As the interval of the poll: what arrives in time was not found by polling."""


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    yield
    faults.disarm()


def happened(stream_id: str, version: int = 1, state: bytes = b"{}", topic: str = "test.happened.v1") -> StoredEvent:
    return StoredEvent(stream_id, version, topic, state)


def until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + DEADLINE
    pause = threading.Event()
    while not condition():
        assert monotonic() < deadline, "it did not come to that in time"
        pause.wait(0.005)


def backends(conn: psycopg.Connection[Any], query: str) -> list[int]:
    """Return the backends of recorders whose last statement contains `query`."""
    rows = conn.execute(
        "select pid from pg_stat_activity where application_name = 'runcord recorder' "
        "and datname = current_database() and query ilike %s and pid <> pg_backend_pid()",
        (f"%{query}%",),
    )
    return [pid for (pid,) in rows]


class Reader(threading.Thread):
    """Takes what a subscription yields until it ends."""

    def __init__(self, recorder: LedgerRecorder, gt: int = 0) -> None:
        super().__init__(daemon=True)
        self.subscription = recorder.subscribe(gt=gt)
        self.seen: list[Notification] = []
        self.start()

    def run(self) -> None:
        for notification in self.subscription:
            self.seen.append(notification)

    @property
    def positions(self) -> list[int]:
        return [notification.id for notification in self.seen]

    def stop(self) -> None:
        self.subscription.stop()
        self.join(DEADLINE)
        assert not self.is_alive()


@pytest.fixture
def read(ledger: str) -> Iterator[Callable[..., Reader]]:
    """Starts readers that never poll."""
    readers: list[Reader] = []
    with LedgerRecorder(ledger, PROJECT, poll_secs=NEVER) as recorder:

        def start(gt: int = 0) -> Reader:
            readers.append(Reader(recorder, gt))
            return readers[-1]

        yield start
        for reader in readers:
            reader.stop()


# --- writing ------------------------------------------------------------------------------------------


def test_state_is_kept_byte_for_byte(recorder: LedgerRecorder) -> None:
    state = b'\x00\xff{ "spaces" : 1.0 }\r\n'
    recorder.insert_events([happened("run_a", state=state)])
    assert recorder.select_events("run_a")[0].state == state
    assert recorder.select_notifications(1, 1)[0].state == state


def test_events_can_be_selected_from_both_ends(recorder: LedgerRecorder) -> None:
    recorder.insert_events([happened("run_a", n) for n in range(1, 6)])
    assert [event.originator_version for event in recorder.select_events("run_a", gt=1, lte=4)] == [2, 3, 4]
    assert [event.originator_version for event in recorder.select_events("run_a", desc=True, limit=2)] == [5, 4]


def test_a_second_writer_of_a_version_is_refused(recorder: LedgerRecorder) -> None:
    recorder.insert_events([happened("run_a")])
    with pytest.raises(IntegrityError, match="run_a is at version 1"):
        recorder.insert_events([happened("run_b"), happened("run_a")])
    assert recorder.max_notification_id() == 1, "nothing of a refused append is kept"


def test_a_project_without_a_ledger_is_told(dsn: str) -> None:
    with LedgerRecorder(dsn, "proj_unknown") as recorder:
        with pytest.raises(ProgrammingError):
            recorder.insert_events([happened("run_a")])
        with pytest.raises(ProgrammingError):
            recorder.max_notification_id()


def test_projects_do_not_see_each_other(ledger: str, recorder: LedgerRecorder) -> None:
    open_project(ledger, "proj_other")
    with LedgerRecorder(ledger, "proj_other") as other:
        other.insert_events([happened("run_a"), happened("run_b")])
    assert recorder.insert_events([happened("run_a")]) == [1]
    assert recorder.max_notification_id() == 1
    assert [event.originator_id for event in recorder.select_notifications(None, 10)] == ["run_a"]


def test_a_pool_can_be_shared_and_stays_open(ledger: str) -> None:
    with ConnectionPool(ledger, min_size=1, max_size=3, open=True) as pool:
        with LedgerRecorder(pool, PROJECT) as recorder, recorder.subscribe() as subscription:
            recorder.insert_events([happened("run_a")])
            assert next(subscription).id == 1
        with pool.connection() as conn:
            assert conn.execute("select count(*) from events").fetchone() == (1,)


def test_a_lost_answer_is_looked_up(recorder: LedgerRecorder) -> None:
    def lose_the_answer() -> None:
        faults.disarm()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    faults.arm("recorder.after_commit", lose_the_answer)
    assert recorder.insert_events([happened("run_a"), happened("run_a", 2)]) == [1, 2]
    assert recorder.insert_events([happened("run_a", 3)]) == [3]


def test_an_append_that_did_not_happen_says_so(ledger: str, recorder: LedgerRecorder) -> None:
    with psycopg.connect(ledger) as holder, psycopg.connect(ledger, autocommit=True) as conn:
        holder.execute("select from ledger_heads for update")
        with ThreadPoolExecutor(1) as executor:
            insert = executor.submit(recorder.insert_events, [happened("run_a")])
            until(lambda: bool(backends(conn, "ledger_append")))
            conn.execute("select pg_terminate_backend(%s)", (backends(conn, "ledger_append")[0],))
            until(lambda: bool(backends(conn, "for update")))
            holder.rollback()
            with pytest.raises(OperationalError, match="nothing was recorded"):
                insert.result(DEADLINE)
    assert recorder.max_notification_id() is None


# --- subscriptions ------------------------------------------------------------------------------------


def test_a_tailing_reader_sees_every_position_of_concurrent_writers_in_order(ledger: str) -> None:
    writers, writes, events = 4, 40, 5
    with LedgerRecorder(ledger, PROJECT) as recorder:
        reader = Reader(recorder)

        def write() -> None:
            for _ in range(writes):
                stream_id = new_id("run")
                recorder.insert_events([happened(stream_id, n) for n in range(1, events + 1)])

        with ThreadPoolExecutor(writers) as executor:
            for done in [executor.submit(write) for _ in range(writers)]:
                done.result()
        until(lambda: len(reader.seen) >= writers * writes * events)
        reader.stop()
    assert reader.positions == list(range(1, writers * writes * events + 1))


def test_an_event_committed_between_the_first_pull_and_the_listen_is_delivered(
    ledger: str, conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled, recorded = threading.Event(), threading.Event()
    with LedgerRecorder(ledger, PROJECT, poll_secs=NEVER) as recorder:
        listen = recorder._listener._listen

        def listen_late(connection: psycopg.Connection[Any]) -> None:
            pulled.set()  # the listener is asked for when the first pull has found nothing
            assert recorded.wait(DEADLINE)
            listen(connection)

        monkeypatch.setattr(recorder._listener, "_listen", listen_late)
        reader = Reader(recorder)
        assert pulled.wait(DEADLINE)
        append(conn, Entry("run_a", 1))
        recorded.set()
        until(lambda: reader.positions == [1])
        reader.stop()


def test_another_process_wakes_a_subscription(
    ledger: str, conn: psycopg.Connection[Any], read: Callable[..., Reader]
) -> None:
    reader = read()
    until(lambda: bool(backends(conn, "listen")))
    with LedgerRecorder(ledger, PROJECT) as elsewhere:
        elsewhere.insert_events([happened("run_a")])
        until(lambda: reader.positions == [1])


def test_a_killed_listener_does_not_end_a_subscription(
    ledger: str, conn: psycopg.Connection[Any], read: Callable[..., Reader]
) -> None:
    reader = read()
    until(lambda: bool(backends(conn, "listen")))
    killed = backends(conn, "listen")
    conn.execute("select pg_terminate_backend(%s)", (killed[0],))
    with LedgerRecorder(ledger, PROJECT) as elsewhere:
        elsewhere.insert_events([happened("run_a")])
        until(lambda: reader.positions == [1])
        until(lambda: bool(backends(conn, "listen")) and backends(conn, "listen") != killed)
        elsewhere.insert_events([happened("run_a", 2)])
        until(lambda: reader.positions == [1, 2])


def test_without_any_notification_a_subscription_polls(ledger: str, conn: psycopg.Connection[Any]) -> None:
    with LedgerRecorder(ledger, PROJECT, poll_secs=0.05) as recorder:
        reader = Reader(recorder)
        until(lambda: bool(backends(conn, "listen")))
        append(conn, Entry("run_a", 1))  # tells nobody
        until(lambda: reader.positions == [1])
        reader.stop()


def test_all_subscriptions_share_one_connection_and_one_thread(
    ledger: str, conn: psycopg.Connection[Any], read: Callable[..., Reader]
) -> None:
    first = read()
    until(lambda: bool(backends(conn, "listen")))
    others = [read() for _ in range(12)]
    with LedgerRecorder(ledger, PROJECT) as elsewhere:
        elsewhere.insert_events([happened("run_a")])
    until(lambda: all(reader.positions == [1] for reader in (first, *others)))
    assert len(backends(conn, "listen")) == 1
    assert [thread.name for thread in threading.enumerate()].count("ledger-listener") == 1


def test_stop_ends_a_waiting_subscription_at_once(conn: psycopg.Connection[Any], read: Callable[..., Reader]) -> None:
    reader = read()
    until(lambda: bool(backends(conn, "listen")))
    started = monotonic()
    reader.stop()
    assert monotonic() - started < 1.0


def test_topics_that_never_come_do_not_hold_the_cursor_back(recorder: LedgerRecorder) -> None:
    recorder.insert_events([happened("run_a", n) for n in range(1, 1201)])
    recorder.insert_events([happened("run_a", 1201, topic="test.rare.v1")])
    with recorder.subscribe(topics=["test.rare.v1"]) as subscription:
        assert next(subscription).id == 1201
        recorder.insert_events([happened("run_a", 1202), happened("run_a", 1203, topic="test.rare.v1")])
        assert next(subscription).id == 1203


# --- maintenance --------------------------------------------------------------------------------------


def test_writers_do_not_wait_for_an_index_that_is_being_built(ledger: str, recorder: LedgerRecorder) -> None:
    recorder.insert_events([happened("run_a")])
    with psycopg.connect(ledger) as reader, psycopg.connect(ledger, autocommit=True) as worker:
        # Building an index concurrently waits for every older snapshot, so this one keeps it at work.
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select count(*) from events")
        with ThreadPoolExecutor(1) as executor:
            building = executor.submit(worker.execute, "create index concurrently slow on events (recorded_at)")
            with psycopg.connect(ledger, autocommit=True) as conn:
                until(lambda: conn.execute("select from pg_stat_progress_create_index").fetchone() is not None)
                assert recorder.insert_events([happened("run_a", 2)]) == [2]
                assert not building.done(), "the index was to be under construction all the time"
                reader.rollback()
            building.result(DEADLINE)


def test_writers_do_not_wait_for_a_vacuum_that_is_at_work(ledger: str, recorder: LedgerRecorder) -> None:
    recorder.insert_events([happened("run_a")])
    with psycopg.connect(ledger) as vacuum:
        # The lock that VACUUM and CREATE INDEX CONCURRENTLY hold while they work.
        vacuum.execute("lock table events, ledger_heads in share update exclusive mode")
        with psycopg.connect(ledger, options="-c lock_timeout=2s", autocommit=True) as writer:
            assert append(writer, Entry("run_a", 2)) == 2
    assert recorder.max_notification_id() == 2
