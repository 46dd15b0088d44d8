"""The commands of one bulk operation."""

from dataclasses import dataclass

from runcord.bulk.events import BulkRequested, Outcome


@dataclass(frozen=True)
class RequestBulk:
    """Ask for the operation."""

    facts: BulkRequested


@dataclass(frozen=True)
class StartBulk:
    """Say how many runs there are, of those that the request means."""

    total: int


@dataclass(frozen=True)
class AdvanceBulk:
    """Say what became of the runs between two places of the cursor."""

    after: int
    cursor: int
    outcomes: tuple[Outcome, ...]
    is_last: bool


@dataclass(frozen=True)
class CancelBulk:
    """Stop the operation where it is."""


@dataclass(frozen=True)
class FailBulk:
    """Give the operation up."""

    error: str


Command = RequestBulk | StartBulk | AdvanceBulk | CancelBulk | FailBulk
