"""Checking results against the result schemas of jobs, at no extra trip: completions that wait together ask once."""

from dataclasses import dataclass, field

from runcord.handling.consequence import SQL
from runcord.handling.schema import check_result
from runcord.ledger.mapper import JOBS
from runcord.ledger.transaction import Plan, Transaction
from runcord.ledger.view import Statement
from runcord.run.commands import Command, Complete
from runcord.run.state import Run
from runcord.run.status import Status

_KEY = "result schemas"


@dataclass
class _Schemas:
    run_ids: set[str] = field(default_factory=set[str])

    def statement(self, project_id: str) -> Statement:
        return SQL["result_schemas"], {"project_id": project_id, "run_ids": sorted(self.run_ids)}


def prepare(plan: Plan, run_id: str, command: Command) -> None:
    """Have the job of a run that completes read, if it has a result schema."""
    if isinstance(command, Complete):
        plan.ask(_KEY, _Schemas).run_ids.add(run_id)


def check(tx: Transaction, run_id: str, command: Command) -> None:
    """Raise ResultInvalid if a run would complete with a result that its job does not take."""
    if not isinstance(command, Complete):
        return
    jobs = tx.memory(_KEY, lambda: dict[str, bytes](tx.answer(_KEY)))
    if run_id not in jobs:
        return
    run = tx.state(run_id)
    if isinstance(run, Run) and run.status is not Status.COMPLETED:
        check_result(JOBS.decode(jobs[run_id]), command.result)
