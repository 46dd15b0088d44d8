"""Waits for events."""

from datetime import datetime
from typing import Any

from runcord.client.models.base import Model


class EventTrigger(Model):
    """Show a run's wait for an event, or what ended it."""

    event_key: str
    status: str
    id: str
    job_run_id: str
    requested_at: datetime | None = None
    expires_at: datetime | None = None
    received_at: datetime | None = None
    sent_by: str | None = None
    response_payload: Any = None


class SentToPrefix(Model):
    """Show the waits that one event has ended."""

    resolved: int
    triggers: list[EventTrigger]


class EventStats(Model):
    """Show how many waits there are, and how long those that are over took on average, in seconds."""

    total_count: int
    waiting_count: int
    received_count: int
    timed_out_count: int
    canceled_count: int
    avg_wait_duration_secs: float


class PurgedWaits(Model):
    """Show how many waits are listed no more, or, in a dry run, would be."""

    deleted: int
    would_delete: int | None = None
