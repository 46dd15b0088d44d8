"""Jobs, how they fare, and what they depend on."""

from datetime import datetime
from typing import Any

from pydantic import Field

from runcord.client.models.base import Model


class JobDependency(Model):
    """Show that runs of a job wait for another job's."""

    id: str
    job_id: str
    depends_on_job_id: str
    condition: str
    created_at: datetime


class RunDependency(JobDependency):
    """Show a dependency as it stands for one run, with the latest ending that counts for it."""

    satisfied: bool
    upstream_run_id: str | None = None
    upstream_status: str | None = None


class DependencyStatus(Model):
    """Show what a run's job depends on, and whether all of it holds."""

    run_id: str
    job_id: str
    status: str
    dependencies: list[RunDependency]
    dependencies_satisfied: bool


class Job(Model):
    """Show a job at its latest version."""

    id: str
    project_id: str
    name: str
    slug: str
    version: int
    created_at: datetime
    updated_at: datetime
    enabled: bool = True
    description: str | None = None
    endpoint_url: str | None = None
    queue_name: str | None = None
    cron: str | None = None
    timezone: str | None = None
    max_attempts: int = 3
    timeout_secs: float = 300
    max_concurrency: int | None = None
    max_concurrency_per_key: int | None = None
    run_ttl_secs: float | None = None
    rate_limit_max: int | None = None
    rate_limit_window_secs: int | None = None
    dedup_window_secs: int | None = None
    debounce_window_secs: int | None = None
    batch_window_secs: int | None = None
    batch_max_size: int | None = None
    retry_strategy: str | None = None
    retry_initial_delay_secs: float | None = None
    retry_max_delay_secs: float | None = None
    retry_delays_secs: list[float] | None = None
    payload_schema: Any = None
    tags: dict[str, str] = Field(default_factory=dict)
    dependencies: list[JobDependency] = Field(default_factory=list[JobDependency])
    version_id: str | None = None
    version_policy: str | None = None


class Switched(Model):
    """Say how many jobs were enabled or disabled that were not so before, and which are not there."""

    updated: int
    not_found: list[str] = Field(default_factory=list)


class JobHealth(Model):
    """Show how the runs of a job ended within a window; durations in seconds, `health_score` from 0 to 100."""

    job_id: str
    window: str
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
    success_rate: float
    avg_duration_secs: float
    p95_duration_secs: float
    health_score: float
