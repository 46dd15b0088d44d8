"""A channel that belongs to an event loop: trips are awaited, and notifications are heard as they come.

psycopg's asynchronous connections watch their socket anew for each wait, with a timeout and a task or two; this one
has it watched for as long as the connection lives.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import PGnotify
from psycopg.waiting import Ready, Wait

from runcord.ledger.channel import Channel, Row
from runcord.ledger.view import Statement


class LoopChannel(Channel):
    """One connection. Whoever asks waits for those who asked before.

    `hear` is told, in the loop, the channel and payload of what other sessions notify; our own are passed over.
    """

    def __init__(self, conn: psycopg.AsyncConnection[Row], hear: Callable[[str, bytes], None]) -> None:
        super().__init__(conn)
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._trip: PQGen[list[list[Row]]] | None = None
        self._answer: asyncio.Future[list[list[Row]]] = self._loop.create_future()
        self._lost: asyncio.Future[psycopg.Error] = self._loop.create_future()
        self._pid = self._pgconn.backend_pid
        self._socket = self._pgconn.socket
        self._is_watched = True
        self._is_writing = False
        self._pgconn.notify_handler = self._note
        self._loop.add_reader(self._socket, self._ready, Ready.R)

    async def ask(self, *statements: Statement) -> list[list[Row]]:
        """Return the rows of statements, which are one transaction. A caller that is cancelled ends the connection.

        Raises:
            psycopg.Error: none of it took place.
        """
        async with self._turn:
            for statement in statements:
                self.send(*statement)
            self._answer = self._loop.create_future()
            self._trip = self.trip()
            self._advance(None)
            try:
                return await self._answer
            except asyncio.CancelledError:
                self.close()
                raise

    async def until_lost(self) -> None:
        """Wait until the connection is lost, and raise what it was lost by."""
        raise await self._lost

    def close(self) -> None:
        """Give the connection up, with whatever was under way on it."""
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._socket)
            self._watch_for_room(False)
        super().close()

    def _lose(self, error: psycopg.Error) -> None:
        # At once: the number of the socket may soon be that of another.
        self.close()
        if not self._lost.done():
            self._lost.set_result(error)

    def _note(self, note: PGnotify) -> None:
        if note.be_pid != self._pid:
            self._hear(note.relname.decode(), note.extra)

    def _ready(self, ready: Ready) -> None:
        if self._trip is not None:
            self._advance(ready)
            return
        try:
            self._pgconn.consume_input()
            while note := self._pgconn.notifies():
                self._note(note)
        except psycopg.Error as error:
            self._lose(error)

    def _advance(self, ready: Ready | None) -> None:
        """Go on with the trip that is under way."""
        assert self._trip is not None
        try:
            wanted = self._trip.send(cast(Ready, ready))
        except StopIteration as arrived:
            self._trip = None
            if not self._answer.done():
                self._answer.set_result(arrived.value)
        except psycopg.Error as error:
            self._trip = None
            if self.closed:
                self._lose(error)
            if not self._answer.done():
                self._answer.set_exception(error)
        else:
            self._watch_for_room(bool(wanted & Wait.W))

    def _watch_for_room(self, wanted: bool) -> None:
        """Be called when the socket takes more, or no longer."""
        if wanted and not self._is_writing:
            self._loop.add_writer(self._socket, self._ready, Ready.W)
        elif self._is_writing and not wanted:
            self._loop.remove_writer(self._socket)
        self._is_writing = wanted
