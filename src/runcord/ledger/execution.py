"""One group of commands, one transaction: the work of a committer's thread."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from psycopg import errors as pg

from runcord.clock import monotonic
from runcord.errors import InternalError, NotFound, RuncordError, Unavailable
from runcord.faults import fault_point
from runcord.ledger.arrays import Bytes, Integers, Texts, Uuids
from runcord.ledger.database import connect_writer
from runcord.ledger.mapper import encode
from runcord.ledger.transaction import Handler, Plan, Row, Transaction, by_view
from runcord.ledger.view import Change, InlineProjection, InlineView, Statement
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/ledger.sql")

RETRY_SECS = 8.0
"""How long a group is tried again while the database is away, before its callers are told."""

_PAUSE_SECS = 0.1

_SHUTDOWN = (pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow, pg.IdleInTransactionSessionTimeout)
_HELD_UP = (pg.LockNotAvailable, pg.QueryCanceled, pg.DeadlockDetected, pg.SerializationFailure)
"""Somebody holds the ledger for long; nothing took place, so it may be tried again."""
_NO_ROOM = (pg.DiskFull, pg.OutOfMemory, pg.InsufficientResources)


@dataclass(frozen=True)
class Answer:
    """What a handler returned."""

    value: Any


@dataclass(frozen=True)
class Result:
    """What became of a group: an outcome for each command in order, and what it did to the ledger."""

    outcomes: Sequence[Answer | RuncordError]
    position: int
    changes: Sequence[Change]


class _Lost(Exception):
    """The connection went away before anything could be committed."""


class _InDoubt(Exception):
    """The connection went away while the commit was under way."""

    def __init__(self, tx: Transaction, result: Result) -> None:
        self.tx = tx
        self.result = result


class Executor:
    """Executes groups on one connection of its own, which it makes again when it is lost."""

    def __init__(self, dsn: str, *, views: Sequence[InlineView], projections: Sequence[InlineProjection]) -> None:
        self._dsn = dsn
        self._views = {view.prefix: view for view in views}
        self._projections = (*views, *projections)
        self._conn: psycopg.Connection[Row] | None = None
        self._pause = threading.Event()

    def close(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def execute(self, project_id: str, handlers: Sequence[Handler[Any]]) -> Result:
        """Execute the commands in one transaction and return when it is durable.

        Raises:
            Unavailable: the database could not be reached for `RETRY_SECS`, or has no room.
            NotFound: the project has no ledger.
            psycopg.Error: the database refused the transaction; nothing of it took place.
        """
        deadline = monotonic() + RETRY_SECS
        while True:
            try:
                return self._attempt(project_id, handlers)
            except _InDoubt as doubt:
                if self._took_place(doubt.tx, deadline):
                    return doubt.result
            except (_Lost, *_HELD_UP):
                pass
            except _NO_ROOM as error:
                raise Unavailable("the database has no room just now; nothing was changed") from error
            if monotonic() > deadline:
                raise Unavailable("the database is not available just now; nothing was changed, try again shortly")
            self._pause.wait(_PAUSE_SECS)

    # --- one attempt ----------------------------------------------------------------------------------

    def _attempt(self, project_id: str, handlers: Sequence[Handler[Any]]) -> Result:
        conn = self._connection()
        try:
            tx = self._open(conn, project_id, handlers)
            outcomes = self._handle(tx, handlers)
            changes = tx.changes()
            if not changes:
                conn.rollback()
                return Result(outcomes, tx.position, ())
            statements = self._statements(tx, changes)
        except BaseException as error:
            if self._gone(error):
                raise _Lost from error
            raise
        result = Result(outcomes, tx.position, changes)
        try:
            fault_point("committer.before_commit")
            with conn.pipeline():
                for statement, params in statements:
                    conn.execute(statement, params)
                conn.commit()
            fault_point("committer.after_commit")
        except BaseException as error:
            if self._gone(error):
                log.warning("commit_in_doubt", project_id=project_id, events=len(tx.events))
                raise _InDoubt(tx, result) from error
            raise
        return result

    def _gone(self, error: BaseException) -> bool:
        """Whether the connection is lost; one that is not is rolled back and kept."""
        conn = self._conn
        if isinstance(error, psycopg.Error) and (conn is None or conn.closed or _is_of_the_connection(error)):
            self.close()
            return True
        try:
            if conn is not None:
                conn.rollback()
        except psycopg.Error:
            self.close()
            return True
        return False

    def _took_place(self, tx: Transaction, deadline: float) -> bool:
        """Tell whether the events of `tx` are in the ledger.

        The head's lock is taken first: while the lost transaction is still under way, it holds that lock.

        Raises:
            Unavailable: that could not be told before the deadline.
        """
        params = {"project_id": tx.project_id, "position": tx.base, "limit": len(tx.events)}
        while monotonic() <= deadline:
            try:
                conn = self._connection()
                conn.execute(SQL["head_lock"], params)
                found = [row[0] for row in conn.execute(SQL["event_ids_after"], params)]
                conn.rollback()
                return found == tx.event_ids
            except (_Lost, psycopg.OperationalError, psycopg.InterfaceError):
                self.close()
                self._pause.wait(_PAUSE_SECS)
        raise Unavailable(
            "the database went away while this was being recorded, and whether it was is not known yet: "
            "read it back, or send it again with the same idempotency key"
        )

    def _open(self, conn: psycopg.Connection[Row], project_id: str, handlers: Sequence[Handler[Any]]) -> Transaction:
        """Lock the head and read all that the handlers asked for, in one trip."""
        plan = Plan()
        for handler in handlers:
            handler.prepare(plan)
        loads = [
            (view, ids, conn.cursor(binary=True)) for view, ids in by_view(self._views, list(plan.stream_ids)).items()
        ]
        asked = [(key, question, conn.cursor(binary=True)) for key, question in plan.questions.items()]
        with conn.pipeline():
            head = conn.execute(SQL["head_lock"], {"project_id": project_id})
            for view, ids, cursor in loads:
                cursor.execute(*view.load(project_id, ids))
            for _, question, cursor in asked:
                cursor.execute(*question.statement(project_id))
        tip = head.fetchone()
        if tip is None:
            raise NotFound(f"there is no project {project_id!r}")
        tx = Transaction(conn, project_id, tip[0], tip[1], self._views)
        for view, ids, cursor in loads:
            tx.accept(view, ids, cursor.fetchall())
        for key, _, cursor in asked:
            tx.accept_answer(key, cursor.fetchall())
        return tx

    def _handle(self, tx: Transaction, handlers: Sequence[Handler[Any]]) -> list[Answer | RuncordError]:
        outcomes: list[Answer | RuncordError] = []
        for handler in handlers:
            tx.begin(handler.context)
            try:
                outcomes.append(Answer(handler.handle(tx)))
            except RuncordError as refusal:
                tx.undo()
                outcomes.append(refusal)
            except psycopg.Error:
                raise
            except Exception:
                tx.undo()
                log.exception("command_failed", project_id=tx.project_id, command=type(handler).__name__)
                outcomes.append(InternalError())
        return outcomes

    def _statements(self, tx: Transaction, changes: Sequence[Change]) -> list[Statement]:
        """Return what writes the events and the inline rows."""
        append = {
            "project_id": tx.project_id,
            "at": tx.at,
            "stream_ids": Texts(recorded.stream_id for recorded in tx.events),
            "versions": Integers(recorded.version for recorded in tx.events),
            "event_ids": Uuids(tx.event_ids),
            "types": Texts(recorded.event.TYPE for recorded in tx.events),
            "data": Bytes(encode(recorded.event) for recorded in tx.events),
            "metadata": Bytes(tx.metadata),
        }
        derived = (s for projection in self._projections for s in projection.save(tx.project_id, changes))
        return [(SQL["append"], append), *derived]

    # --- connections ----------------------------------------------------------------------------------

    def _connection(self) -> psycopg.Connection[Row]:
        if self._conn is None or self._conn.closed:
            try:
                self._conn = connect_writer(self._dsn)
            except psycopg.OperationalError as error:
                raise _Lost from error
        return self._conn


def _is_of_the_connection(error: psycopg.Error) -> bool:
    """Whether the error says that the connection ended, and not what the server thinks of a statement."""
    if isinstance(error, _SHUTDOWN):
        return True
    ours = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and error.sqlstate is None
    return ours and not isinstance(error, pg.PipelineAborted)
