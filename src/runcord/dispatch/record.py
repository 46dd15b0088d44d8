"""The handler that records what came of an attempt that was sent to an endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

from runcord.errors import ResultInvalid
from runcord.handling import results
from runcord.handling.consequence import apply, get_run
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.run import commands as c
from runcord.run.events import Failure
from runcord.run.state import Run

Ending = c.Complete | c.Fail | c.Release


@dataclass(frozen=True)
class RecordAttempt:
    """Record the exchanges of an attempt and, in the same append, its end; answers the run after it.

    Without an `ending` the attempt goes on: its endpoint has accepted it.
    """

    context: Context
    run_id: str
    dispatches: Sequence[c.RecordDispatch]
    ending: Ending | None = None
    weight: int = 2

    def prepare(self, plan: Plan) -> None:
        """Read the run, and what its result must be like."""
        plan.need(self.run_id)
        if self.ending is not None:
            results.prepare(plan, self.run_id, self.ending)

    def handle(self, tx: Transaction) -> Run:
        """Decide and record. A result that the job does not take fails the run for good.

        Raises:
            StaleAttempt, IllegalTransition: the attempt is over, or in other hands; nothing was recorded.
        """
        for dispatch in self.dispatches:
            apply(tx, self.run_id, dispatch)
        ending = self.ending
        if ending is None:
            return get_run(tx, self.run_id)
        try:
            results.check(tx, self.run_id, ending)
        except ResultInvalid as refusal:
            assert isinstance(ending, c.Complete)
            failure = Failure(refusal.message, "client", details=list(refusal.details) or None)
            ending = c.Fail(failure, retryable=False, claim=ending.claim)
        return apply(tx, self.run_id, ending)
