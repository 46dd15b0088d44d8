"""What is asked of projections, and what they answer: tags, families, dead letters, statistics."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from runcord.http.models.page import DIGITS, Document, Maybe, PageQuery, QueryTime, split
from runcord.http.models.run import AnyJson
from runcord.http.moment import MomentPageQuery, MomentQuery
from runcord.http.operation import Query
from runcord.run.status import Status
from runcord_projections.lineage.family import KINDS, MOST_NODES, Direction
from runcord_projections.lineage.projection import Kind

# --- requests -----------------------------------------------------------------------------------------


class TagsQuery(MomentPageQuery):
    """Which tags to list, and of which moment; all filters given must hold."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str | None, Field(max_length=64, description="Tags of this key.")] = None
    value: Annotated[str | None, Field(max_length=256, description="With `key`: the tag of this value.")] = None
    prefix: Annotated[str | None, Field(max_length=256, description="With `key`: values that begin like this.")] = None

    @model_validator(mode="after")
    def _has_key(self) -> "TagsQuery":
        for name in ("value", "prefix"):
            if getattr(self, name) is not None and self.key is None:
                raise ValueError(f"{name} needs key: the key of the tags meant")
        return self


class FamilyQuery(MomentQuery):
    """Which part of a run's family to answer, and of which moment."""

    direction: Annotated[
        Direction,
        Field(description="What it came of, what came of it, or `all`: what came of the first that it came of."),
    ] = "all"
    kinds: Annotated[
        list[Kind] | None,
        BeforeValidator(split),
        Field(min_length=1, max_length=len(KINDS), description="Which edges to follow and to answer; all by default."),
    ] = None
    depth: Annotated[
        int, Field(ge=0, le=MOST_NODES, description="How many steps to go, up as well as down from the run."), DIGITS
    ] = MOST_NODES


class DeadLettersQuery(MomentPageQuery):
    """Which entries to count, and of which moment; all filters given must hold."""

    model_config = ConfigDict(extra="forbid")

    state: Annotated[
        Literal["waiting", "left", "all"], Field(description="Those that lie in the queue, have left it, or both.")
    ] = "waiting"
    job_id: Annotated[str | None, Field(max_length=128, description="Of this job.")] = None


class DeadLetterEntriesQuery(DeadLettersQuery):
    """Which entries to list, and of which moment; all filters given must hold."""

    fingerprint: Annotated[str | None, Field(max_length=64, description="Whose errors are like this.")] = None


class _Window(Query):
    model_config = ConfigDict(validate_by_alias=True, validate_by_name=True)

    since: Annotated[
        QueryTime | None,
        Field(alias="from", description="The beginning of an hour; 24 hours before `to` when missing."),
    ] = None
    until: Annotated[
        QueryTime | None,
        Field(alias="to", description="The end of an hour; of the present one, by the ledger's clock, when missing."),
    ] = None
    by: Annotated[Literal["total", "hour"], Field(description="`hour`: each hour besides the sums.")] = "total"

    @model_validator(mode="after")
    def _has_whole_hours(self) -> "_Window":
        for name, time in (("from", self.since), ("to", self.until)):
            if time is not None and (time.minute or time.second or time.microsecond):
                raise ValueError(f"{name} must be the beginning of an hour in UTC, such as 2026-01-31T12:00:00Z")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("from must be earlier than to")
        return self


class StatisticsQuery(_Window):
    """Over which hours to sum."""


class AllStatisticsQuery(_Window, PageQuery):
    """Which page of the project's jobs, and over which hours to sum."""


# --- answers ------------------------------------------------------------------------------------------


class TagCount(Document):
    """How many runs have a tag, in all and by status; statuses that none has are left out."""

    key: str
    value: str
    total: int
    by_status: dict[Status, int]


class FamilyNode(Document):
    """A run of a family."""

    run_id: str
    depth: Annotated[int, Field(description="Steps below the run that was asked for; negative above it.")]
    status: Status
    job_id: str
    job_slug: str
    created_at: datetime
    restarts: Annotated[int, Field(description="How often it was queued again: restarted, or replayed from the DLQ.")]


class FamilyEdge(Document):
    """`to` came of `from`, as its `kind`, at a position; a run that was queued again came of itself."""

    source: Annotated[str, Field(alias="from")]
    to: str
    kind: Kind
    position: int


class Family(Document):
    """The graph around a run: runs by depth and age, and the edges between them as they came about."""

    run_id: str
    position: Annotated[int, Field(description="The position of the ledger at which it was so.")]
    nodes: Annotated[list[FamilyNode], Field(max_length=MOST_NODES)]
    edges: list[FamilyEdge]
    truncated: Annotated[bool, Field(description="There are more runs: those that are here are the closest.")]


class RunError(Document):
    """What went wrong, as far as it was told."""

    message: str
    type: Maybe[str] = None
    stack: Maybe[str] = None
    details: AnyJson = None


class DeadLetter(Document):
    """One round of a run that ended in the dead-letter queue."""

    run_id: str
    round: int
    job_id: str
    dead_at: datetime
    position: Annotated[int, Field(description="Where it came into the queue.")]
    attempts: Annotated[int, Field(description="How many attempts of the round have failed.")]
    fingerprint: Annotated[str, Field(description="The same for like errors, whatever numbers and ids are in them.")]
    first_error: RunError
    last_error: RunError
    left_position: Annotated[Maybe[int], Field(description="Where it left the queue, to be tried again.")] = None
    replayed_as: Annotated[Maybe[str], Field(description="The latest run that was made from it.")] = None


class DeadLetterGroup(Document):
    """Dead letters whose errors are alike."""

    fingerprint: str
    count: int
    job_ids: Annotated[list[str], Field(description="Their jobs, those with the most first, at most 20.")]
    first_seen_at: datetime
    last_seen_at: datetime
    message: Annotated[str, Field(description="Of the newest.")]
    error_type: Maybe[str] = None
    run_ids: Annotated[list[str], Field(description="The newest, at most 3.")]


class Percentiles(Document):
    """Milliseconds that this share did not exceed, off by at most 1/32; null if there were none."""

    p50: float | None
    p95: float | None
    p99: float | None


class Statistics(Document):
    """How a job did: everything is counted in the hour in which it happened."""

    triggered: int
    attempts: int
    completed: int
    failed: Annotated[int, Field(description="Ended badly; a dead letter counts each time it becomes one.")]
    canceled: int
    expired: int
    success_rate: Annotated[
        float | None, Field(description="completed ÷ (completed + failed); null if there were neither.")
    ]
    work_ms: Annotated[Percentiles, Field(description="How long the attempts worked that ended their runs.")]
    wait_ms: Annotated[Percentiles, Field(description="How long runs that were due waited to be taken.")]
    cost_microusd: int
    tokens: int


class HourStatistics(Statistics):
    """How a job did in one hour."""

    hour: Annotated[datetime, Field(description="When the hour begins.")]


class JobStatistics(Document):
    """How a job did from one hour to another."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=True)

    job_id: str
    job_slug: str
    since: Annotated[datetime, Field(alias="from")]
    until: Annotated[datetime, Field(alias="to")]
    total: Statistics
    hours: Annotated[
        Maybe[list[HourStatistics]], Field(description="With `by=hour`: the hours in which something happened.")
    ] = None
