"""Slots: how many runs of a job, and of a concurrency key of a job, may be at work at once.

The limits are exact because slots are counted from the leases under the ledger's lock, and by everything in a
group together.
"""

from runcord.ledger.transaction import Transaction


def slots_of(tx: Transaction) -> "Slots":
    """Return the slots that all handlers of this transaction count with."""
    return tx.memory(("slots",), Slots)


class Slots:
    """How many more runs each job, and each concurrency key of a job, may have at work."""

    def __init__(self) -> None:
        self._free: dict[str, int] = {}
        self.closed_jobs: set[str] = set()
        self.closed_keys: set[str] = set()

    def take(
        self,
        tx: Transaction,
        job_id: str,
        concurrency_key: str | None,
        job_limit: int | None,
        job_used: int | None,
        key_limit: int | None,
        key_used: int | None,
    ) -> bool:
        """Take a slot of the job and of its key, if both have one; given back if the handler is refused."""
        key = f"{job_id}/{concurrency_key}"
        if job_limit is not None and self._free.setdefault(job_id, job_limit - (job_used or 0)) <= 0:
            self.closed_jobs.add(job_id)
            return False
        limits_key = concurrency_key is not None and key_limit is not None
        if limits_key and self._free.setdefault(key, (key_limit or 0) - (key_used or 0)) <= 0:
            self.closed_keys.add(key)
            return False
        self._move(job_id, key, -1)
        tx.on_undo(lambda: self._move(job_id, key, 1))
        return True

    def give_back(self, job_id: str, concurrency_key: str | None) -> None:
        """Free a slot that was not needed after all."""
        self._move(job_id, f"{job_id}/{concurrency_key}", 1)

    def _move(self, job_id: str, key: str, by: int) -> None:
        for name in (job_id, key):
            if name in self._free:
                self._free[name] += by
