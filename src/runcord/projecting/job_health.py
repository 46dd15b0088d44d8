"""The health of a job: how its runs ended in a window of time, from the index of endings alone."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from runcord.ledger.statements import Read
from runcord.sql import load

SQL = load("runcord.sql", "queries/health.sql")

WINDOWS: Mapping[str, int] = {"1h": 3600, "1d": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
"""The windows that may be asked for, in seconds."""


class Health(NamedTuple):
    """Numbers of runs by how they ended, seconds, and shares of one; the score is from 0 to 100."""

    since: datetime
    total_runs: int
    completed_runs: int
    failed_runs: int
    dead_letter_runs: int
    timed_out_runs: int
    crashed_runs: int
    system_failed_runs: int
    canceled_runs: int
    expired_runs: int
    avg_duration_secs: float
    p95_duration_secs: float
    success_rate: float = 1.0
    health_score: float = 100.0


async def job_health(read: Read, project_id: str, job_id: str, secs: int) -> Health:
    """Return how the runs of a job ended in the last `secs` seconds, by the ledger's clock."""
    *counts, average, p95 = (await read(SQL["health"], {"project_id": project_id, "job_id": job_id, "secs": secs}))[0]
    return rated(Health(*counts, avg_duration_secs=round(average or 0.0, 3), p95_duration_secs=round(p95 or 0.0, 3)))


def rated(health: Health) -> Health:
    """Return the same with the success rate and the score.

    Runs that were canceled or have expired say nothing about the job. An attempt that was lost without a word (timed
    out, crashed, system-failed) is worse than one that failed: it counts twice against the score.
    """
    tried = health.total_runs - health.canceled_runs - health.expired_runs
    if not tried:
        return health
    lost = health.timed_out_runs + health.crashed_runs + health.system_failed_runs
    return health._replace(
        success_rate=round(health.completed_runs / tried, 4),
        health_score=round(100 * health.completed_runs / (tried + lost), 1),
    )
