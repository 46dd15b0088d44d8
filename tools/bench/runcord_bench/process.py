"""Further processes of a benchmark: started ready to begin, told when, and ended whatever happens.

They speak lines of JSON: one when they are ready, then whatever their module says. A line on their standard input
means begin; its end means that nobody needs them any more.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from runcord.clock import monotonic

END_SECS = 10.0

_NEVER = threading.Event()


class ProcessFailed(Exception):
    """A process of the benchmark ended, or kept silent, when it was needed."""


class Process:
    """One process of ours. `read` raises ProcessFailed when it has ended, or keeps silent for too long."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, log: IO[bytes] | None = None
    ) -> None:
        self.name = " ".join(command[:4])
        # A session of its own: Ctrl-C reaches us alone, and we end things in order.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self._rest = b""

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def begin(self) -> None:
        """Say that it is time."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def read(self, seconds: float) -> Any:
        """Return the next line's value, waiting up to `seconds` for it."""
        assert self._process.stdout is not None
        deadline = monotonic() + seconds
        while b"\n" not in self._rest:
            readable, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - monotonic()))
            if not readable:
                raise ProcessFailed(f"{self.name} said nothing for {seconds:g} s")
            more = os.read(self._process.stdout.fileno(), 1 << 16)
            if not more:
                raise ProcessFailed(f"{self.name} ended with status {self._process.wait(END_SECS)}")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def end(self) -> None:
        """Ask it to stop, and kill it when it does not."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(END_SECS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stdout.close()


@contextlib.contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> Iterator[Process]:
    """Run a command until the end of the block; `log` takes what it writes to its standard error."""
    process = Process(command, environment, log)
    try:
        yield process
    finally:
        process.end()


@contextlib.contextmanager
def running_modules(module: str, *arguments: str, count: int) -> Iterator[list[Process]]:
    """Run a module of ours `count` times at once; each has said that it is ready."""
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-P", "-m", f"runcord_bench.{module}", *arguments]
        processes = [stack.enter_context(running(command)) for _ in range(count)]
        for process in processes:
            process.read(30)
        yield processes


def pause(seconds: float) -> None:
    """Do nothing for a moment."""
    _NEVER.wait(seconds)


def wait_until(is_so: Callable[[], bool], what: str, *, seconds: float, every: float) -> None:
    """Look every so often until it is so. Raises TimeoutError after `seconds`."""
    deadline = monotonic() + seconds
    while not is_so():
        if monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        pause(every)


# --- in such a process ------------------------------------------------------------------------------------


def say(value: Any) -> None:
    """Tell the process that started this one."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def wait_to_begin() -> None:
    """Say that this process is ready, and wait until it is time. Ends the process when nobody needs it any more."""
    say("ready")
    if not sys.stdin.readline():
        sys.exit(0)
    end_with_parent()


def end_with_parent() -> None:
    """Have this process end by itself when the one that started it has gone."""

    def watch() -> None:
        while sys.stdin.readline():
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
