"""The batch view: every bulk trigger, written in the transaction that made its runs."""

from collections.abc import Iterator, Sequence

from runcord.batch.events import Event
from runcord.batch.state import Batch, evolve
from runcord.ledger.arrays import Bigints, Bytes, Integers, Texts
from runcord.ledger.mapper import Codec
from runcord.ledger.view import Change, Statement
from runcord.recorded import Recorded
from runcord.sql import load

SQL = load("runcord_projections.batch_view", "view.sql")

CODEC = Codec(Batch)


class BatchView:
    """The inline view of streams `batch_…`."""

    name = "batch_view"
    version = 1
    prefix = "batch_"

    def load(self, project_id: str, stream_ids: Sequence[str]) -> Statement:
        """Return the query for the states of some batches."""
        return SQL["load"], {"project_id": project_id, "batch_ids": Texts(stream_ids)}

    def decode(self, stored: bytes) -> Batch:
        """Return the batch that was stored."""
        return CODEC.decode(stored)

    def evolve(self, state: Batch | None, recorded: Recorded[Event]) -> Batch | None:
        """Return the batch after one more event."""
        return evolve(state, recorded)

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return one statement for all batches that were made or given items."""
        made = [change for change in changes if isinstance(change.after, Batch)]
        if not made:
            return
        batches: list[Batch] = [change.after for change in made]
        yield (
            SQL["save"],
            {
                "project_id": project_id,
                "batch_ids": Texts(batch.batch_id for batch in batches),
                "versions": Integers(batch.version for batch in batches),
                "positions": Bigints(change.recorded[0].position for change in made),
                "states": Bytes(CODEC.encode(batch) for batch in batches),
            },
        )
