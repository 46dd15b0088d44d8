"""Paces: no more of something a second than was said."""

import threading

from runcord.clock import monotonic

_LEAST = 1_000


class Pace:
    """Holds its thread up so that there are no more than so many events a second; 0 lets it run."""

    def __init__(self, events_per_sec: int = 0) -> None:
        self._events_per_sec = events_per_sec
        self._next = monotonic()
        self._pause = threading.Event()

    def portion(self, most: int) -> int:
        """Return how many events to take at once, at most: about those of a second, so that pauses are short."""
        return min(most, max(_LEAST, self._events_per_sec)) if self._events_per_sec else most

    def keep(self, events: int) -> None:
        """Wait for as long as so many events should have taken at least, since the last call."""
        if self._events_per_sec:
            self._next = max(self._next, monotonic() - 1) + events / self._events_per_sec
            self._pause.wait(max(0.0, self._next - monotonic()))
