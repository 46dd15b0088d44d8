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


Event = BatchTriggered
