"""The events of a bulk operation. The same rules hold as for `runcord.run.events`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from runcord.bulk.selection import Action, RunFilter

Result = Literal["succeeded", "skipped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one run: `skipped` when its status did not allow it any more, `failed` for any other reason.

    `code` and `error` say why, `new_run_id` names what a replay made.
    """

    run_id: str
    result: Result = "succeeded"
    new_run_id: str | None = None
    code: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class BulkRequested:
    """Somebody asked for an action on many runs: those named, or those of a filter as of this event's position."""

    TYPE: ClassVar[str] = "bulk.requested.v1"
    action: Action
    run_ids: tuple[str, ...] | None = None
    filter: RunFilter | None = None
    limit: int | None = None
    reason: str | None = None
    any_status: bool = False
    """Runs that have not ended are replayed, too."""


@dataclass(frozen=True)
class BulkStarted:
    """The runs were counted; work on them begins."""

    TYPE: ClassVar[str] = "bulk.started.v1"
    total: int


@dataclass(frozen=True)
class BulkAdvanced:
    """Some more runs were acted on, in the transaction of this event.

    `cursor` is how far the operation has come: in the list of the runs named, or in the ledger's positions.
    """

    TYPE: ClassVar[str] = "bulk.advanced.v1"
    cursor: int
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class BulkCompleted:
    """Every run of the operation has its outcome."""

    TYPE: ClassVar[str] = "bulk.completed.v1"


@dataclass(frozen=True)
class BulkCanceled:
    """Somebody stopped the operation; what it had done stays done."""

    TYPE: ClassVar[str] = "bulk.canceled.v1"


@dataclass(frozen=True)
class BulkFailed:
    """The operation could not go on, through a fault of ours; what it had done stays done."""

    TYPE: ClassVar[str] = "bulk.failed.v1"
    error: str


Event = BulkRequested | BulkStarted | BulkAdvanced | BulkCompleted | BulkCanceled | BulkFailed
