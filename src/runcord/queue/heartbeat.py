"""Heartbeats: a worker says that it is alive, and hears whether it should stop."""

from dataclasses import dataclass
from datetime import datetime

from runcord.errors import StaleAttempt
from runcord.ledger.statements import Touch
from runcord.run.commands import Claim
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.sql import load

SQL = load("runcord.sql", "queries/queue.sql")

DEFAULT_LEASE_SECS = 60.0


@dataclass(frozen=True)
class Pulse:
    """The answer to a heartbeat: until when the lease lasts, if there is one, and what somebody asked for."""

    lease_expires_at: datetime | None = None
    cancel_requested: bool = False
    pause_requested: bool = False


async def renew_lease(
    touch: Touch, project_id: str, run_id: str, claim: Claim, attempt: int, lease_secs: float
) -> Pulse | None:
    """Move the lease of an attempt; None when that attempt has none (any more). The ledger is not touched."""
    params = {
        "project_id": project_id,
        "run_id": run_id,
        "attempt": attempt,
        "fence": claim.fence,
        "lease_secs": lease_secs,
    }
    rows = await touch(SQL["renew_lease"], params)
    return Pulse(lease_expires_at=rows[0][0]) if rows else None


def pulse_without_lease(run: Run, claim: Claim) -> Pulse:
    """Return what a worker hears whose attempt has no lease: that it should stop, or that it waits.

    Raises:
        StaleAttempt: the attempt is over, or in other hands.
    """
    is_claimed = claim.attempt in (None, run.attempt) and claim.fence in (None, run.fence)
    match run.status:
        case Status.CANCELED if is_claimed:
            return Pulse(cancel_requested=True)
        case Status.PAUSED if is_claimed:
            return Pulse(pause_requested=True)
        case Status.WAITING if is_claimed:
            return Pulse()
        case _:
            raise StaleAttempt(
                f"the run is {run.status} and in attempt {run.attempt}: this attempt is over; stop working on it"
            )
