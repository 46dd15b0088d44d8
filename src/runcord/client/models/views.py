"""What is read of projections: tags, families, dead letters, statistics."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from runcord.client.models.base import Model


class TagCount(Model):
    """Tell how many runs have a tag, in all and by status."""

    key: str
    value: str
    total: int
    by_status: Mapping[str, int]


class FamilyNode(Model):
    """Show a run of a family; `depth` is how many steps it lies below the one asked for, negative above it."""

    run_id: str
    depth: int
    status: str
    job_id: str
    job_slug: str
    created_at: datetime
    restarts: int


class FamilyEdge(Model):
    """Say that run `to` came of run `since`: as child, continuation or replay; a restart is of a run by itself."""

    since: str = Field(alias="from")
    to: str
    kind: str
    position: int


class Family(Model):
    """Show the graph around a run, as it was at a position; `truncated` when it has more than 1,000 runs."""

    run_id: str
    position: int
    nodes: Sequence[FamilyNode]
    edges: Sequence[FamilyEdge]
    truncated: bool


class RunError(Model):
    """Tell what went wrong in an attempt."""

    message: str
    type: str | None = None
    stack: str | None = None
    details: Any = None


class DeadLetter(Model):
    """Show one round of a run that ended in the dead-letter queue, and what became of it."""

    run_id: str
    round: int
    job_id: str
    dead_at: datetime
    position: int
    attempts: int
    fingerprint: str
    first_error: RunError
    last_error: RunError
    left_position: int | None = None
    replayed_as: str | None = None


class DeadLetterGroup(Model):
    """Count dead letters with like errors; `run_ids` are the newest, `message` is of the newest."""

    fingerprint: str
    count: int
    job_ids: Sequence[str]
    first_seen_at: datetime
    last_seen_at: datetime
    message: str
    error_type: str | None = None
    run_ids: Sequence[str]


class Percentiles(Model):
    """Give milliseconds that 50, 95 and 99 % did not exceed, off by at most 1/32; None if there were none."""

    p50: float | None
    p95: float | None
    p99: float | None


class Statistics(Model):
    """Tell how a job did; cost in millionths of a US dollar, `success_rate` None if no run completed or failed."""

    triggered: int
    attempts: int
    completed: int
    failed: int
    canceled: int
    expired: int
    success_rate: float | None
    work_ms: Percentiles
    wait_ms: Percentiles
    cost_microusd: int
    tokens: int


class HourStatistics(Statistics):
    """Tell how a job did in the hour that begins at `hour`."""

    hour: datetime


class JobStatistics(Model):
    """Tell how a job did from one hour to another, and hour by hour if that was asked for."""

    job_id: str
    job_slug: str
    since: datetime = Field(alias="from")
    until: datetime = Field(alias="to")
    total: Statistics
    hours: Sequence[HourStatistics] = ()
