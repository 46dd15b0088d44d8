"""Answers of the database that are good for a moment: asked once for all who want to know, and kept for a second."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from runcord.clock import monotonic

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

CACHE_SECS = 1.0

_MOST = 10_000


@dataclass(frozen=True)
class _Known(Generic[V]):
    value: V
    asked_at: float


class Remembered(Generic[K, V]):
    """Asks for values by key, and remembers each for `CACHE_SECS` from when it was asked for."""

    def __init__(self, ask: Callable[[K], Awaitable[V]]) -> None:
        self._ask = ask
        self._known: dict[K, _Known[V]] = {}
        self._asking: dict[K, asyncio.Task[_Known[V]]] = {}

    def known(self, key: K) -> V | None:
        """Return the value if it is remembered."""
        known = self._known.get(key)
        return None if known is None or monotonic() >= known.asked_at + CACHE_SECS else known.value

    async def get(self, key: K, *, since: float = 0.0) -> V:
        """Return the value, asked for since a moment of the monotonic clock.

        Raises what asking raises, which is not remembered.
        """
        known = self._known.get(key)
        if known is None or monotonic() >= known.asked_at + CACHE_SECS or known.asked_at < since:
            known = await self._ask_once(key)
        return known.value

    def forget(self, is_meant: Callable[[K, V], bool]) -> None:
        """Ask anew for values when they are wanted next: this process need not wait to feel what it has itself done."""
        self._known = {key: known for key, known in self._known.items() if not is_meant(key, known.value)}

    async def _ask_once(self, key: K) -> _Known[V]:
        """Ask once for all the requests that want to know just now."""
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask_now(key))
            asking.add_done_callback(lambda task: self._asked(key, task))
        return await asyncio.shield(asking)

    async def _ask_now(self, key: K) -> _Known[V]:
        asked_at = monotonic()
        return _Known(await self._ask(key), asked_at)

    def _asked(self, key: K, task: "asyncio.Task[_Known[V]]") -> None:
        del self._asking[key]
        if task.cancelled() or task.exception() is not None:  # those who wait are told
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = task.result()
