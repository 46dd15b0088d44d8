"""Rescheduling a run, and checking the payload it is given by that."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runcord.handling.consequence import apply, get_run
from runcord.handling.debugging import watch
from runcord.handling.schema import check_payload
from runcord.job.state import Job
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.run import commands as c
from runcord.run.state import Run


@dataclass(frozen=True)
class RescheduleRun:
    """Make a run due at another time; a new payload has to fit the job's schema. Answers the run after it."""

    context: Context
    run_id: str
    due_at: datetime
    payload: Any = None
    replace_payload: bool = False
    delayed_only: bool = False
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read the run."""
        plan.need(self.run_id)

    def handle(self, tx: Transaction) -> Run:
        """Decide, check and record.

        Raises:
            RunNotFound, IllegalTransition: refused.
            PayloadInvalid: the new payload does not fit.
        """
        command = c.Reschedule(self.due_at, self.payload, self.replace_payload, self.delayed_only)
        with watch(tx, self.run_id, command):
            if self.replace_payload:
                job = tx.state(get_run(tx, self.run_id).job_id)
                if isinstance(job, Job):
                    check_payload(job, self.payload)
            return apply(tx, self.run_id, command)
