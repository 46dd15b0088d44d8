"""What was done to many runs, or triggered at once."""

from datetime import datetime

from pydantic import Field

from runcord.client.models.base import Model
from runcord.client.models.runs import Run


class BulkCancelItem(Model):
    """Say what became of one run that was to be cancelled; without an error, it is."""

    id: str
    status: str
    error: str | None = None


class BulkCanceled(Model):
    """Answer a cancel of many runs."""

    results: list[BulkCancelItem]
    total: int
    canceled: int
    failed: int


class BulkReplayItem(Model):
    """Say what became of one run that was to be replayed: replayed, skipped or failed."""

    original_run_id: str
    status: str
    new_run_id: str | None = None
    error: str | None = None


class BulkReplayed(Model):
    """Answer a replay of many runs."""

    results: list[BulkReplayItem]
    total: int
    replayed: int


class BulkRequeued(Model):
    """Wrap the dead letters that are queued again."""

    replayed: list[Run]


class BulkTargets(Model):
    """Tell how many runs an action is about; `run_ids` are the first of them."""

    total: int
    run_ids: list[str]


class BulkAccepted(Model):
    """Name the operation that was begun."""

    request_id: str


class BulkOutcome(Model):
    """Say what became of one run of an operation: succeeded, skipped or failed."""

    run_id: str
    result: str
    new_run_id: str | None = None
    code: str | None = None
    error: str | None = None


class BulkOperation(Model):
    """Show an operation on many runs. `total` is None until they are counted, `errors` are the first refusals."""

    id: str
    action: str
    status: str
    created_at: datetime
    updated_at: datetime
    total: int | None = None
    done: int = 0
    succeeded: int = 0
    skipped: int = 0
    failed: int = 0
    errors: list[BulkOutcome] = Field(default_factory=list[BulkOutcome])
    error: str | None = None
    finished_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Say whether nothing more happens: it is completed, canceled or failed."""
        return self.status not in {"pending", "running"}


class BatchOperation(Model):
    """Show what a bulk trigger asked for and made. Its runs are listed by `batch_id`."""

    id: str
    job_id: str
    item_count: int
    created_count: int
    created_at: datetime
    created_by: str | None = None
