"""A writer's connection: statements are sent without waiting, and answered together at the end of a trip.

This speaks to libpq by psycopg's own binding. psycopg's cursors do the same in more steps, which under a ledger's
lock cost each group of commands as much as twenty of its commands; what they convert values with is used here too.
Every statement is prepared once a connection, `begin` and `commit` included, and every value comes back in binary.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count
from typing import Any, NamedTuple

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.waiting import wait

Row = tuple[Any, ...]

_PARAMETER = re.compile(rb"%\((\w+)\)([sbt])|%%")
_FORMATS = {b"s": PyFormat.AUTO, b"b": PyFormat.BINARY, b"t": PyFormat.TEXT}
_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE, ExecStatus.PIPELINE_ABORTED)

_INTERVAL_SECS = 1.0
"""How often a wait for the server looks up; zero would have it spin."""


class Channel:
    """One connection, which nothing else may use meanwhile.

    After an error, `rollback` or `close`: nothing else makes sense.
    """

    def __init__(self, conn: psycopg.Connection[Row] | psycopg.AsyncConnection[Row]) -> None:
        self._conn = conn
        self._pgconn = conn.pgconn
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._transformer = Transformer(conn)
        self._prepared: dict[tuple[bytes, Sequence[int]], bytes] = {}
        self._names = count()
        self._under_way: list[tuple[bytes, Sequence[int]] | None] = []
        """What has been sent since the last answer: None for a statement, its key where one is being prepared."""

    @property
    def closed(self) -> bool:
        """Whether the connection is known to be gone."""
        return self._conn.closed

    def close(self) -> None:
        """Give the connection up, with whatever was under way on it."""
        self._pgconn.finish()

    # --- transactions ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Send the beginning of a transaction."""
        self.send(b"begin", {})

    def commit(self) -> None:
        """Commit, and return when that is durable. Raises the first error of what was sent before."""
        self.send(b"commit", {})
        self.receive()

    def rollback(self) -> None:
        """Forget what was sent and not answered, and end the transaction."""
        if self._under_way:
            try:
                self.receive()
            except psycopg.Error:
                if self.closed:
                    raise
        self.send(b"rollback", {})
        self.receive()

    # --- trips ----------------------------------------------------------------------------------------

    def send(self, statement: bytes, params: Mapping[str, Any]) -> None:
        """Send a statement with psycopg's named parameters. What it answers comes with `receive`."""
        query = _positional(statement)
        values = self._transformer.dump_sequence([params[name] for name in query.names], query.formats)
        types = self._transformer.types or ()
        key = (statement, types)
        name = self._prepared.get(key)
        if name is None:
            name = self._prepared[key] = b"runcord_%d" % next(self._names)
            self._pgconn.send_prepare(name, query.text, types)
            self._under_way.append(key)
        self._pgconn.send_query_prepared(name, values, self._transformer.formats, Format.BINARY)
        self._under_way.append(None)

    def push(self) -> None:
        """Let the server begin with what was sent, as far as that can be had without waiting."""
        self._pgconn.flush()

    def receive(self) -> list[list[Row]]:
        """Return the rows of every statement sent since the last time, in order.

        Raises:
            psycopg.Error: the first error; what was sent after it was not executed.
        """
        return wait(self.trip(), self._pgconn.socket, _INTERVAL_SECS)

    def trip(self) -> PQGen[list[list[Row]]]:
        """Do what `receive` does, step by step: say what to wait for, and go on when that is there."""
        under_way, self._under_way = self._under_way, []
        try:
            self._pgconn.pipeline_sync()
            results = yield from self._answers(len(under_way))
            for result in results:
                if result.status in _FAILED:
                    raise error_from_result(result)
        except BaseException:
            # Whether these have been prepared is not known: the next of the kind gets another name.
            for key in under_way:
                if key is not None:
                    self._prepared.pop(key, None)
            raise
        return [self._rows(result) for result, key in zip(results, under_way, strict=True) if key is None]

    def fetch(self, statement: bytes, params: Mapping[str, Any]) -> list[Row]:
        """Send one statement and return its rows: a trip of its own."""
        self.send(statement, params)
        return self.receive()[-1]

    def _answers(self, sent: int) -> PQGen[list[PGresult]]:
        yield from generators.send(self._pgconn)
        results: list[PGresult] = []
        for _ in range(sent):
            while (result := (yield from generators.fetch(self._pgconn))) is not None:
                results.append(result)
                if self._pgconn.status == ConnStatus.BAD:
                    raise error_from_result(result)
        yield from generators.fetch(self._pgconn)  # the end of the trip
        return results

    def _rows(self, result: PGresult) -> list[Row]:
        if not result.ntuples:
            return []
        self._transformer.set_pgresult(result, set_loaders=True, format=Format.BINARY)
        return self._transformer.load_rows(0, result.ntuples, tuple)


class _Positional(NamedTuple):
    text: bytes
    names: Sequence[str]
    formats: Sequence[PyFormat]


@cache
def _positional(statement: bytes) -> _Positional:
    """Return a statement with `$1`, `$2` … in the place of psycopg's named parameters."""
    names: list[str] = []
    formats: list[PyFormat] = []

    def number(found: re.Match[bytes]) -> bytes:
        if found[0] == b"%%":
            return b"%"
        name = found[1].decode()
        if name not in names:
            names.append(name)
            formats.append(_FORMATS[found[2]])
        return b"$%d" % (names.index(name) + 1)

    return _Positional(_PARAMETER.sub(number, statement), names, formats)
