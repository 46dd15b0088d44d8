"""Batches that are opened, and then given their items: in one request, or in several that may be sent again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from runcord.batch.events import BatchItem, BatchItemsTriggered, BatchOpened
from runcord.batch.state import Batch
from runcord.errors import IdempotencyKeyReused, Invalid, NotFound
from runcord.handling import idempotency
from runcord.handling.tasks import job_of_task
from runcord.handling.trigger import Triggering, TriggerRequest, prepare_requests, trigger_runs
from runcord.ledger.transaction import Context, Plan, Transaction


@dataclass(frozen=True)
class Item:
    """One run that is asked for: its place in the batch, its task's slug, and what is wanted of it."""

    index: int
    slug: str
    request: TriggerRequest


@dataclass(frozen=True)
class Opened:
    """The batch, and whether it was there before."""

    batch: Batch
    was_there: bool


@dataclass(frozen=True)
class OpenBatch:
    """Open a batch of so many items; one that is there is answered as it is. Answers an `Opened`."""

    context: Context
    batch_id: str
    item_count: int
    idempotency_key: str | None = None
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read the batch: the id may stand for a key, or for a request that is repeated."""
        plan.need(self.batch_id)

    def handle(self, tx: Transaction) -> Opened:
        """Open it.

        Raises:
            IdempotencyKeyReused: the batch that is there has another number of items.
        """
        batch = tx.state(self.batch_id)
        if isinstance(batch, Batch):
            if batch.item_count != self.item_count:
                raise IdempotencyKeyReused(
                    f"this idempotency key was used for the batch {batch.batch_id}, which has {batch.item_count} items "
                    f"and not {self.item_count}: send the same request, or another key"
                )
            return Opened(batch, was_there=True)
        opened = BatchOpened(self.item_count, self.idempotency_key)
        return Opened(tx.create(self.batch_id, opened), was_there=False)


@dataclass(frozen=True)
class Taken:
    """What became of the items of a request, by index: of those that were taken now; `repeated` had been before."""

    batch: Batch
    triggerings: Mapping[int, Triggering]
    repeated: int


@dataclass(frozen=True)
class TriggerBatchItems:
    """Trigger the items of a batch that it does not have yet: all of them or, if any is refused, none.

    With `opening`, a batch that is not there is opened first. A task that there is not becomes a job with the settings
    `defaults`; `guesses` are the ids that tasks' jobs probably have.
    Answers a `Taken`.
    """

    context: Context
    batch_id: str
    items: Sequence[Item]
    defaults: Mapping[str, Any]
    opening: OpenBatch | None = None
    guesses: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def weight(self) -> int:
        """One event for each."""
        return 1 + len(self.items)

    def prepare(self, plan: Plan) -> None:
        """Read the batch, the jobs, and what the items refer to."""
        plan.need(self.batch_id, *self.guesses.values())
        prepare_requests(plan, [item.request for item in self.items])
        for slug, job_id in self.guesses.items():
            idempotency.prepare(plan, job_id, self._keys(slug))

    def handle(self, tx: Transaction) -> Taken:
        """Trigger, and record what the batch has now.

        Raises:
            NotFound: there is no such batch.
            Invalid: an index is not one of the batch's.
            JobDisabled, PayloadInvalid, RunNotFound, RateLimited: an item is refused.
        """
        batch = self.opening.handle(tx).batch if self.opening is not None else tx.state(self.batch_id)
        if not isinstance(batch, Batch) or batch.updated_at is None:
            raise NotFound(f"there is no batch {self.batch_id[:128]!r} in this project that takes items")
        new = [item for item in _each_once(batch, self.items) if not batch.run_ids[item.index]]
        triggerings: dict[int, Triggering] = {}
        first = None
        for slug, group in groupby(new, lambda item: item.slug):
            items = list(group)
            job = job_of_task(tx, slug, self.defaults, self.guesses.get(slug))
            first = first or job.job_id
            if job.job_id != self.guesses.get(slug):
                idempotency.look_up(tx, job.job_id, self._keys(slug))
            made = trigger_runs(tx, job, [item.request for item in items], batch_id=self.batch_id)
            triggerings |= {item.index: one for item, one in zip(items, made, strict=True)}
        if first is not None:
            taken = tuple(_taken(index, one, self.batch_id) for index, one in sorted(triggerings.items()))
            batch = tx.record(self.batch_id, BatchItemsTriggered(first, taken))
        return Taken(batch, triggerings, len(self.items) - len(new))

    def _keys(self, slug: str) -> list[str]:
        keys = [item.request.idempotency_key for item in self.items if item.slug == slug]
        return [key for key in keys if key is not None]


def _each_once(batch: Batch, items: Sequence[Item]) -> list[Item]:
    by_index = {item.index: item for item in items}
    for index in by_index:
        if not 0 <= index < batch.item_count:
            raise Invalid(f"index: the batch has {batch.item_count} items, 0 to {batch.item_count - 1}, and no {index}")
    return sorted(by_index.values(), key=lambda item: item.index)


def _taken(index: int, triggering: Triggering, batch_id: str) -> BatchItem:
    run = triggering.run
    return BatchItem(index, run.run_id, created=triggering.fate == "triggered" and run.batch_id == batch_id)
