"""What callers say about jobs."""

from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field, model_validator

from runcord.http.models.rules import exactly_one, not_both_on, on_with, or_flat, ruled, something_besides
from runcord.http.models.value import (
    MAX_SECS,
    Count,
    EmptyUrl,
    Json,
    Line,
    Metadata,
    Name,
    Positive,
    PositiveSecs,
    Ref,
    Secret,
    Secs,
    Slug,
    Tags,
    Text,
)
from runcord.http.operation import Body
from runcord.job.state import SECRETS
from runcord.run.retry import MAX_DELAY_SECS

WindowSecs = Annotated[int, Field(ge=0, le=MAX_SECS)]
"""A span of whole seconds; 0 is as good as none."""

MAX_NEW_JOBS = 50
"""How many jobs a batch may create."""

MAX_REFS = 500
"""How many jobs may be switched at once."""

QueueName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]


_ONE_WINDOW = not_both_on("debounce_window_secs", "batch_window_secs")


class _Settings(Body):
    """The settings that a job may have; those that may be null are unset by null."""

    project_id: Ref | None = None
    description: Text | None = None
    enabled: bool = True
    endpoint_url: EmptyUrl = None
    fallback_endpoint_url: EmptyUrl = None
    queue_name: QueueName = "default"
    payload_schema: Json = None
    result_schema: Json = None
    tags: Tags | None = None
    default_run_metadata: Metadata | None = None
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    timeout_secs: PositiveSecs = 300
    max_concurrency: Positive | None = None
    max_concurrency_per_key: Positive | None = None
    run_ttl_secs: PositiveSecs | None = None
    retry_strategy: Literal["exponential", "linear", "fixed", "custom"] = "exponential"
    retry_initial_delay_secs: Secs = 1
    retry_max_delay_secs: Secs = MAX_DELAY_SECS
    retry_delays_secs: Annotated[list[PositiveSecs], Field(max_length=100)] | None = None
    version_policy: Literal["pin", "latest", "minor"] = "pin"
    backwards_compatible: bool = False
    group_id: Ref | None = None
    environment_id: Ref | None = None
    cron: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    timezone: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    execution_window_cron: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    rate_limit_max: Count | None = None
    rate_limit_window_secs: WindowSecs | None = None
    dedup_window_secs: WindowSecs | None = None
    skip_if_running: bool = False
    debounce_window_secs: WindowSecs | None = None
    batch_window_secs: WindowSecs | None = None
    batch_max_size: Count | None = None
    execution_mode: Literal["http", "worker", "managed"] | None = None
    machine_preset: Line | None = None
    image_uri: Line | None = None
    region: Line | None = None
    webhook_url: EmptyUrl = None
    webhook_secret: Secret | None = None
    endpoint_signing_secret: Secret | None = None

    def given(self) -> dict[str, Any]:
        """Return the settings that the caller gave, null ones included; of secrets, whether there is one."""
        values = self.model_dump(exclude={"project_id", *SECRETS}, exclude_unset=True)
        values |= {f"has_{name}": value is not None for name, value in self.secrets().items()}
        if "retry_delays_secs" in values:
            values["retry_delays_secs"] = values["retry_delays_secs"] or []
        return values

    def secrets(self) -> dict[str, str | None]:
        """Return the secrets that the caller gave, by name; None for one that is to be removed."""
        given = {name: getattr(self, name) for name in SECRETS if name in self.model_fields_set}
        return {name: None if value is None else value.get_secret_value() for name, value in given.items()}


class NewJob(_Settings):
    """A job to be created."""

    model_config = ruled(
        _ONE_WINDOW,
        on_with("batch_max_size", "batch_window_secs"),
        on_with("rate_limit_max", "rate_limit_window_secs"),
        on_with("rate_limit_window_secs", "rate_limit_max"),
    )

    name: Name
    slug: Slug

    def settings(self) -> dict[str, Any]:
        """Return what the caller gave; null stands for the default."""
        without = {f"has_{name}" for name, value in self.secrets().items() if value is None}
        return {name: value for name, value in self.given().items() if value is not None and name not in without}


class JobChanges(_Settings):
    """Settings to be changed: those given; null unsets one that may be unset."""

    model_config = ruled(_ONE_WINDOW, something_besides("project_id"))

    name: Name = ""
    slug: Slug = ""

    @model_validator(mode="after")
    def _changes_something(self) -> "JobChanges":
        if not self.model_fields_set - {"project_id"}:
            raise ValueError("give at least one setting to change")
        return self


class JobCopy(Body):
    """What a copy of a job has of its own."""

    name: Name
    slug: Slug


class NewJobs(Body):
    """Jobs to be created, each as for `POST /v1/jobs`; a bare array of them does as well.

    Each is looked at by itself, so that one which is not valid does not stand in the way of the others.
    """

    model_config = ConfigDict(json_schema_extra=or_flat("jobs"))

    jobs: Annotated[list[Json], Field(min_length=1, max_length=MAX_NEW_JOBS)]

    @model_validator(mode="before")
    @classmethod
    def _take_an_array(cls, value: Any) -> Any:
        return {"jobs": cast(list[Any], value)} if isinstance(value, list) else value


_Refs = Annotated[list[Ref], Field(min_length=1, max_length=MAX_REFS)]


class JobRefs(Body):
    """Jobs, by id or slug."""

    model_config = ruled(exactly_one("ids", "job_ids"))

    ids: Annotated[_Refs | None, Field(description="Required, here or as `job_ids`.")] = None
    job_ids: _Refs | None = None

    @model_validator(mode="after")
    def _names_jobs(self) -> "JobRefs":
        if (self.ids is None) == (self.job_ids is None):
            raise ValueError("ids is required, with at least one job (or job_ids, which means the same; not both)")
        return self

    @property
    def refs(self) -> list[str]:
        """The jobs, under whichever name they were given."""
        return self.ids or self.job_ids or []


class NewDependency(Body):
    """A job to be depended on, by id or slug, and what the latest ending of its runs has to be."""

    depends_on_job_id: Ref
    condition: Literal["completed", "failed", "any"] = "completed"
