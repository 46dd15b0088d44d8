"""Run snapshots: what a run was in every fiftieth version, so that any version is a short fold away.

Guarantees: a snapshot is exactly what `runcord.run.evolve` makes of the run's events up to its `version`. Reading
without them gives the same answers, later.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from runcord.ledger.mapper import RUNS
from runcord.projecting.projection import Projection, Step, Table
from runcord_projections.run_history.projection import RUN_EVENTS

SPACING = 50
"""How many events lie between two snapshots."""


class Snapshot(NamedTuple):
    """A run in one of its versions, as JSON."""

    run_id: str
    version: int
    position: int
    state: bytes


class RunSnapshots(Projection[Snapshot]):
    """Snapshots of all runs with long histories."""

    name = "run_snapshots"
    reads = RUN_EVENTS
    table = Table("run_snapshots", Snapshot, key=("run_id", "version"))
    every = SPACING

    def keys(self, step: Step) -> Iterable[tuple[str, int]]:
        """A snapshot is its version's own."""
        version = step.recorded.version
        return () if version % SPACING or step.after is None else ((step.recorded.stream_id, version),)

    def evolve(self, row: Snapshot | None, key: tuple[str, int], steps: Sequence[Step], /) -> Snapshot:
        """Return the snapshot."""
        _, recorded, after = steps[0]
        assert after is not None
        return Snapshot(*key, recorded.position, RUNS.encode(after))


PROJECTION = RunSnapshots()
