"""Rows about runs that a handler knows it will want: read in the group's one trip, instead of one trip for each run."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runcord.ledger.arrays import Texts
from runcord.ledger.transaction import Plan, Row, Transaction
from runcord.ledger.view import Statement


@dataclass
class _Question:
    sql: bytes
    run_ids: set[str] = field(default_factory=set[str])

    def statement(self, project_id: str) -> Statement:
        return self.sql, {"project_id": project_id, "run_ids": Texts(sorted(self.run_ids))}


@dataclass(frozen=True)
class ReadAhead:
    """A query about the runs `run_ids`. Its rows begin with the id of their run, and there is one at least for each."""

    sql: bytes

    def prepare(self, plan: Plan, run_ids: Sequence[str]) -> None:
        """Have the rows of these runs read with everything else."""
        plan.ask(self, lambda: _Question(self.sql)).run_ids.update(run_ids)

    def rows(self, tx: Transaction, run_id: str) -> Sequence[Row]:
        """Return the rows of one run without its id; a trip of its own unless it was prepared."""
        known: dict[str, list[Row]] = tx.memory(self, lambda: self._prepared(tx))
        if run_id not in known:
            known[run_id] = [row[1:] for row in tx.query(self.sql, {"run_ids": Texts([run_id])})]
        return known[run_id]

    def _prepared(self, tx: Transaction) -> dict[str, list[Row]]:
        known: dict[str, list[Row]] = {}
        for run_id, *rest in tx.answer(self) if tx.asked(self) else ():
            known.setdefault(run_id, []).append(tuple(rest))
        return known
