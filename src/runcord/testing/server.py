"""A real server process for tests: started, killed, stopped."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from runcord.clock import monotonic

PROJECT = "proj_test"
API_KEY = "strait_" + "5e" * 32

_START_SECS = 60.0


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class ServerProcess:
    """`runcord serve` on a database that has the schema, with `PROJECT` and `API_KEY`.

    It listens on the same port whenever it is started again. `fault` is what `RUNCORD_FAULT` takes.
    """

    def __init__(self, dsn: str, environment: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.headers = {"Authorization": f"Bearer {API_KEY}"}
        self._environment = {
            **os.environ,
            "DATABASE_URL": dsn,
            "RUNCORD_BOOTSTRAP_PROJECT": PROJECT,
            "RUNCORD_BOOTSTRAP_API_KEY": API_KEY,
            "RUNCORD_ALLOW_UNSAFE_DATABASE": "true",
            **(environment or {}),
        }
        self._log = Path(tempfile.mkstemp(prefix="runcord-server-", suffix=".log")[1])
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, fault: str | None = None, workers: int = 1) -> None:
        """Start the process and wait until it is ready."""
        command = [sys.executable, "-m", "runcord", "serve", "--port", str(self.port), "--workers", str(workers)]
        environment = self._environment | ({"RUNCORD_FAULT": fault} if fault else {})
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self.wait_until_ready()

    def wait_until_ready(self) -> float:
        """Wait until the server answers that it is ready; return how many seconds that took."""
        began = monotonic()
        with httpx2.Client(base_url=self.base_url, timeout=5) as client:
            while monotonic() - began < _START_SECS:
                try:
                    if client.get("/readyz").status_code == 200:
                        return monotonic() - began
                except httpx2.HTTPError:
                    pass
                if self.exit_code is not None:
                    break
        raise AssertionError(f"the server did not become ready:\n{self.log}")

    @property
    def pid(self) -> int:
        """The number of the process that was started."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the process ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text("utf-8", "replace")[-20_000:]

    def kill(self) -> None:
        """Kill the process, and the processes that it has started, with SIGKILL."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> int:
        """Ask the process to stop and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._log.unlink(missing_ok=True)
