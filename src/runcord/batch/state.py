"""A batch: what was asked for at once, and which runs came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from runcord.batch.events import BatchItem, BatchItemsTriggered, BatchOpened, BatchTriggered, Event
from runcord.recorded import Recorded


@dataclass(frozen=True)
class Batch:
    """One bulk trigger: made in one append, at `created_at`; or opened then, to be given its items afterwards."""

    batch_id: str
    version: int
    job_id: str
    """The job of its runs; where they are of several jobs, of the first; empty as long as there are none."""
    item_count: int
    created_count: int
    created_at: datetime
    created_by: str | None = None
    run_ids: tuple[str, ...] = ()
    """Of a batch that was opened: by its index, the run that answers for each item; empty where none does yet."""
    updated_at: datetime | None = None
    """When it was last given items."""
    idempotency_key: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every item has its run."""
        return self.updated_at is None or "" not in self.run_ids


def evolve(batch: Batch | None, recorded: Recorded[Event]) -> Batch | None:
    """Return the batch after `recorded`. Pure and total."""
    event = recorded.event
    if batch is None:
        return _born(event, recorded)
    if not isinstance(event, BatchItemsTriggered):
        return batch
    return replace(
        batch,
        version=recorded.version,
        job_id=batch.job_id or event.job_id,
        run_ids=_filled(batch.run_ids, event.items),
        created_count=batch.created_count + sum(item.created for item in event.items),
        updated_at=recorded.at,
    )


def _born(event: Event, recorded: Recorded[Event]) -> Batch | None:
    opened = isinstance(event, BatchOpened)
    if not isinstance(event, BatchTriggered | BatchOpened):
        return None
    return Batch(
        batch_id=recorded.stream_id,
        version=recorded.version,
        job_id="" if opened else event.job_id,
        item_count=event.item_count,
        created_count=0 if opened else event.created_count,
        created_at=recorded.at,
        created_by=recorded.metadata.get("actor"),
        run_ids=("",) * event.item_count if opened else (),
        updated_at=recorded.at if opened else None,
        idempotency_key=event.idempotency_key if opened else None,
    )


def _filled(run_ids: Sequence[str], items: Sequence[BatchItem]) -> tuple[str, ...]:
    filled = list(run_ids)
    for item in items:
        if 0 <= item.index < len(filled):
            filled[item.index] = item.run_id
    return tuple(filled)
