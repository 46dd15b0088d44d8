"""How long to wait before asking an absent server again."""

import random


class Backoff:
    """Give delays in seconds that double from `first` to `longest`, each shortened by up to a half at random."""

    def __init__(self, first: float = 0.1, longest: float = 5.0) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def delay(self, at_least: float | None = None) -> float:
        """Return the next delay; not less than what the server asked for (`Retry-After`), up to a minute."""
        delay, self._next = self._next, min(self._next * 2, self._longest)
        return max(delay * random.uniform(0.5, 1.0), min(at_least or 0.0, 60.0))

    def reset(self) -> None:
        """Begin with the first delay again."""
        self._next = self._first
