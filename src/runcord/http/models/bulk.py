"""Actions on many runs: what callers say, and what they are answered."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema, model_validator

from runcord.bulk.selection import ALLOWED, Action, RunFilter, filter_for
from runcord.bulk.state import BulkStatus
from runcord.http.models.page import Document, Maybe
from runcord.http.models.rules import at_least_one, at_most_one, either, exactly_one, ruled
from runcord.http.models.run import JobRun, Reason
from runcord.http.models.value import Ref
from runcord.http.operation import Body, Query
from runcord.run.status import Status

MOST_NAMED = 100
MOST_DEAD_LETTERS = 500
DEAD_LETTERS = 100
"""How many dead letters a filter takes unless it is told."""

# --- requests -----------------------------------------------------------------------------------------


class BulkQuery(Query):
    """How to go about it."""

    in_background: Annotated[
        bool, Field(alias="async", description="Answer 202 at once, and work on the runs after that.")
    ] = False
    project_id: Annotated[str | None, Field(max_length=64, description="If given, the credential's own project.")] = (
        None
    )


class BulkReplayQuery(BulkQuery):
    """How to go about it, and what to answer."""

    envelope: Annotated[bool, Field(description="Answer what became of each run, not the new runs alone.")] = False


class RunChoice(Body):
    """Runs for which all holds that is given. Without a status, those that the action is usually meant for."""

    job_id: Ref | None = None
    batch_id: Ref | None = None
    triggered_by: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    status: Annotated[Status, Field(strict=False)] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is given."""
        return not any((self.job_id, self.batch_id, self.triggered_by, self.status))

    def filter_for(self, action: Action) -> RunFilter:
        """Return the filter for an action. Raises Invalid as `runcord.bulk.selection.filter_for` does."""
        statuses = None if self.status is None else [self.status]
        return filter_for(action, statuses, job_id=self.job_id, batch_id=self.batch_id, triggered_by=self.triggered_by)


def _statuses_for(action: Action) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": [str(one) for one in Status if one in ALLOWED[action]]})


_CHOICES = ("job_id", "batch_id", "triggered_by", "status")


class GivenFilter(RunChoice):
    """A filter, which says something."""

    model_config = ruled(at_least_one(*_CHOICES))

    @model_validator(mode="after")
    def _says_something(self) -> "GivenFilter":
        if self.is_empty:
            raise ValueError("give at least one of job_id, batch_id, triggered_by and status")
        return self


class Manner(Body):
    """What every action on many runs may be told."""

    in_background: Annotated[bool, Field(alias="async", description="The same as `async` in the query.")] = False
    dry_run: Annotated[bool, Field(description="Change nothing: answer which runs would be acted on.")] = False


RunIds = Annotated[list[Ref], Field(min_length=1, max_length=MOST_NAMED)]


class BulkReplayBody(Manner):
    """Which runs to replay: those named, or those of a filter."""

    model_config = ruled(exactly_one("run_ids", "filter"))

    run_ids: RunIds | None = None
    filter: GivenFilter | None = None

    @property
    def named(self) -> list[str] | None:
        """The runs that are named."""
        return self.run_ids

    @model_validator(mode="after")
    def _says_which(self) -> "BulkReplayBody":
        if (self.named is None) == (self.filter is None):
            raise ValueError("say which runs: give run_ids or filter, and not both")
        return self


class BulkCancelBody(BulkReplayBody):
    """Which runs to cancel: those named, or those of a filter."""

    model_config = ruled(exactly_one("run_ids", "ids", "filter"))

    ids: Annotated[RunIds | None, Field(description="The same as `run_ids`.")] = None
    reason: Reason | None = None

    @property
    def named(self) -> list[str] | None:
        """The runs that are named, under whichever name."""
        return self.run_ids if self.run_ids is not None else self.ids

    @model_validator(mode="after")
    def _has_one_list(self) -> "BulkCancelBody":
        if self.run_ids is not None and self.ids is not None:
            raise ValueError("run_ids and ids mean the same: give one of them")
        return self


