"""The bulk view: every bulk operation as it is now, written in the transaction of the command that moved it."""

from collections.abc import Iterator, Sequence

from runcord.bulk.events import Event
from runcord.bulk.evolve import evolve
from runcord.bulk.state import BulkOperation
from runcord.ledger.arrays import Bigints, Bytes, Integers, Texts
from runcord.ledger.mapper import Codec
from runcord.ledger.view import Change, Statement
from runcord.recorded import Recorded
from runcord.sql import load

SQL = load("runcord_projections.bulk_view", "view.sql")

CODEC = Codec(BulkOperation)


class BulkView:
    """The inline view of streams `bulk_…`."""

    name = "bulk_view"
    version = 1
    prefix = "bulk_"

    def load(self, project_id: str, stream_ids: Sequence[str]) -> Statement:
        """Return the query for the states of some operations."""
        return SQL["load"], {"project_id": project_id, "operation_ids": Texts(stream_ids)}

    def decode(self, stored: bytes) -> BulkOperation:
        """Return the operation that was stored."""
        return CODEC.decode(stored)

    def evolve(self, state: BulkOperation | None, recorded: Recorded[Event]) -> BulkOperation | None:
        """Return the operation after one more event."""
        return evolve(state, recorded)

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return one statement for all operations that changed."""
        operations: list[BulkOperation] = [c.after for c in changes if isinstance(c.after, BulkOperation)]
        if not operations:
            return
        positions = [c.recorded[-1].position for c in changes if isinstance(c.after, BulkOperation)]
        yield (
            SQL["save"],
            {
                "project_id": project_id,
                "operation_ids": Texts(operation.operation_id for operation in operations),
                "versions": Integers(operation.version for operation in operations),
                "positions": Bigints(positions),
                "created_positions": Bigints(operation.position for operation in operations),
                "statuses": Texts(operation.status for operation in operations),
                "states": Bytes(CODEC.encode(operation) for operation in operations),
            },
        )
