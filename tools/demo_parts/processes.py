"""The processes that the demo starts, and that none of them outlives it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

STOP_SECS = 20.0
"""How long a process may take to stop once asked; then it is killed."""

CONCURRENCY = 4
LEASE_SECS = 5
TOOLS = Path(__file__).parents[1]


class DemoError(Exception):
    """The demo cannot go on; the text says why, and what to do."""


class Server:
    """`runcord dev` on a state directory. Its log is `demo-server.log` there."""

    def __init__(self, state_dir: Path, *, usual_port: bool) -> None:
        """Start it. With `usual_port` it listens where users expect it, if it can; else on any free port."""
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            self._log = (state_dir / "demo-server.log").open("w+b")
        except OSError as error:
            raise DemoError(f"Cannot write to {state_dir} ({error.strerror}): choose another --state-dir.") from error
        command = [sys.executable, "-m", "runcord", "dev", "--json", "--state-dir", str(state_dir)]
        self.process = _start([*command, *([] if usual_port else ["--port", "0"])], self._log, stdout=subprocess.PIPE)
        self.base_url = self.api_key = ""

    def wait_until_ready(self, timeout: float) -> None:
        """Return when it serves. Raises DemoError, with what the server said, when it ends or takes too long."""
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        stdout = self.process.stdout
        assert stdout is not None
        threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=timeout)
        except queue.Empty:
            raise DemoError(f"The server was not ready after {timeout:g} s. {self.account()}") from None
        if not line:
            self.process.wait(STOP_SECS)
            raise DemoError(self.account())
        facts: dict[str, Any] = json.loads(line)
        self.base_url, self.api_key = facts["base_url"], facts["api_key"]

    def account(self) -> str:
        """Return whether it runs or how it ended, and the end of its log."""
        status = self.process.poll()
        state = "runs" if status is None else f"ended with status {status}"
        return f"The server {state}. It said:\n{self._said()}"

    def _said(self) -> str:
        self._log.flush()
        text = Path(self._log.name).read_text(errors="replace").strip()
        return "\n".join(text.splitlines()[-15:]) or "(nothing)"

    def stop(self) -> None:
        """Stop the server, and with it its database."""
        _stop([self.process])
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()


@dataclass
class Workers:
    """The worker processes: those that work, and the ids of those that were killed."""

    server: Server
    state_dir: Path
    alive: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)
    _started: int = 0

    def start(self) -> str:
        """Start one more and return its id."""
        self._started += 1
        worker_id = f"demo-{os.getpid()}-worker-{self._started}"
        environment = {**os.environ, "RUNCORD_BASE_URL": self.server.base_url, "RUNCORD_API_KEY": self.server.api_key}
        command = [sys.executable, str(TOOLS / "demo_worker.py"), worker_id, str(CONCURRENCY), str(LEASE_SECS)]
        with (self.state_dir / "demo-workers.log").open("ab") as log:
            self.alive[worker_id] = _start(command, log, stdin=subprocess.PIPE, env=environment)
        return worker_id

    def freeze(self, worker_id: str) -> None:
        """Stop one where it is, so that what it does is still the same when it has been looked at."""
        self.alive[worker_id].send_signal(signal.SIGSTOP)

    def thaw(self, worker_id: str) -> None:
        """Let a frozen one go on."""
        self.alive[worker_id].send_signal(signal.SIGCONT)

    def kill(self, worker_id: str) -> int:
        """Kill one with SIGKILL, which it cannot notice, and return the process id that it had."""
        process = self.alive.pop(worker_id)
        process.kill()
        process.wait()
        _close_input(process)
        self.killed.append(worker_id)
        return process.pid

    def ended(self) -> list[str]:
        """Return the ids of those that ended though nobody told them to."""
        return [worker_id for worker_id, process in self.alive.items() if process.poll() is not None]

    def stop(self) -> None:
        """Stop all: they finish what they are doing, or hand it back."""
        processes, self.alive = list(self.alive.values()), {}
        _stop(processes)
        for process in processes:
            _close_input(process)


def _start(command: Sequence[str], stderr: IO[bytes], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a process in a session of its own: the terminal's Ctrl-C is for the demo, which stops them in order."""
    return subprocess.Popen(
        command, **{"stdin": subprocess.DEVNULL, "stdout": stderr, **options}, stderr=stderr, start_new_session=True
    )


def _stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)  # one that is frozen would not hear
    for process in processes:
        try:
            process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _close_input(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        process.stdin.close()
