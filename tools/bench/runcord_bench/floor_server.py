"""The floor of triggers over HTTP: the least server that commits what it is sent, in groups, and then says so."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
import uvicorn
import uvloop

from runcord_bench.floor import GroupCommit, group_commit
from runcord_bench.process import end_with_parent, say

PATH = "/append"

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Floor:
    """An application that reads a JSON body, has it recorded as a new run, and answers."""

    def __init__(self, writer: GroupCommit) -> None:
        self._writer = writer

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Answer a request."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        await self._writer.append(orjson.dumps(orjson.loads(body)["payload"]))
        answer = b'{"ok":true}'
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def serve(dsn: str) -> None:
    """Serve until told to stop; say that it is ready, and then on which port."""
    listening = socket.create_server(("127.0.0.1", 0))
    with group_commit(dsn) as writer:
        config = uvicorn.Config(Floor(writer), log_level="warning", access_log=False, lifespan="off")
        say("ready")
        say(listening.getsockname()[1])
        end_with_parent()
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
