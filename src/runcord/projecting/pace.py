"""Paces: no more of something a second than was said."""

import threading

from runcord.clock import monotonic


class Pace:
    """Holds its thread up so that there are no more than so many events a second; 0 lets it run."""

    def __init__(self, events_per_sec: int = 0) -> None:
        self._events_per_sec = events_per_sec
        self._next = monotonic()
        self._pause = threading.Event()

    def keep(self, events: int) -> None:
        """Wait for as long as so many events should have taken at least, since the last call."""
        if self._events_per_sec:
            self._next = max(self._next, monotonic() - 1) + events / self._events_per_sec
            self._pause.wait(max(0.0, self._next - monotonic()))
