"""What may be said when a job is made or triggered: keyword arguments and bulk items have one description."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NotRequired, TypedDict

RetryStrategy = Literal["exponential", "linear", "fixed", "custom"]


class TriggerOptions(TypedDict, total=False):
    """Name the options of one trigger. Times are in seconds; `delay` counts from when the ledger takes it."""

    idempotency_key: str
    delay: float | timedelta
    scheduled_at: datetime
    ttl_secs: float
    priority: int
    tags: Mapping[str, str]
    metadata: Mapping[str, str]
    concurrency_key: str
    parent_run_id: str
    debug_mode: bool
    max_attempts_override: int
    timeout_secs_override: float
    retry_backoff: RetryStrategy
    retry_initial_delay_secs: float
    retry_max_delay_secs: float


class WindowKeys(TypedDict, total=False):
    """Name the keys that tell apart what the job's debounce or batch window gathers, and a window of the trigger's."""

    debounce_key: str
    debounce_window_secs: float
    debounce_mode: Literal["leading", "trailing"]
    debounce_max_secs: float
    batch_key: str


class SingleTriggerOptions(TriggerOptions, WindowKeys, total=False):
    """Name the options of a trigger that is no item of a bulk trigger."""


class TriggerItem(TriggerOptions, total=False):
    """Name the members of one item of a bulk trigger: a payload and the options of a trigger."""

    payload: Any


class JobFields(TypedDict, total=False):
    """Name what a job may say about itself; what is left out has the server's default."""

    project_id: str
    name: str
    description: str
    enabled: bool
    endpoint_url: str
    fallback_endpoint_url: str
    queue_name: str
    cron: str
    timezone: str
    payload_schema: Mapping[str, Any]
    result_schema: Mapping[str, Any]
    tags: Mapping[str, str]
    default_run_metadata: Mapping[str, str]
    max_attempts: int
    timeout_secs: float
    max_concurrency: int
    max_concurrency_per_key: int
    run_ttl_secs: float
    rate_limit_max: int | None
    rate_limit_window_secs: int | None
    dedup_window_secs: int | None
    debounce_window_secs: int | None
    batch_window_secs: int | None
    batch_max_size: int | None
    retry_strategy: RetryStrategy
    retry_initial_delay_secs: float
    retry_max_delay_secs: float
    retry_delays_secs: Sequence[float]
    version_policy: Literal["pin", "latest", "minor"]
    execution_mode: str
    webhook_url: str
    webhook_secret: str | None
    endpoint_signing_secret: str | None


class RunChoice(TypedDict, total=False):
    """Name what runs may have in common; all that is given must hold."""

    job_id: str
    batch_id: str
    triggered_by: str
    status: str


class Settlement(TypedDict):
    """Name the members of a report on the end of one attempt; the claim's `run_token` fences it by claim."""

    run_id: str
    attempt: int
    status: Literal["completed", "failed"]
    result: NotRequired[Any]
    error: NotRequired[Any]
    retryable: NotRequired[bool]
    run_token: NotRequired[str]


def trigger_body(item: Mapping[str, object]) -> dict[str, object]:
    """Return the item as the server takes it. Raises ValueError when both a delay and a time are given.

    The delay goes as it is: the server counts it on the ledger's clock, and a repeated call is the same request.
    """
    body: dict[str, object] = dict(item)
    delay = body.pop("delay", None)
    if delay is not None:
        if "scheduled_at" in body:
            raise ValueError("Give either delay or scheduled_at, not both.")
        body["delay_secs"] = delay.total_seconds() if isinstance(delay, timedelta) else float(str(delay))
    return body
