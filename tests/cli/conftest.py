"""Running the command line as its users do: in processes of its own, on state directories of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runcord import clock
from runcord.testing.postgres import directory_for_throwaway_files

Run = Callable[..., "subprocess.CompletedProcess[str]"]
START_SECS = 60


def environment(changes: Mapping[str, str | Path]) -> dict[str, str]:
    """Return this process's environment without what would steer Runcord, and with `changes`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RUNCORD_", "PG")) and name not in {"DATABASE_URL", "NO_COLOR", "WEB_CONCURRENCY"}
    }
    return kept | {name: str(value) for name, value in changes.items()}


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A state directory that PostgreSQL's account can enter; pytest's own are closed to other users."""
    path = Path(tempfile.mkdtemp(prefix="rc-", dir=directory_for_throwaway_files()))
    path.chmod(0o755)
    yield path / "state"
    shutil.rmtree(path)


@pytest.fixture
def runcord(tmp_path: Path) -> Run:
    """Run a command to its end, with settings (`DATABASE_URL=…`) as keywords."""

    def run(*arguments: str | Path, **settings: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "runcord", *arguments],
            env=environment({"RUNCORD_STATE_DIR": tmp_path / "nobody-here", **settings}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@dataclass
class Started:
    """A server in a process of its own."""

    process: "subprocess.Popen[str]"
    log: Path

    def first_line(self) -> str:
        """Return the first line that the server prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the server ended before it said anything: {self.log.read_text()}"
        return line

    def facts(self) -> dict[str, Any]:
        """Return what `runcord dev --json` prints."""
        return json.loads(self.first_line())

    def stop(self, number: signal.Signals = signal.SIGTERM, *, timeout: float = 30) -> int:
        """Send the signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start servers, which are gone at the end of the test, whatever it did."""
    started: list[Started] = []

    def begin(*arguments: str | Path, **settings: str | Path) -> Started:
        log = tmp_path / f"server-{len(started)}.log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "runcord", *arguments],
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        started.append(Started(process, log))
        return started[-1]

    yield begin
    for server in started:
        if server.process.poll() is None:
            server.process.terminate()
    for server in started:
        server.process.communicate(timeout=30)


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until


@pytest.fixture(name="call")
def _call() -> Callable[..., tuple[int, Any]]:
    return call


def wait_until(condition: Callable[[], object], seconds: float = START_SECS) -> None:
    """Wait until a condition holds, or fail."""
    deadline = clock.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert clock.monotonic() < deadline, "the condition did not come to hold"
        pause.wait(0.02)


def call(url: str, key: str | None = None, body: object = None, timeout: float = 30) -> tuple[int, Any]:
    """Send a request (POST when there is a body) and return status and JSON; 0 when nobody answers."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data=data, headers=headers), timeout=timeout
        ) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, None


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture
def children() -> Callable[[int], list[int]]:
    """Return the ids of a process's children (Linux)."""

    def of(pid: int) -> list[int]:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in found if Path(f"/proc/{child}").exists()]

    return of
