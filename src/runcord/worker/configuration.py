"""How a worker works: what is said once, when it is made."""

import os
import platform
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_WORKER_ID = 128


@dataclass(frozen=True, slots=True)
class WorkerConfiguration:
    """Hold a worker's settings; times are in seconds."""

    worker_id: str
    concurrency: int
    lease_secs: int
    poll_secs: float
    grace_secs: float
    queues: Sequence[str] | None


def new_worker_id() -> str:
    """Return a name that a reader of a run's history can place: host, process id, four random letters."""
    return f"{platform.node()[:96] or 'worker'}-{os.getpid()}-{secrets.token_hex(2)}"


def checked(configuration: WorkerConfiguration) -> WorkerConfiguration:
    """Return the configuration. Raises ValueError, saying what is allowed, when a setting makes no sense."""
    allowed = {
        f"worker_id must have 1 to {LONGEST_WORKER_ID} characters": (
            1 <= len(configuration.worker_id) <= LONGEST_WORKER_ID
        ),
        "concurrency must be within 1 and 1000": 1 <= configuration.concurrency <= 1000,
        "lease_secs must be within 1 and 86400": 1 <= configuration.lease_secs <= 86_400,
        "poll_secs must be within 0 and 60": 0 <= configuration.poll_secs <= 60,
        "grace_secs must not be negative": configuration.grace_secs >= 0,
    }
    for rule, kept in allowed.items():
        if not kept:
            raise ValueError(f"{rule}.")
    return configuration
