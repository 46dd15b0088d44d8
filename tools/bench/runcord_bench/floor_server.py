"""The floor over HTTP: the least server that commits what it is asked for, in groups, and then says so.

It appends runs, hands them out and has them ended, without routes, keys, validation, leases or fences.
"""

import asyncio
import socket
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import closing
from typing import Any

import orjson
import uvicorn
import uvloop

from runcord_bench.floor import GroupCommit
from runcord_bench.floor_desk import Desk
from runcord_bench.process import end_with_parent, say

APPEND = "/append"
CLAIM = "/claim"
COMPLETE = "/complete"

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Floor:
    """An application that reads a JSON body, has done what its path says, and answers."""

    def __init__(self, writer: GroupCommit, desk: Desk) -> None:
        self._writer = writer
        self._desk = desk
        self._operations: Mapping[str, Callable[[Any], Awaitable[bytes]]] = {
            APPEND: self._append,
            CLAIM: self._claim,
            COMPLETE: self._complete,
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Answer a request."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = await self._operations[scope["path"]](orjson.loads(body))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _append(self, asked: Any) -> bytes:
        await self._writer.append(orjson.dumps(asked["payload"]))
        return b'{"ok":true}'

    async def _claim(self, asked: Any) -> bytes:
        taken = await self._desk.claim(asked["limit"])
        return orjson.dumps([{"id": run_id, "payload": orjson.Fragment(payload)} for run_id, payload in taken])

    async def _complete(self, asked: Any) -> bytes:
        await self._desk.complete([uuid.UUID(run_id) for run_id in asked["ids"]])
        return b'{"ok":true}'


async def serve(dsn: str) -> None:
    """Serve until told to stop; say that it is ready, and then on which port."""
    listening = socket.create_server(("127.0.0.1", 0))
    with closing(GroupCommit(dsn)) as writer, closing(Desk(dsn)) as desk:
        config = uvicorn.Config(Floor(writer, desk), log_level="warning", access_log=False, lifespan="off")
        say("ready")
        say(listening.getsockname()[1])
        end_with_parent()
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
