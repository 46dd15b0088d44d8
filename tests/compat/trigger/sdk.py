"""The real SDK of Trigger.dev, called from a test by the names of its functions."""

import json
import os
import queue
import subprocess
import threading
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FOLDER = Path(__file__).parent
UNDEFINED = {"$undefined": True}


class SdkError(Exception):
    """What the SDK threw: the name of its class, its message, and the HTTP status if it was an answer."""

    def __init__(self, name: str, message: str, status: int | None) -> None:
        super().__init__(f"{name}: {message} ({status})")
        self.name = name
        self.message = message
        self.status = status


class Sdk:
    """A node process with one major of the SDK, which knows nothing but the address of the server and a key."""

    def __init__(self, major: str, modules: Path, base_url: str, secret: str) -> None:
        self.major = major
        self.base_url = base_url
        self.headers = {"Authorization": f"Bearer {secret}"}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIGGER_")}
        environment |= {"TRIGGER_API_URL": base_url, "TRIGGER_SECRET_KEY": secret}
        driver = modules.parent / "driver.mjs"
        driver.write_bytes((FOLDER / "driver.mjs").read_bytes())
        self._process = subprocess.Popen(
            ["node", str(driver), major],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._ids = count(1)
        assert self._answer(60) == {"ready": major}

    @property
    def is_new(self) -> bool:
        """Whether it is 4.x."""
        return self.major == "sdk4"

    def __call__(
        self, call: str, *args: Any, collect: int | None = None, until: Sequence[str] = (), timeout: float = 60
    ) -> Any:
        """Return what a function of the SDK answers; with `collect`, that many items of what it iterates over.

        None is collected after one that has a status of `until`.

        Raises:
            SdkError: it threw.
        """
        number = next(self._ids)
        command = {"id": number, "call": call, "args": args}
        assert self._process.stdin is not None
        self._process.stdin.write(
            json.dumps(command if collect is None else {**command, "collect": collect, "until": until}) + "\n"
        )
        self._process.stdin.flush()
        answer = self._answer(timeout)
        assert answer["id"] == number
        if "error" in answer:
            error = answer["error"]
            raise SdkError(error.get("name", ""), error["message"], error.get("status"))
        return _without_undefined(answer.get("ok"))

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
            self._answers.put(line)
        self._answers.put("")

    def _answer(self, timeout: float) -> Any:
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"{self.major} has not answered for {timeout:g} seconds") from None
        assert line, f"the process of {self.major} has ended"
        return json.loads(line)


def time_of(value: Any) -> datetime:
    """Return a Date of the SDK."""
    return datetime.fromisoformat(value["$date"])


def _without_undefined(value: Any) -> Any:
    return None if value == UNDEFINED else value
