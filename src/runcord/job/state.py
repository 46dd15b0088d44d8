"""A job: what its runs are, how they are retried, and how many may run at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from runcord.job.events import Condition
from runcord.run.build import build
from runcord.run.retry import MAX_DELAY_SECS, RetryPolicy, Seconds, Strategy

VersionPolicy = Literal["pin", "latest", "minor"]


@dataclass(frozen=True)
class JobSettings:
    """Everything about a job that an update may change. Durations are in seconds."""

    name: str
    slug: str
    description: str | None = None
    enabled: bool = True
    endpoint_url: str | None = None
    fallback_endpoint_url: str | None = None
    queue_name: str = "default"
    payload_schema: Any = None
    result_schema: Any = None
    tags: Mapping[str, str] | None = None
    default_run_metadata: Mapping[str, str] | None = None
    max_attempts: int = 3
    timeout_secs: Seconds = 300
    max_concurrency: int | None = None
    max_concurrency_per_key: int | None = None
    run_ttl_secs: Seconds | None = None
    retry_strategy: Strategy = "exponential"
    retry_initial_delay_secs: Seconds = 1
    retry_max_delay_secs: Seconds = MAX_DELAY_SECS
    retry_delays_secs: tuple[Seconds, ...] = ()
    version_policy: VersionPolicy = "pin"
    backwards_compatible: bool = False
    group_id: str | None = None
    environment_id: str | None = None
    cron: str | None = None
    timezone: str | None = None
    execution_window_cron: str | None = None
    rate_limit_max: int | None = None
    rate_limit_window_secs: int | None = None
    dedup_window_secs: int | None = None
    skip_if_running: bool = False
    debounce_window_secs: int | None = None
    batch_window_secs: int | None = None
    batch_max_size: int | None = None
    execution_mode: str | None = None
    machine_preset: str | None = None
    image_uri: str | None = None
    region: str | None = None
    webhook_url: str | None = None
    has_webhook_secret: bool = False
    has_endpoint_signing_secret: bool = False

    @property
    def is_pushed(self) -> bool:
        """Whether runs are sent to the job's endpoint, instead of waiting for workers that pull."""
        return self.endpoint_url is not None and self.execution_mode in (None, "http")

    @property
    def retry_policy(self) -> RetryPolicy:
        """What a run of this job may spend."""
        members = {
            "max_attempts": self.max_attempts,
            "timeout_secs": self.timeout_secs,
            "strategy": self.retry_strategy,
            "initial_delay_secs": self.retry_initial_delay_secs,
            "max_delay_secs": self.retry_max_delay_secs,
            "delays_secs": self.retry_delays_secs,
        }
        return build(RetryPolicy, members)


SECRETS = ("webhook_secret", "endpoint_signing_secret")
"""What a job may have that no event holds: the settings say only whether there is one, as `has_<name>`."""

SETTING_NAMES = frozenset(f.name for f in fields(JobSettings))


@dataclass(frozen=True)
class Dependency:
    """What runs of a job wait for: that the latest ending of another job's runs is as `condition` says."""

    dependency_id: str
    depends_on_job_id: str
    condition: Condition
    created_at: datetime

    def is_met_by(self, status: str | None) -> bool:
        """Return whether the latest ending, or that there was none, meets the condition."""
        if status is None:
            return False
        return self.condition == "any" or status in MEETING[self.condition]


MEETING = {
    "completed": frozenset({"completed"}),
    "failed": frozenset({"failed", "timed_out", "crashed", "system_failed", "dead_letter"}),
}
"""The endings that meet a condition. What was canceled or has expired was never tried, and meets `any` alone."""


@dataclass(frozen=True)
class Job:
    """One job. `version` counts its events, and so its versions as users see them."""

    job_id: str
    version: int
    version_id: str
    settings: JobSettings
    created_at: datetime
    updated_at: datetime
    created_by: str | None = None
    deleted: bool = False
    last_breaking_version: int = field(default=1)
    """The latest version that was not declared compatible with the one before it."""
    dependencies: tuple[Dependency, ...] = ()
