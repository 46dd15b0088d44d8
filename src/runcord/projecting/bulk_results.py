"""What became of each run of a bulk operation, read from the operation's events."""

from dataclasses import dataclass

from runcord.bulk.events import BulkAdvanced, Outcome
from runcord.ledger.statements import Read
from runcord.projecting.time_travel import events_of_types

_EVENTS = 10


@dataclass(frozen=True)
class PlacedOutcome:
    """An outcome, and where it stands: in which event of its operation, and as which one there."""

    version: int
    index: int
    outcome: Outcome


async def outcomes(
    read: Read, project_id: str, operation_id: str, *, after: tuple[int, int] = (0, 0), limit: int
) -> list[PlacedOutcome]:
    """Return the outcomes after a place (version and index), in the order in which they came, at most `limit`."""
    found: list[PlacedOutcome] = []
    version = after[0] - 1
    while len(found) < limit:
        page = await events_of_types(read, project_id, operation_id, (BulkAdvanced,), after=version, limit=_EVENTS)
        for recorded in page:
            found += [
                PlacedOutcome(recorded.version, index, outcome)
                for index, outcome in enumerate(recorded.event.outcomes)
                if (recorded.version, index) > after
            ]
        if len(page) < _EVENTS:
            break
        version = page[-1].version
    return found[:limit]
