"""A program in Node that a test speaks to, line by line: what `lines.mjs` is on the other side."""

import json
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FOLDER = Path(__file__).parent
UNDEFINED = {"$undefined": True}
PATIENCE_SECS = 60.0


class NodeError(Exception):
    """What the other side threw: the name of its class, its message, and the HTTP status if it was an answer."""

    def __init__(self, name: str, message: str, status: int | None) -> None:
        super().__init__(f"{name}: {message} ({status})")
        self.name = name
        self.message = message
        self.status = status


class Reply:
    """What comes to a command: items first, if it has any, and then the answer."""

    def __init__(self, command: Mapping[str, Any]) -> None:
        self._command = command
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self.items: list[Any] = []
        """What has been received so far."""

    def put(self, message: dict[str, Any]) -> None:
        """Take a message to the command."""
        self._messages.put(message)

    def until(self, is_so: Callable[[Any], bool], timeout: float = PATIENCE_SECS) -> Any:
        """Return the next item that is so; what comes before it is in `items`."""
        while True:
            message = self._message(timeout)
            assert "item" in message, f"{self._command} has ended with {message} after {self.items}"
            if is_so(self._received(message)):
                return self.items[-1]

    def result(self, timeout: float = PATIENCE_SECS) -> Any:
        """Return the answer.

        Raises:
            NodeError: the other side threw.
        """
        while "item" in (message := self._message(timeout)):
            self._received(message)
        if "error" in message:
            error = message["error"]
            raise NodeError(error.get("name", ""), error["message"], error.get("status"))
        return without_undefined(message.get("ok"))

    def all(self, timeout: float = PATIENCE_SECS) -> list[Any]:
        """Return all items, when there are no more."""
        self.result(timeout)
        return self.items

    def _received(self, message: dict[str, Any]) -> Any:
        self.items.append(without_undefined(message["item"]))
        return self.items[-1]

    def _message(self, timeout: float) -> dict[str, Any]:
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(
                f"nothing came to {self._command} for {timeout:g} seconds, after {self.items}"
            ) from None


class NodeProcess:
    """A process that runs one of the programs of this folder, beside the packages that it imports."""

    def __init__(self, program: str, *arguments: str, modules: Path, environment: Mapping[str, str]) -> None:
        for source in FOLDER.glob("*.mjs"):
            _put(source.read_bytes(), modules.parent / source.name)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRIGGER_")}
        self._process = subprocess.Popen(
            ["node", str(modules.parent / program), *arguments],
            env={**inherited, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._replies: dict[int, Reply] = {}
        self._numbers = count(1)
        self._ready = Reply({"call": "start"})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._ready.result()

    def send(self, **command: Any) -> Reply:
        """Send a command, and return what comes to it."""
        number = next(self._numbers)
        reply = self._replies[number] = Reply(command)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, **command}) + "\n")
        self._process.stdin.flush()
        return reply

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            (self._ready if "ready" in message else self._replies[message["id"]]).put(message)
        for reply in (self._ready, *self._replies.values()):
            reply.put({"error": {"message": "the process has ended"}})


def without_undefined(value: Any) -> Any:
    """Return a value, None for `undefined`."""
    return None if value == UNDEFINED else value


def _put(content: bytes, place: Path) -> None:
    """Write a file that others may read or write the same to at this moment."""
    if not place.exists() or place.read_bytes() != content:
        new = place.with_name(f"{place.name}.{os.getpid()}")
        new.write_bytes(content)
        new.replace(place)
