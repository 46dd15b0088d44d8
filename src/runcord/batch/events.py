"""The events of a batch. The same rules hold as for `runcord.run.events`."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class BatchTriggered:
    """Several runs of a job were asked for at once. Those of `item_count` that were there already made no new run."""

    TYPE: ClassVar[str] = "batch.triggered.v1"
    job_id: str
    item_count: int
    created_count: int


@dataclass(frozen=True)
class BatchOpened:
    """So many runs are going to be asked for, in one request or in several; each has its index: 0, 1, 2 …"""

    TYPE: ClassVar[str] = "batch.opened.v1"
    item_count: int
    idempotency_key: str | None = None


@dataclass(frozen=True)
class BatchItem:
    """An item that was taken, and the run that answers for it: one `created` for it, or one that was there."""

    index: int
    run_id: str
    created: bool = True


@dataclass(frozen=True)
class BatchItemsTriggered:
    """Items of an opened batch were taken, in the append of the runs that were made of them."""

    TYPE: ClassVar[str] = "batch.items_triggered.v1"
    job_id: str
    items: tuple[BatchItem, ...]


Event = BatchTriggered | BatchOpened | BatchItemsTriggered
