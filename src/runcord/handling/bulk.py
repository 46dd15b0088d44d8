"""Handlers of actions on many runs: at once for a request that waits, or step by step for a bulk operation.

Each run is acted on by its own: one that refuses leaves nothing behind and keeps no other from its turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runcord.bulk import commands as c
from runcord.bulk.decide import decide
from runcord.bulk.events import Outcome
from runcord.bulk.selection import Action, RunFilter
from runcord.bulk.state import BulkOperation
from runcord.errors import BulkOperationNotFound, IllegalTransition, RuncordError, RunNotFound
from runcord.handling.consequence import DESCENDANTS, apply, get_run
from runcord.handling.descent import ReplayDeadLetter, ReplayRun
from runcord.handling.documents import DOCUMENTS
from runcord.handling.tasks import ReplayTask
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.run import commands as run_commands
from runcord.run.state import Run
from runcord.run.status import Status

CANCEL_REASON = "canceled by user"


@dataclass(frozen=True)
class Target:
    """A run to act on; `new_run_id` is for what a replay makes of it."""

    run_id: str
    new_run_id: str = ""


@dataclass(frozen=True)
class Acted:
    """What became of one run. `run` is the one acted on as it is now, None if there is none; `new_run`, what a replay
    made, has `payload`.
    """

    outcome: Outcome
    run: Run | None
    new_run: Run | None = None
    payload: Any = None


@dataclass(frozen=True)
class ActOnRuns:
    """Act on runs in one transaction; answers an `Acted` for each, in order.

    With a filter, a run that is no longer in one of its statuses is skipped.
    """

    context: Context
    action: Action
    targets: Sequence[Target]
    filter: RunFilter | None = None
    reason: str | None = None
    any_status: bool = False
    """Replay runs that have not ended, too, as `ReplayTask` does."""

    @property
    def weight(self) -> int:
        """About two events for each."""
        return 2 * len(self.targets)

    def prepare(self, plan: Plan) -> None:
        """Read the runs, and what is below those that are to be cancelled, or what is copied from the others."""
        plan.need(*self._run_ids)
        if self.action == "cancel":
            DESCENDANTS.prepare(plan, self._run_ids)
        elif self.action == "replay":
            DOCUMENTS.prepare(plan, self._run_ids)

    def handle(self, tx: Transaction) -> list[Acted]:
        """Act on each run by its own."""
        states = [tx.state(run_id) for run_id in self._run_ids]
        ended = {run.run_id for run in states if isinstance(run, Run) and run.is_finished}
        return [self._act(tx, target, target.run_id in ended) for target in self.targets]

    @property
    def _run_ids(self) -> list[str]:
        return [target.run_id for target in self.targets]

    def _act(self, tx: Transaction, target: Target, had_ended: bool) -> Acted:
        try:
            run = get_run(tx, target.run_id)
            if self.action == "cancel" and run.status is Status.CANCELED and not had_ended:
                return Acted(Outcome(run.run_id), run)  # taken along by its parent, a moment ago
            if self.filter is not None and run.status not in self.filter.statuses:
                raise IllegalTransition(f"the run is {run.status} by now", status=run.status)
            return tx.isolate(lambda: self._command(tx, target))
        except RuncordError as refusal:
            result = "skipped" if isinstance(refusal, IllegalTransition) else "failed"
            present = None if isinstance(refusal, RunNotFound) else get_run(tx, target.run_id)
            return Acted(Outcome(target.run_id, result, code=refusal.code, error=refusal.message), present)

    def _command(self, tx: Transaction, target: Target) -> Acted:
        match self.action:
            case "cancel":
                run = apply(tx, target.run_id, run_commands.Cancel(self.reason or CANCEL_REASON))
                return Acted(Outcome(run.run_id), run)
            case "replay":
                replay = ReplayTask if self.any_status else ReplayRun
                made = replay(self.context, target.run_id, target.new_run_id).handle(tx)
                outcome = Outcome(target.run_id, new_run_id=made.run.run_id)
                return Acted(outcome, get_run(tx, target.run_id), made.run, made.payload)
            case "dlq_replay":
                apply(tx, target.run_id, run_commands.StageReplay())
                run = ReplayDeadLetter(self.context, target.run_id).handle(tx)
                return Acted(Outcome(run.run_id), run)


@dataclass(frozen=True)
class CommandBulk:
    """One command to one bulk operation; answers the operation after it."""

    context: Context
    operation_id: str
    command: c.Command
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read the operation."""
        plan.need(self.operation_id)

    def handle(self, tx: Transaction) -> BulkOperation:
        """Decide and record."""
        return _record(tx, self.operation_id, self.command)


@dataclass(frozen=True)
class Chunk:
    """The next runs of an operation: those between the cursor's place before and `cursor`, maybe none at all."""

    targets: Sequence[Target]
    cursor: int
    is_last: bool


@dataclass(frozen=True)
class AdvanceBulk:
    """Act on the next runs of a bulk operation, unless another process has; answers the operation as it is then.

    The runs' events and the outcomes are recorded in one transaction, so that each run is acted on exactly once,
    however often this is tried and by whom.
    """

    operation: BulkOperation
    chunk: Chunk
    give_up: str | None = None
    """Act on none of the runs, and record this as the reason."""

    @property
    def context(self) -> Context:
        """Whoever asked for the operation asked for all that comes of it."""
        return context_of(self.operation)

    @property
    def weight(self) -> int:
        """About two events for each run."""
        return 2 * len(self.chunk.targets) + 1

    def prepare(self, plan: Plan) -> None:
        """Read the operation and the runs."""
        plan.need(self.operation.operation_id)
        if self.give_up is None:
            self._acting.prepare(plan)

    def handle(self, tx: Transaction) -> BulkOperation:
        """Act, if it is this chunk's turn still."""
        operation = get_operation(tx, self.operation.operation_id)
        if not operation.is_active or operation.cursor != self.operation.cursor:
            return operation
        command = c.AdvanceBulk(self.operation.cursor, self.chunk.cursor, self._outcomes(tx), self.chunk.is_last)
        return _record(tx, operation.operation_id, command)

    def _outcomes(self, tx: Transaction) -> tuple[Outcome, ...]:
        if self.give_up is None:
            return tuple(acted.outcome for acted in self._acting.handle(tx))
        return tuple(
            Outcome(target.run_id, "failed", code="internal_error", error=self.give_up) for target in self.chunk.targets
        )

    @property
    def _acting(self) -> ActOnRuns:
        operation = self.operation
        return ActOnRuns(
            self.context,
            operation.action,
            self.chunk.targets,
            operation.filter,
            operation.reason,
            operation.any_status,
        )


def context_of(operation: BulkOperation) -> Context:
    """Return who wants what an operation does, and because of what."""
    return Context(operation.requested_by, operation.request_id, causation=operation.operation_id)


def get_operation(tx: Transaction, operation_id: str) -> BulkOperation:
    """Return the operation as it is now.

    Raises:
        BulkOperationNotFound: the project has no such operation.
    """
    operation = tx.state(operation_id)
    if not isinstance(operation, BulkOperation):
        raise BulkOperationNotFound(f"there is no bulk operation {operation_id[:128]!r} in this project")
    return operation


def _record(tx: Transaction, operation_id: str, command: c.Command) -> BulkOperation:
    if isinstance(command, c.RequestBulk):
        events = decide(command, tx.state(operation_id))
    else:
        events = decide(command, get_operation(tx, operation_id))
    return tx.record(operation_id, *events)
