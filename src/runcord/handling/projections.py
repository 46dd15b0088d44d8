"""The handler of the one command to projections that is on record: to pass over an event."""

from dataclasses import dataclass

from runcord.errors import ProjectionNotParked
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.projection.events import EventSkipped
from runcord.projection.state import Skips, stream_of
from runcord.sql import load

SQL = load("runcord.sql", "queries/projections.sql")


@dataclass(frozen=True)
class SkipEvent:
    """Have a projection pass over the event that it is parked before, and go on; answers its skips."""

    context: Context
    name: str
    position: int
    reason: str
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read what it passes over already."""
        plan.need(stream_of(self.name))

    def handle(self, tx: Transaction) -> Skips:
        """Decide and record. Raises ProjectionNotParked for any other position than where it is parked."""
        parked = sorted(row[0] for row in tx.query(SQL["parked"], {"name": self.name}))
        if self.position not in parked:
            where = f"parked at position {', '.join(map(str, parked))}" if parked else "not parked"
            raise ProjectionNotParked(f"{self.name} is {where}: no event can be skipped but one that it cannot take")
        tx.write(SQL["unpark_at"], {"name": self.name, "position": self.position})
        return tx.record(stream_of(self.name), EventSkipped(self.position, self.reason))
