"""What a worker is told."""

from datetime import datetime
from typing import Any

from runcord.client.models.base import Model
from runcord.client.models.record import Checkpoint
from runcord.client.models.runs import Run


class ReceivedEvent(Model):
    """Show the event that a run has waited for."""

    event_key: str
    payload: Any = None


class Claim(Model):
    """Show one taken run: its token, its lease, and what an earlier attempt left behind.

    `event` is what the run last waited for, until a checkpoint is saved after it.
    """

    run: Run
    run_token: str
    lease_expires_at: datetime
    checkpoint: Checkpoint | None = None
    event: ReceivedEvent | None = None
    previous_error: Any = None


class Claims(Model):
    """Wrap the answer to a dequeue."""

    data: list[Claim]


class Heartbeat(Model):
    """Answer a heartbeat: the moved lease, and whether somebody wants the attempt to stop."""

    status: str
    lease_expires_at: datetime | None = None
    cancel_requested: bool = False
    pause_requested: bool = False


class Settled(Model):
    """Answer one settlement; `error` is there when it was refused."""

    run_id: str
    status: str
    error: Any = None


class SettledMany(Model):
    """Wrap the answer to a settle."""

    results: list[Settled]


class EventWait(Model):
    """Show that a run waits for an event."""

    status: str
    event_key: str
    expires_at: datetime | None = None
