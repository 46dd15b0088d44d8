"""The key view: every API key as it is now, written in the transaction of the command that changed it."""

from collections.abc import Iterator, Sequence

from runcord.key.events import Event
from runcord.key.evolve import evolve
from runcord.key.state import ApiKey
from runcord.ledger.arrays import Bigints, Bytes, Integers, Texts
from runcord.ledger.mapper import Codec
from runcord.ledger.view import Change, Statement
from runcord.recorded import Recorded
from runcord.sql import load

SQL = load("runcord_projections.key_view", "view.sql")

CODEC = Codec(ApiKey)


class KeyView:
    """The inline view of streams `key_…`."""

    name = "key_view"
    version = 1
    prefix = "key_"

    def load(self, project_id: str, stream_ids: Sequence[str]) -> Statement:
        """Return the query for the states of some keys."""
        return SQL["load"], {"project_id": project_id, "key_ids": Texts(stream_ids)}

    def decode(self, stored: bytes) -> ApiKey:
        """Return the key that was stored."""
        return CODEC.decode(stored)

    def evolve(self, state: ApiKey | None, recorded: Recorded[Event]) -> ApiKey | None:
        """Return the key after one more event."""
        return evolve(state, recorded)

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return one statement for all keys that changed."""
        changed = [change for change in changes if isinstance(change.after, ApiKey)]
        if not changed:
            return
        keys: list[ApiKey] = [change.after for change in changed]
        yield (
            SQL["save"],
            {
                "project_id": project_id,
                "key_ids": Texts(key.key_id for key in keys),
                "versions": Integers(key.version for key in keys),
                "positions": Bigints(change.recorded[-1].position for change in changed),
                "created_positions": Bigints(change.recorded[0].position for change in changed),
                "states": Bytes(CODEC.encode(key) for key in keys),
            },
        )
