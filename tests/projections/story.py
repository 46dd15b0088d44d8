"""Stories: what happens to runs, as the steps that projections are shown."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from runcord.projecting.folding import Batch, sheet
from runcord.projecting.projection import AnyProjection, Step
from runcord.recorded import Recorded
from runcord.run.evolve import evolve
from runcord.run.state import Run
from runcord.testing.scenario import START


class Story:
    """Steps of several runs in one ledger, a second apart unless a time is given."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._runs: dict[str, Run | None] = {}
        self._versions: dict[str, int] = {}

    @property
    def position(self) -> int:
        """The ledger's position."""
        return len(self.steps)

    def happens(self, run_id: str, *events: Any, at: datetime | None = None) -> "Story":
        """Go on with events of a run."""
        for event in events:
            position = len(self.steps) + 1
            version = self._versions[run_id] = self._versions.get(run_id, 0) + 1
            time = at or START + timedelta(seconds=position)
            recorded = Recorded(run_id, version, position, time, UUID(int=position), {"actor": "test"}, event)
            before = self._runs.get(run_id)
            after = self._runs[run_id] = evolve(before, recorded)
            self.steps.append(Step(before, recorded, after))
        return self

    def rows(self, projection: AnyProjection) -> dict[Any, Any]:
        """Return the rows that a projection makes of it, by their whole keys; the same however it is divided."""
        whole = self._rows(projection, lambda steps: [steps])
        assert self._rows(projection, lambda steps: [[step] for step in steps]) == whole
        return whole

    def _rows(self, projection: AnyProjection, divide: Callable[[list[Step]], list[list[Step]]]) -> dict[Any, Any]:
        table = projection.table
        rows: dict[Any, Any] = {}
        for part in divide(self.steps):
            page = sheet(projection, 1, Batch(part), ())
            wanted = {table.looked_up_by(key) for key in page.concerned}
            # The latest comes last, as rows come into being in the order of the ledger.
            page.rows = {table.found_by(row): row for row in rows.values() if table.found_by(row) in wanted}
            changes = page.fold()
            for gone in changes.removed:
                rows = {key: row for key, row in rows.items() if table.found_by(row) != gone}
            rows |= {tuple(getattr(row, name) for name in table.key): row for row in (*changes.added, *changes.changed)}
        return rows
