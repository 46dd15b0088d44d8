"""Going on after a wait, in the same worker's hands: the run takes a slot again, if there is one."""

from dataclasses import dataclass

from runcord.errors import NoFreeSlot
from runcord.handling.consequence import apply, get_run
from runcord.handling.debugging import watch
from runcord.handling.runs import Reported
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.queue.slots import slots_of
from runcord.run import commands as c
from runcord.run.decide import decide
from runcord.sql import load

SQL = load("runcord.sql", "queries/queue.sql")


@dataclass(frozen=True)
class ResumeRun:
    """Let a worker go on with a waiting run; answers a `Reported`."""

    context: Context
    run_id: str
    command: c.ResumeWork
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read the run."""
        plan.need(self.run_id)

    def handle(self, tx: Transaction) -> Reported:
        """Take a slot, then decide and record.

        Raises:
            NoFreeSlot: the job, or the run's concurrency key, has as many runs at work as it may have.
        """
        run = get_run(tx, self.run_id)
        with watch(tx, self.run_id, self.command):
            if decide(self.command, run, tx.at):  # nothing follows a resume that was heard before
                for limits in tx.query(SQL["slots"], {"job_id": run.job_id, "concurrency_key": run.concurrency_key}):
                    if not slots_of(tx).take(tx, run.job_id, run.concurrency_key, *limits):
                        raise NoFreeSlot
            before = len(tx.recorded(self.run_id))
            return Reported(apply(tx, self.run_id, self.command), tx.recorded(self.run_id)[before:])
