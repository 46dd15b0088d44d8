"""The hub: who in this process waits for a ledger to move, and for runs to become claimable.

Belongs to one event loop. It promises wake-ups, not facts: whoever is woken looks into the database.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class _Ledger:
    position: int = 0
    signals: int = 0
    readers: set["asyncio.Future[None]"] = field(default_factory=set["asyncio.Future[None]"])
    takers: deque["asyncio.Future[None]"] = field(default_factory=deque["asyncio.Future[None]"])


class Hub:
    """Waiters by project."""

    def __init__(self) -> None:
        self._ledgers: dict[str, _Ledger] = {}

    def watched(self) -> list[str]:
        """Return the projects that anybody here waits for."""
        return [project_id for project_id, ledger in self._ledgers.items() if ledger.readers or ledger.takers]

    def position(self, project_id: str) -> int:
        """Return the furthest position that is known here; the ledger may be further."""
        ledger = self._ledgers.get(project_id)
        return 0 if ledger is None else ledger.position

    def signals(self, project_id: str) -> int:
        """Return how often it was said that runs may have become claimable."""
        ledger = self._ledgers.get(project_id)
        return 0 if ledger is None else ledger.signals

    def advance(self, project_id: str, position: int, ready: int) -> None:
        """Say that a ledger has reached `position`, and that about `ready` more runs may be claimed."""
        ledger = self._ledgers.setdefault(project_id, _Ledger())
        if position > ledger.position:
            ledger.position = position
            _wake(ledger.readers)
            ledger.readers.clear()
        if ready > 0:
            ledger.signals += 1
        while ready > 0 and ledger.takers:
            taker = ledger.takers.popleft()
            if not taker.done():
                taker.set_result(None)
                ready -= 1

    async def moved(self, project_id: str, after: int, timeout: float) -> bool:
        """Wait until the ledger is beyond `after`; return whether it is within `timeout` seconds."""
        ledger = self._ledgers.setdefault(project_id, _Ledger())
        if ledger.position > after:
            return True
        future = asyncio.get_running_loop().create_future()
        ledger.readers.add(future)
        try:
            await asyncio.wait_for(future, timeout)
        except TimeoutError:
            return False
        finally:
            ledger.readers.discard(future)
        return True

    async def ready(self, project_id: str, timeout: float) -> bool:
        """Wait in line for claimable runs; return whether a turn came within `timeout` seconds.

        A turn that its waiter could not take, because it was cancelled, goes to the next in line.
        """
        ledger = self._ledgers.setdefault(project_id, _Ledger())
        future = asyncio.get_running_loop().create_future()
        ledger.takers.append(future)
        try:
            await asyncio.wait_for(asyncio.shield(future), timeout)
        except TimeoutError:
            return future.done()
        except asyncio.CancelledError:
            if future.done():
                self.advance(project_id, ledger.position, 1)
            raise
        finally:
            if not future.done():
                future.cancel()
        return True


def _wake(futures: Iterable["asyncio.Future[None]"]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