class BulkCancelAllBody(Manner, GivenFilter):
    """Which runs to cancel: those that have not ended, or have the status given, and for which the rest holds."""

    status: Annotated[Status, Field(strict=False), _statuses_for("cancel")] | None = None
    project_id: Annotated[str | None, Field(max_length=64)] = None
    reason: Reason | None = None


class BulkDeadLettersBody(Manner, RunChoice):
    """Which dead letters to queue again: those named, or the oldest of the project or of a filter."""

    model_config = ruled(either("run_ids", "project_id", *_CHOICES), at_most_one("run_ids", "limit"))

    status: Annotated[Status, Field(strict=False), _statuses_for("dlq_replay")] | None = None
    run_ids: Annotated[list[Ref], Field(min_length=1, max_length=MOST_DEAD_LETTERS)] | None = None
    project_id: Annotated[str | None, Field(max_length=64)] = None
    limit: Annotated[
        int | None,
        Field(
            ge=1,
            le=10_000_000,
            description=f"How many, at most; {DEAD_LETTERS} unless given, {MOST_DEAD_LETTERS} at the most. "
            "In the background there is no limit unless it is given.",
        ),
    ] = None

    @model_validator(mode="after")
    def _says_which(self) -> "BulkDeadLettersBody":
        by_filter = self.project_id is not None or not self.is_empty
        if (self.run_ids is not None) == by_filter:
            raise ValueError("say which runs: give run_ids or project_id (or another filter), and not both")
        if self.run_ids is not None and self.limit is not None:
            raise ValueError("limit is for filters: leave it out where run_ids are given")
        return self


# --- answers ------------------------------------------------------------------------------------------


class BulkAccepted(Document):
    """The bulk operation that will do it: `GET /v1/bulk-operations/{request_id}` tells how far it is."""

    request_id: str


class BulkRehearsal(Document):
    """Which runs would be acted on: how many, and the first of them."""

    dry_run: Literal[True]
    action: Action
    total: int
    run_ids: list[str]


class BulkCancelItem(Document):
    """What became of one run: its status, or `failed` if there is none, and why it was not cancelled."""

    id: str
    status: str
    error: Maybe[str] = None


class BulkCancelResponse(Document):
    """What became of all runs, in the order in which they were named, or the oldest first."""

    results: list[BulkCancelItem]
    total: int
    canceled: int
    failed: int
    run_ids: Maybe[list[str]] = None


class BulkReplayItem(Document):
    """What became of one run."""

    original_run_id: str
    status: Literal["replayed", "skipped", "failed"]
    new_run_id: Maybe[str] = None
    error: Maybe[str] = None


class BulkReplayResponse(Document):
    """What became of all runs, in the order in which they were named, or the oldest first."""

    results: list[BulkReplayItem]
    total: int
    replayed: int


class BulkDeadLettersResponse(Document):
    """The runs that are queued again."""

    replayed: list[JobRun]
    count: int


class BulkOutcome(Document):
    """What became of one run: `skipped` when its status did not allow it, `failed` for any other reason."""

    run_id: str
    result: Literal["succeeded", "skipped", "failed"]
    new_run_id: Maybe[str] = None
    code: Maybe[str] = None
    error: Maybe[str] = None


class ChosenRuns(Document):
    """The filter of an operation."""

    statuses: list[Status]
    job_id: Maybe[str] = None
    batch_id: Maybe[str] = None
    triggered_by: Maybe[str] = None


class BulkOperation(Document):
    """An operation on many runs, and how far it has come. `total` is there as soon as the runs are counted."""

    id: str
    request_id: Annotated[str, Field(description="The same as `id`.")]
    project_id: str
    action: Action
    status: BulkStatus
    done: int
    succeeded: int
    skipped: int
    failed: int
    errors: Annotated[list[BulkOutcome], Field(description="The first refusals; the results have all of them.")]
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    total: Maybe[int] = None
    filter: Maybe[ChosenRuns] = None
    limit: Maybe[int] = None
    reason: Maybe[str] = None
    error: Maybe[str] = None
    finished_at: Maybe[datetime] = None
