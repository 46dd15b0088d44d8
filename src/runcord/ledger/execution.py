"""One group of commands, one transaction: the work of a committer's thread."""

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from psycopg import errors as pg

from runcord.clock import monotonic
from runcord.errors import InternalError, NotFound, RuncordError, Unavailable
from runcord.faults import fault_point
from runcord.ledger.arrays import Bytes, Integers, Texts, Uuids
from runcord.ledger.channel import Channel
from runcord.ledger.database import connect_writer
from runcord.ledger.mapper import encode
from runcord.ledger.transaction import Handler, Plan, Transaction, by_view
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
        self._channel: Channel | None = None
        self._kept: dict[Hashable, tuple[Hashable, Any]] = {}
        self._pause = threading.Event()

    def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

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
        channel = self._connection()
        try:
            tx = self._open(channel, project_id, handlers)
            outcomes = self._handle(tx, handlers)
            changes = tx.changes()
            if not changes:
                channel.rollback()
                return Result(outcomes, tx.position, ())
        except BaseException as error:
            if self._gone(error):
                raise _Lost from error
            raise
        result = Result(outcomes, tx.position, changes)
        try:
            channel.send(*_append(tx))
            channel.push()
            for statement in tx.writes:
                channel.send(*statement)
            # While the server appends, the rows are made ready.
            for projection in self._projections:
                for statement in projection.save(project_id, changes):
                    channel.send(*statement)
            fault_point("committer.before_commit")
            channel.commit()
            fault_point("committer.after_commit")
        except BaseException as error:
            if self._gone(error):
                log.warning("commit_in_doubt", project_id=project_id, events=len(tx.events))
                raise _InDoubt(tx, result) from error
            raise
        return result

    def _gone(self, error: BaseException) -> bool:
        """Whether the connection is lost; one that is not is rolled back and kept."""
        channel = self._channel
        if isinstance(error, psycopg.Error) and (channel is None or channel.closed or _is_of_the_connection(error)):
            self.close()
            return True
        try:
            if channel is not None:
                channel.rollback()
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
                channel = self._connection()
                channel.begin()
                channel.send(SQL["head_lock"], params)
                channel.send(SQL["event_ids_after"], params)
                *_, found = channel.receive()
                channel.rollback()
                return [row[0] for row in found] == tx.event_ids
            except (_Lost, psycopg.OperationalError, psycopg.InterfaceError):
                self.close()
                self._pause.wait(_PAUSE_SECS)
        raise Unavailable(
            "the database went away while this was being recorded, and whether it was is not known yet: "
            "read it back, or send it again with the same idempotency key"
        )

    def _open(self, channel: Channel, project_id: str, handlers: Sequence[Handler[Any]]) -> Transaction:
        """Lock the head and read all that the handlers asked for, in one trip."""
        plan = Plan()
        for handler in handlers:
            handler.prepare(plan)
        loads = by_view(self._views, list(plan.stream_ids)).items()
        channel.begin()
        channel.send(SQL["head_lock"], {"project_id": project_id})
        for view, ids in loads:
            channel.send(*view.load(project_id, ids))
        for question in plan.questions.values():
            channel.send(*question.statement(project_id))
        _, tip, *answers = channel.receive()
        if not tip:
            raise NotFound(f"there is no project {project_id!r}")
        position, at, dependencies_position = tip[0]
        tx = Transaction(channel, project_id, position, at, self._views, dependencies_position, self._kept)
        for view, ids in loads:
            tx.accept(view, ids, answers.pop(0))
        for key, rows in zip(plan.questions, answers, strict=True):
            tx.accept_answer(key, rows)
        return tx

    def _handle(self, tx: Transaction, handlers: Sequence[Handler[Any]]) -> list[Answer | RuncordError]:
        outcomes: list[Answer | RuncordError] = []
        for handler in handlers:
            tx.begin(handler.context)
            refusal: RuncordError | None = None
            try:
                outcomes.append(Answer(handler.handle(tx)))
            except RuncordError as error:
                tx.undo()
                refusal = error
            except psycopg.Error:
                raise
            except Exception:
                tx.undo()
                log.exception("command_failed", project_id=tx.project_id, command=type(handler).__name__)
                refusal = InternalError()
            if refusal is not None:
                outcomes.append(refusal)
            tx.finish(refusal)
        return outcomes

    # --- connections ----------------------------------------------------------------------------------

    def _connection(self) -> Channel:
        if self._channel is None or self._channel.closed:
            try:
                self._channel = Channel(connect_writer(self._dsn))
            except psycopg.OperationalError as error:
                raise _Lost from error
        return self._channel


def _append(tx: Transaction) -> Statement:
    """Return what writes the events."""
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
    return SQL["append"], append


def _is_of_the_connection(error: psycopg.Error) -> bool:
    """Whether the error says that the connection ended, and not what the server thinks of a statement."""
    if isinstance(error, _SHUTDOWN):
        return True
    ours = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not error.sqlstate
    return ours and not isinstance(error, pg.PipelineAborted)
