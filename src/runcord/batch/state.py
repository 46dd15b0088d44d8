"""A batch: what was asked for at once, and how many runs came of it."""

from dataclasses import dataclass
from datetime import datetime

from runcord.batch.events import Event
from runcord.recorded import Recorded


@dataclass(frozen=True)
class Batch:
    """One bulk trigger. All of its runs were made in one append, at `created_at`."""

    batch_id: str
    version: int
    job_id: str
    item_count: int
    created_count: int
    created_at: datetime
    created_by: str | None = None


def evolve(batch: Batch | None, recorded: Recorded[Event]) -> Batch | None:
    """Return the batch after `recorded`. Pure and total: nothing that comes later changes it."""
    if batch is not None:
        return batch
    event = recorded.event
    return Batch(
        batch_id=recorded.stream_id,
        version=recorded.version,
        job_id=event.job_id,
        item_count=event.item_count,
        created_count=event.created_count,
        created_at=recorded.at,
        created_by=recorded.metadata.get("actor"),
    )
