"""A bulk operation as its history made it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from runcord.bulk.events import Outcome
from runcord.bulk.selection import Action, RunFilter

BulkStatus = Literal["pending", "running", "completed", "canceled", "failed"]

ERROR_SAMPLE = 10
"""How many refusals an operation shows by itself; its results have all."""


@dataclass(frozen=True)
class BulkOperation:
    """One operation on many runs. Times are the ledger's; `version` counts its events."""

    operation_id: str
    version: int
    status: BulkStatus
    action: Action
    position: int
    """Where it was requested: runs that are triggered beyond are none of its own."""
    requested_by: str
    created_at: datetime
    updated_at: datetime
    request_id: str | None = None
    run_ids: tuple[str, ...] | None = None
    filter: RunFilter | None = None
    limit: int | None = None
    reason: str | None = None
    any_status: bool = False
    total: int | None = None
    """How many runs it has; None until they are counted."""
    cursor: int = 0
    succeeded: int = 0
    skipped: int = 0
    failed: int = 0
    errors: tuple[Outcome, ...] = ()
    """The first refusals."""
    error: str | None = None
    finished_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Whether there is anything left to do."""
        return self.status in {"pending", "running"}

    @property
    def done(self) -> int:
        """How many runs have their outcome."""
        return self.succeeded + self.skipped + self.failed
