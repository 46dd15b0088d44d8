"""The envelope of an event: what happened, to which stream, as its which version, when and because of whom."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

E_co = TypeVar("E_co", covariant=True)


class Recorded(NamedTuple, Generic[E_co]):
    """One event in its place in the ledger.

    `position` counts 1, 2, 3 … in the project's ledger, `version` in the event's stream, both without a hole.
    `at` is the ledger's own time (UTC), which never goes backwards within a ledger; it is the only time that
    `evolve` knows. `metadata` says who and why: `actor`, `request_id`, `trace`, `causation`.
    """

    stream_id: str
    version: int
    position: int
    at: datetime
    event_id: UUID
    metadata: Mapping[str, Any]
    event: E_co
