"""The right to work on one attempt for a while, and why that right ended."""

import threading
from typing import Literal

from runcord import clock

StopReason = Literal["cancel", "pause", "abandoned", "suspended", "shutdown"]


class Lease:
    """Know until when an attempt is ours, on this machine's monotonic clock (seconds)."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.deadline = clock.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Say whether the server may have given the run to somebody else."""
        return clock.monotonic() >= self.deadline

    def renew(self, since: float) -> None:
        """Count the lease from `since`: the moment before the heartbeat that moved it was sent."""
        self.deadline = since + self.seconds


class Interruption:
    """Say, to any thread, whether and why a handler should stop. The first reason stays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._reason: StopReason | None = None

    @property
    def reason(self) -> StopReason | None:
        """Return why the handler should stop, or None."""
        return self._reason

    def set(self, reason: StopReason) -> None:
        """Ask the handler to stop."""
        with self._lock:
            self._reason = self._reason or reason
            self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block the thread until the handler should stop, or `timeout` seconds; say which."""
        return self._event.wait(timeout)
