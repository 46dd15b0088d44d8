"""Handlers of commands to one run, and of many such commands at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from runcord.errors import RuncordError
from runcord.handling import results
from runcord.handling.consequence import apply
from runcord.handling.debugging import watch
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.recorded import Recorded
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.state import Run


@dataclass(frozen=True)
class CommandRun:
    """One command to one run; answers the run after it."""

    context: Context
    run_id: str
    command: c.WorkerCommand | c.OperatorCommand
    weight: int = 2

    def prepare(self, plan: Plan) -> None:
        """Read the run."""
        plan.need(self.run_id)

    def handle(self, tx: Transaction) -> Run:
        """Decide and record."""
        return apply(tx, self.run_id, self.command)


@dataclass(frozen=True)
class Reported:
    """The run after a worker's report, and what was recorded of it."""

    run: Run
    recorded: Sequence[Recorded[e.Event]]


@dataclass(frozen=True)
class ReportRun:
    """What a worker says about one run; answers a `Reported`."""

    context: Context
    run_id: str
    command: c.WorkerCommand
    weight: int = 2

    def prepare(self, plan: Plan) -> None:
        """Read the run, and what its result must be like."""
        plan.need(self.run_id)
        results.prepare(plan, self.run_id, self.command)

    def handle(self, tx: Transaction) -> Reported:
        """Decide and record."""
        before = len(tx.recorded(self.run_id))
        with watch(tx, self.run_id, self.command):
            results.check(tx, self.run_id, self.command)
            run = apply(tx, self.run_id, self.command)
        return Reported(run, tx.recorded(self.run_id)[before:])


@dataclass(frozen=True)
class CommandRuns:
    """Many commands in one transaction, each on its own: answers the run, or the refusal, for each in order."""

    context: Context
    commands: Sequence[tuple[str, c.WorkerCommand | c.OperatorCommand]]

    @property
    def weight(self) -> int:
        """Two events for each command."""
        return 2 * len(self.commands)

    def prepare(self, plan: Plan) -> None:
        """Read all runs, and what results must be like."""
        plan.need(*(run_id for run_id, _ in self.commands))
        for run_id, command in self.commands:
            results.prepare(plan, run_id, command)

    def handle(self, tx: Transaction) -> list[Run | RuncordError]:
        """Decide and record each; a refusal comes before anything of that command is recorded."""
        return [self._one(tx, run_id, command) for run_id, command in self.commands]

    def _one(self, tx: Transaction, run_id: str, command: c.WorkerCommand | c.OperatorCommand) -> Run | RuncordError:
        try:
            with watch(tx, run_id, command):
                results.check(tx, run_id, command)
                return apply(tx, run_id, command)
        except RuncordError as refusal:
            return refusal
