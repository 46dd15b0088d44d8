"""Changing the metadata of a run, and with it that of the run that spawned it, or of the first of its family."""

from dataclasses import dataclass

from runcord.handling.consequence import apply, get_run
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.run.commands import ChangeMetadata
from runcord.run.limits import MAX_ANCESTORS
from runcord.run.metadata import MetadataOperation
from runcord.run.state import Run

Operations = tuple[MetadataOperation, ...]


@dataclass(frozen=True)
class ChangeRunMetadata:
    """Apply operations to a run, to its parent and to its root; a run without a parent is its own. Answers the run."""

    context: Context
    run_id: str
    operations: Operations = ()
    parent_operations: Operations = ()
    root_operations: Operations = ()
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read the run."""
        plan.need(self.run_id)

    def handle(self, tx: Transaction) -> Run:
        """Decide and record.

        Raises:
            RunNotFound: there is no such run.
            Invalid: one of them would have too much metadata.
        """
        run = get_run(tx, self.run_id)
        parent = _parent(tx, run) or run
        wanted: dict[str, Operations] = {}
        for target, operations in (
            (run, self.operations),
            (parent, self.parent_operations),
            (_root(tx, run) if self.root_operations else run, self.root_operations),
        ):
            if operations:
                wanted[target.run_id] = (*wanted.get(target.run_id, ()), *operations)
        for run_id, operations in wanted.items():
            apply(tx, run_id, ChangeMetadata(operations))
        return get_run(tx, self.run_id)


def _root(tx: Transaction, run: Run) -> Run:
    for _ in range(MAX_ANCESTORS):
        parent = _parent(tx, run)
        if parent is None:
            break
        run = parent
    return run


def _parent(tx: Transaction, run: Run) -> Run | None:
    parent = None if run.parent_run_id is None else tx.state(run.parent_run_id)
    return parent if isinstance(parent, Run) else None
