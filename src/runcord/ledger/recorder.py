"""One project's ledger as a recorder of the eventsourcing library.

It makes the library's `Application`, `Repository`, projections and tools work on our log, and it holds us to the
library's contracts: its own test cases run against this class. Runcord's commands do not come this way: they go
through the committer, which keeps the inline views in step. Streams that have an inline view are to be read here,
not written.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import orjson
import psycopg
import structlog
from eventsourcing import persistence as library
from eventsourcing.persistence import ApplicationRecorder, Notification, StoredEvent
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from runcord.faults import fault_point
from runcord.ids import new_event_id
from runcord.ledger.subscription import POLL_SECS, LedgerSubscription, Listener
from runcord.ledger.tail import CHANNEL
from runcord.ledger.transaction import Row
from runcord.sql import load

log = structlog.get_logger(__name__)

LEDGER_SQL = load("runcord.sql", "queries/ledger.sql")
SQL = load("runcord.sql", "queries/recorder.sql")

Pool = ConnectionPool[psycopg.Connection[Any]]

_LAST_VERSION = 2**31 - 1
_LAST_POSITION = 2**63 - 1

_FAMILIES: Sequence[tuple[type[psycopg.Error], type[library.PersistenceError]]] = (
    (psycopg.InterfaceError, library.InterfaceError),
    (psycopg.OperationalError, library.OperationalError),
    (psycopg.DataError, library.DataError),
    (psycopg.IntegrityError, library.IntegrityError),
    (psycopg.InternalError, library.InternalError),
    (psycopg.ProgrammingError, library.ProgrammingError),
    (psycopg.NotSupportedError, library.NotSupportedError),
    (psycopg.DatabaseError, library.DatabaseError),
    (psycopg.Error, library.PersistenceError),
)

_BY_SQLSTATE = {"RC001": library.ProgrammingError, "RC002": library.IntegrityError}
"""What `ledger_append` raises: there is no such ledger; the stream is at another version."""


class LedgerRecorder(ApplicationRecorder):
    """Records and reads the events of one project.

    Positions, which the library calls notification ids, have no holes and are in the order of the commits; `state` is
    kept byte for byte. An append whose answer was lost is looked up before an error is raised, so that an
    `OperationalError` that says so means that nothing was recorded.

    Given a DSN it has a pool of its own until `close`; a pool that is given stays the caller's to close. All
    subscriptions share one of its connections.
    """

    def __init__(
        self, database: str | Pool, project_id: str, *, max_connections: int = 10, poll_secs: float = POLL_SECS
    ) -> None:
        self.project_id = project_id
        self._pool = _own_pool(database, max_connections) if isinstance(database, str) else database
        self._owns_pool = isinstance(database, str)
        self._poll_secs = poll_secs
        self._listener = Listener(self._pool, project_id)

    def close(self) -> None:
        """Stop listening and give the connections back. Subscriptions are to be stopped before."""
        self._listener.close()
        if self._owns_pool:
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- writing --------------------------------------------------------------------------------------

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Append events, all or none, and return their positions. Other arguments are passed over.

        Raises:
            eventsourcing.persistence.IntegrityError: a stream is not at the version before the first one given.
            eventsourcing.persistence.ProgrammingError: the project has no ledger.
            eventsourcing.persistence.OperationalError: the database is away; the message tells whether the events
                were recorded, as far as that is known.
        """
        if not stored_events:
            return []
        event_ids = [new_event_id() for _ in stored_events]
        with _library_errors():
            try:
                last = self._append(stored_events, event_ids)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if not _leaves_doubt(error):
                    raise
                last = self._last_position_if_recorded(stored_events[-1], event_ids[-1])
                if last is None:
                    raise psycopg.OperationalError(f"the database went away; nothing was recorded: {error}") from error
        self._listener.wake()
        return list(range(last - len(stored_events) + 1, last + 1))

    def _append(self, stored_events: Sequence[StoredEvent], event_ids: Sequence[UUID]) -> int:
        with self._pool.connection() as conn:
            params = {
                "project_id": self.project_id,
                "at": None,
                "stream_ids": [str(event.originator_id) for event in stored_events],
                "versions": [event.originator_version for event in stored_events],
                "event_ids": list(event_ids),
                "types": [event.topic for event in stored_events],
                "data": [event.state for event in stored_events],
                "metadata": [b"{}"] * len(stored_events),
            }
            [(last,)] = _rows(conn, LEDGER_SQL["append"], params)
            conn.commit()
            fault_point("recorder.after_commit")
            self._tell(conn, last)
            return last

    def _tell(self, conn: psycopg.Connection[Any], position: int) -> None:
        """Tell the other processes; who does not hear it finds the events by looking."""
        payload = orjson.dumps([(self.project_id, position, 0)]).decode()
        try:
            conn.execute("select pg_notify(%s, %s)", (CHANNEL, payload))
        except psycopg.Error as error:
            log.warning("append_untold", project_id=self.project_id, error=str(error).strip())

    def _last_position_if_recorded(self, event: StoredEvent, event_id: UUID) -> int | None:
        """Tell what became of an append by its last event, under the lock that the append would hold if it still ran.

        Raises:
            psycopg.OperationalError: that cannot be told.
        """
        wanted = {"stream_id": str(event.originator_id), "version": event.originator_version, "event_id": event_id}
        try:
            with self._pool.connection() as conn, conn.transaction():
                _rows(conn, LEDGER_SQL["head_lock"], {"project_id": self.project_id})
                found = _rows(conn, SQL["position_of_event"], {"project_id": self.project_id, **wanted})
        except psycopg.Error as error:
            raise psycopg.OperationalError(
                f"the database went away; whether the events were recorded is not known: {error}"
            ) from error
        return found[0][0] if found else None

    # --- reading --------------------------------------------------------------------------------------

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return the events of one stream with versions above `gt` and up to `lte`, at most `limit`."""
        statement = SQL["stored_events_descending" if desc else "stored_events"]
        rows = self._read(
            statement,
            stream_id=str(originator_id),
            gt=-1 if gt is None else gt,
            lte=_LAST_VERSION if lte is None else lte,
            limit=limit,
        )
        return [StoredEvent(*row) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return the events from position `start` to `stop`, of some types if `topics` are given, at most `limit`."""
        first = 0 if start is None else start
        rows = self._read(
            SQL["notifications"],
            start=first if inclusive_of_start or start is None else first + 1,
            stop=_LAST_POSITION if stop is None else stop,
            types=list(topics) or None,
            limit=limit,
        )
        return [Notification(*row) for row in rows]

    def max_notification_id(self) -> int | None:
        """Return the position of the last event, or None if there is none."""
        head = self._read(SQL["last_position"])
        if not head:
            raise library.ProgrammingError(f"project {self.project_id} has no ledger")
        return head[0][0] or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> LedgerSubscription:
        """Return an iterator over the events above position `gt` that goes on with those yet to be recorded."""
        return LedgerSubscription(self, self._listener, gt=gt, topics=topics, poll_secs=self._poll_secs)

    def _read(self, statement: bytes, **params: Any) -> list[Row]:
        with _library_errors(), self._pool.connection() as conn:
            return _rows(conn, statement, {"project_id": self.project_id, **params})


def _own_pool(dsn: str, size: int) -> Pool:
    return ConnectionPool(
        dsn,
        kwargs={"autocommit": True, "application_name": "runcord recorder", "connect_timeout": 5},
        # One more than asked for: a connection listens.
        min_size=1,
        max_size=size + 1,
        check=ConnectionPool.check_connection,
        name="runcord recorder",
        open=True,
    )


def _rows(conn: psycopg.Connection[Any], statement: bytes, params: dict[str, Any]) -> list[Row]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(statement, params).fetchall()


def _leaves_doubt(error: psycopg.Error) -> bool:
    """Whether a connection was lost, so that nobody can say from here what became of the statement."""
    if isinstance(error, PoolTimeout | PoolClosed | TooManyRequests):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))


@contextmanager
def _library_errors() -> Generator[None]:
    """Raise psycopg's errors as the library's."""
    try:
        yield
    except psycopg.Error as error:
        family = next(ours for theirs, ours in _FAMILIES if isinstance(error, theirs))
        raise _BY_SQLSTATE.get(error.sqlstate or "", family)(str(error)) from error
