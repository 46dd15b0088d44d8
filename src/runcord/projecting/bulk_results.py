"""What became of each run of a bulk operation, read from the operation's events."""

from dataclasses import dataclass

from runcord.bulk.events import BulkAdvanced, Outcome
from runcord.errors import TooManyRuns
from runcord.ledger.statements import Read
from runcord.projecting.time_travel import events_of_types

_EVENTS = 10

MOST_TOUCHED = 10_000
"""How many runs an operation may have left behind to be listed as a filter: all are read for each page."""


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


async def touched(read: Read, project_id: str, operation_id: str) -> list[str]:
    """Return the ids of the runs that an operation has brought forth so far: it made them, or moved them.

    Those that a replay is made of are left as they were, so it is the new ones that count. There are none of an
    operation that is not there.

    Raises:
        TooManyRuns: there are more than `MOST_TOUCHED`.
    """
    found = await outcomes(read, project_id, operation_id, limit=MOST_TOUCHED + 1)
    if len(found) > MOST_TOUCHED:
        raise TooManyRuns(
            f"the bulk action {operation_id[:128]!r} has acted on more than {MOST_TOUCHED:,} runs: "
            f"page through GET /v1/bulk-operations/{operation_id[:128]}/results"
        )
    done = [placed.outcome for placed in found if placed.outcome.result == "succeeded"]
    return [outcome.new_run_id or outcome.run_id for outcome in done]
