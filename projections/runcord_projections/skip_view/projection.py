"""The skip view: which events projections pass over, written in the transaction in which it is decided."""

from collections.abc import Iterator, Sequence

from runcord.ledger.arrays import Bigints, Bytes, Integers, Texts
from runcord.ledger.mapper import Codec
from runcord.ledger.view import Change, Statement
from runcord.projection.events import Event
from runcord.projection.state import PREFIX, Skips, evolve
from runcord.recorded import Recorded
from runcord.sql import load

SQL = load("runcord_projections.skip_view", "view.sql")

CODEC = Codec(Skips)


class SkipView:
    """The inline view of streams `projection_…`."""

    name = "skip_view"
    version = 1
    prefix = PREFIX

    def load(self, project_id: str, stream_ids: Sequence[str]) -> Statement:
        """Return the query for the skips of some projections."""
        return SQL["load"], {"project_id": project_id, "projection_ids": Texts(stream_ids)}

    def decode(self, stored: bytes) -> Skips:
        """Return the skips that were stored."""
        return CODEC.decode(stored)

    def evolve(self, state: Skips | None, recorded: Recorded[Event]) -> Skips:
        """Return the skips after one more event."""
        return evolve(state, recorded)

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return one statement for all projections that skip more than before."""
        changed = [change for change in changes if isinstance(change.after, Skips)]
        if not changed:
            return
        all_skips: list[Skips] = [change.after for change in changed]
        yield (
            SQL["save"],
            {
                "project_id": project_id,
                "projection_ids": Texts(skips.projection_id for skips in all_skips),
                "versions": Integers(skips.version for skips in all_skips),
                "positions": Bigints(change.recorded[-1].position for change in changed),
                "states": Bytes(CODEC.encode(skips) for skips in all_skips),
            },
        )
