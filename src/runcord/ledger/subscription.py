"""Subscriptions of the recorder: every event once, in the order of the ledger, from a position on without end.

A subscription pulls pages by position in its own caller's thread and keeps nothing else: positions are given in
the order of the commits, so what lies at or below a ledger's head is complete. One listener for all subscriptions
of a recorder wakes them; one that hears nothing looks every second, so a lost notification costs time, never an
event.
"""

import selectors
import socket
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import orjson
import psycopg
import structlog
from eventsourcing.persistence import ApplicationRecorder, Notification, OperationalError, Subscription
from psycopg_pool import ConnectionPool

from runcord.ledger.tail import CHANNEL, HELLO, LISTENERS
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/ledger.sql")

POLL_SECS = 1.0
PAGE_SIZE = 500

_RECONNECT_SECS = 0.2


class Listener:
    """Wakes who waits for a project's ledger to move. Its thread and its connection begin with the first of them."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection[Any]], project_id: str) -> None:
        self._pool = pool
        self._project_id = project_id
        self._lock = threading.Lock()
        self._waiting: set[threading.Event] = set()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._doorbell, self._button = socket.socketpair()

    def add(self, wake: threading.Event) -> None:
        """Have `wake` set whenever the ledger may have moved."""
        with self._lock:
            self._waiting.add(wake)
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="ledger-listener", daemon=True)
                self._thread.start()

    def remove(self, wake: threading.Event) -> None:
        """Leave `wake` alone from now on."""
        with self._lock:
            self._waiting.discard(wake)

    def wake(self) -> None:
        """Wake all."""
        with self._lock:
            for wake in self._waiting:
                wake.set()

    def close(self) -> None:
        """End the thread and give its connection back."""
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
        self._button.send(b"!")
        if self._thread is not None:
            self._thread.join()
        self._button.close()
        self._doorbell.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with self._pool.connection() as conn:
                    self._listen(conn)
            except (psycopg.Error, OSError) as error:
                log.warning("listener_reconnects", error=str(error).strip())
                self._closing.wait(_RECONNECT_SECS)

    def _listen(self, conn: psycopg.Connection[Any]) -> None:
        conn.execute(SQL["join_listeners"], LISTENERS)
        conn.execute(*HELLO)
        conn.execute(f"listen {CHANNEL}".encode())
        conn.commit()
        # Whatever happened before this was not heard.
        self.wake()
        with selectors.DefaultSelector() as selector:
            selector.register(conn, selectors.EVENT_READ)
            selector.register(self._doorbell, selectors.EVENT_READ)
            while not self._closing.is_set():
                selector.select()
                for note in conn.notifies(timeout=0):
                    if self._concerns_us(note.payload):
                        self.wake()
        conn.execute(b"unlisten *")
        conn.execute(SQL["leave_listeners"], LISTENERS)
        conn.commit()

    def _concerns_us(self, payload: str) -> bool:
        try:
            return any(entry[0] == self._project_id for entry in orjson.loads(payload))
        except (ValueError, TypeError, IndexError):
            return True  # somebody else's words: looking once too often does no harm


class LedgerSubscription(Subscription[ApplicationRecorder]):
    """Iterates over the events above a position and waits for more; to be used as a context manager.

    It survives the loss of its connections and of the database: it goes on when they are back. `stop`, from any
    thread, ends the iteration at once.
    """

    def __init__(
        self,
        recorder: ApplicationRecorder,
        listener: Listener,
        *,
        gt: int | None,
        topics: Sequence[str],
        poll_secs: float,
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._listener = listener
        self._poll_secs = poll_secs
        self._cursor = gt or 0
        self._page: deque[Notification] = deque()
        self._wake = threading.Event()
        self._is_heard = False
        self._lock = threading.Lock()

    def stop(self) -> None:
        """End the iteration; what was pulled and not yet handed out is dropped."""
        with self._lock:
            super().stop()
            self._listener.remove(self._wake)
        self._wake.set()

    def __next__(self) -> Notification:
        """Return the next event as soon as there is one."""
        while not self._has_been_stopped:
            if self._page:
                return self._page.popleft()
            # Cleared before looking: whatever comes after the look wakes us again.
            self._wake.clear()
            if not self._pull() and self._may_wait():
                self._wake.wait(self._poll_secs)
        raise StopIteration

    def _may_wait(self) -> bool:
        """Have the listener wake us, unless we were stopped meanwhile; the first time there is more to look at."""
        with self._lock:
            if self._has_been_stopped:
                return False
            if not self._is_heard:
                self._listener.add(self._wake)
                self._is_heard = True
            return True

    def _pull(self) -> bool:
        """Fetch the next page and tell whether there is anything in it."""
        try:
            head = self._recorder.max_notification_id() or 0
            if head <= self._cursor:
                return False
            page = self._recorder.select_notifications(
                self._cursor, PAGE_SIZE, stop=head, topics=self._topics, inclusive_of_start=False
            )
        except OperationalError as error:
            log.warning("subscription_retries", error=str(error).strip())
            return False
        # A page that is not full has shown all there is up to the head, whatever the topics left out.
        self._cursor = page[-1].id if len(page) == PAGE_SIZE else head
        self._page.extend(page)
        return bool(page)
