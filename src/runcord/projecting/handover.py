"""What earlier attempts left for the next: the last checkpoint, and an event that came since."""

from collections.abc import Sequence
from dataclasses import dataclass

from runcord.ledger import mapper
from runcord.ledger.statements import Read
from runcord.projecting import run_facts as facts
from runcord.run import events as e
from runcord.run.state import Run
from runcord.sql import load

SQL = load("runcord.sql", "queries/ledger.sql")


@dataclass(frozen=True)
class Handover:
    """What one run's next attempt goes on from.

    `event` is what the run last waited for, unless a checkpoint was saved since: until then no worker has said that
    it took note of it, so every attempt is told.
    """

    checkpoint: facts.Checkpoint | None = None
    event: e.EventReceived | None = None


NOTHING = Handover()


async def handovers(read: Read, project_id: str, runs: Sequence[Run]) -> dict[str, Handover]:
    """Return the handovers of those runs that have any, by run id; one query for all."""
    wanted = [(run.run_id, version) for run in runs for version in _versions(run)]
    if not wanted:
        return {}
    run_ids, versions = zip(*wanted, strict=True)
    params = {"project_id": project_id, "stream_ids": list(run_ids), "versions": list(versions)}
    found: dict[str, Handover] = {}
    for row in await read(SQL["chosen_events"], params):
        recorded = mapper.recorded(row)
        before = found.get(recorded.stream_id, NOTHING)
        if isinstance(recorded.event, e.Checkpointed):
            found[recorded.stream_id] = Handover(facts.checkpoint(recorded), before.event)
        elif isinstance(recorded.event, e.EventReceived):
            found[recorded.stream_id] = Handover(before.checkpoint, recorded.event)
    return found


def _versions(run: Run) -> list[int]:
    versions: list[int] = []
    if run.checkpoint_version is not None:
        versions.append(run.checkpoint_version)
    if run.event_version is not None and run.event_version > (run.checkpoint_version or 0):
        versions.append(run.event_version)
    return versions
