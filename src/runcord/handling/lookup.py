"""Finding runs of a job by a key that an earlier trigger left behind, under the ledger's lock.

Where a handler foresees what it will look for, it is read ahead with everything else that its group needs; else it
costs a trip when it is looked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from runcord.ledger.arrays import Texts
from runcord.ledger.mapper import RUNS
from runcord.ledger.transaction import Plan, Row, Transaction
from runcord.ledger.view import Statement
from runcord.run.state import Run
from runcord.sql import load

SQL = load("runcord.sql", "queries/admission.sql")


_Holder = tuple[str, datetime | None]
"""A run, and until when it answers for the key."""


@dataclass(frozen=True)
class ByKey:
    """The keys of one kind in one job. The statement of that name gives a row for each key that it is asked about:
    the key, until when its run answers for it (null: for as long as the run says), run id, version and state.
    """

    statement: str
    job_id: str
    kind: str = ""

    def read_ahead(self, plan: Plan, key: str) -> None:
        """Have the run of a key read."""
        plan.ask(self, lambda: _Question(self)).keys.add(key)

    def find(self, tx: Transaction, key: str) -> Run | None:
        """Return the run that answers for the key now, as it is now."""
        holders = self._holders(tx)
        if key not in holders:
            holders.update(_accept(tx, tx.query(*_Question(self, {key}).statement(tx.project_id))))
        holder = holders[key]
        if holder is None:
            return None
        run_id, expires_at = holder
        return tx.state(run_id) if expires_at is None or expires_at > tx.at else None

    def hold(self, tx: Transaction, key: str, run_id: str, expires_at: datetime | None = None) -> None:
        """Let a run of this transaction answer for a key that was looked for."""
        holders = self._holders(tx)
        before = holders.get(key)
        holders[key] = (run_id, expires_at)
        tx.on_undo(lambda: holders.update({key: before}))

    def _holders(self, tx: Transaction) -> dict[str, _Holder | None]:
        return tx.memory(self, lambda: _accept(tx, tx.answer(self)) if tx.asked(self) else {})


@dataclass
class _Question:
    by_key: ByKey
    keys: set[str] = field(default_factory=set[str])

    def statement(self, project_id: str) -> Statement:
        params = {"job_id": self.by_key.job_id, "kind": self.by_key.kind, "keys": Texts(sorted(self.keys))}
        return SQL[self.by_key.statement], {"project_id": project_id, **params}


def _accept(tx: Transaction, rows: Sequence[Row]) -> dict[str, _Holder | None]:
    holders: dict[str, _Holder | None] = {}
    for key, expires_at, run_id, version, state in rows:
        holders[key] = None if run_id is None else (run_id, expires_at)
        if run_id is not None:
            tx.accept_state(run_id, version, RUNS.decode(state))
    return holders
