"""The runner: keeps the projections of all projects up to date, for as long as a server process lives.

It follows the commits of its own process within `DWELL_SECS`, at once if a read waits for them; what another process
has committed it takes up when that process does not. Generations that are far behind, because they are being built
anew, are left to a builder: a process of its own, so that requests do not wait while it folds.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import structlog

from runcord.clock import monotonic
from runcord.errors import ProjectionBehind, ProjectionParked, Unavailable
from runcord.ledger.statements import Read
from runcord.projecting.builder import Builder
from runcord.projecting.dropping import drop_some
from runcord.projecting.projection import AnyProjection
from runcord.projecting.projector import Projector
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/projections.sql")

DWELL_SECS = 0.05
"""How long a commit waits for others, so that one batch takes many of them."""

FAR_BEHIND = 10_000
"""Generations that are further behind, in events, are a builder's work."""

PATIENCE_SECS = 2.0
"""How long a read waits for a projection to reach it."""

_BATCH = 1_000
_SWEEP_SECS = 1.0
_IDLE_SECS = 1.0
_POLL_SECS = 0.02
_WHOLE_SWEEP_SECS = 60.0
"""How often all projects are looked at, and parked generations tried again; else those where something happened."""
_RECENT_SECS = 300.0
_MOST_PROJECTS = 1_000


class ProjectionRunner:
    """Moves projections on, and lets reads wait for them. Belongs to one event loop."""

    def __init__(
        self, dsn: str, projections: Mapping[str, AnyProjection], read: Read, touch: Read, events_per_sec: int
    ) -> None:
        self._projector = Projector(dsn, projections)
        self._projections = projections
        self._builder = Builder(dsn, events_per_sec)
        self._read = read
        self._touch = touch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="projector")
        self._due: dict[str, None] = {}
        self._has_due = asyncio.Event()
        self._wanted = asyncio.Event()
        """Somebody waits: there is no time to dwell."""
        self._moved = asyncio.Condition()

    def committed(self, project_id: str) -> Callable[[], None]:
        """Return what takes note that this process has committed something."""
        return partial(self._note, project_id)

    def hurry(self, project_id: str) -> None:
        """Have the generations of a project looked at without delay, those too that have just begun."""
        self._note(project_id)
        self._wanted.set()

    async def reach(self, project_id: str, position: int, *names: str) -> None:
        """Wait until the projections hold what the events up to a position say.

        Raises:
            ProjectionBehind: one has not got there within `PATIENCE_SECS`.
            ProjectionParked: one stands before an event that it cannot take.
        """
        deadline = monotonic() + PATIENCE_SECS
        params = {"project_id": project_id, "names": list(names)}
        while True:
            [(reached, count, parked_at)] = await self._read(SQL["live_position"], params)
            if count == len(names) and reached >= position:
                return
            if parked_at is not None and parked_at <= position:
                raise ProjectionParked(f"a projection cannot take the event at position {parked_at}")
            if monotonic() > deadline:
                raise ProjectionBehind(f"{' and '.join(names)}: {position - (reached or 0)} events behind")
            self.hurry(project_id)
            async with self._moved:
                try:
                    await asyncio.wait_for(self._moved.wait(), _POLL_SECS)
                except TimeoutError:
                    pass

    async def run(self) -> None:
        """Keep projections up to date until cancelled; a database that is away is waited for."""
        sweeping = asyncio.create_task(self._keep_sweeping())
        try:
            while True:
                await self._has_due.wait()
                await self._dwell()
                self._has_due.clear()
                self._wanted.clear()
                due, self._due = list(self._due), {}
                for project_id in due:
                    await self._advance(project_id)
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)

    async def close(self) -> None:
        """Give up the connection and whatever is being built."""
        await asyncio.to_thread(self._builder.close)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._projector.close)
        self._thread.shutdown()

    def _note(self, project_id: str) -> None:
        self._due[project_id] = None
        self._has_due.set()

    async def _dwell(self) -> None:
        enough = asyncio.get_running_loop().call_later(DWELL_SECS, self._wanted.set)
        try:
            await self._wanted.wait()
        finally:
            enough.cancel()

    async def _advance(self, project_id: str) -> None:
        """Move a project's projections on by a batch; it is due again if there is more."""
        loop = asyncio.get_running_loop()
        try:
            progress = await loop.run_in_executor(self._thread, self._step, project_id)
        except (Unavailable, psycopg.Error) as error:
            log.warning("projections_wait", project_id=project_id, error=str(error).strip())
            return  # the sweep takes it up again
        except Exception:
            log.exception("projections_failed", project_id=project_id)
            return
        if progress.position:
            async with self._moved:
                self._moved.notify_all()
            if progress.behind:
                self._note(project_id)
        if progress.left_alone:
            self._builder.build(project_id)

    def _step(self, project_id: str) -> Any:
        return self._projector.advance(project_id, most_behind=FAR_BEHIND, limit=_BATCH)

    async def _keep_sweeping(self) -> None:
        """Find what nobody moves on: after a start, when another process was lost, and for parked generations."""
        whole_at = monotonic()
        while True:
            try:
                if whole := monotonic() >= whole_at:
                    whole_at = monotonic() + _WHOLE_SWEEP_SECS
                    await self._touch(SQL["unpark_old"], {"age_secs": _WHOLE_SWEEP_SECS})
                await self._sweep(None if whole else _RECENT_SECS)
                await drop_some(self._touch, self._projections, secs=_SWEEP_SECS)
            except (Unavailable, psycopg.Error) as error:
                log.warning("projections_wait", error=str(error).strip())
            await asyncio.sleep(_SWEEP_SECS)

    async def _sweep(self, recent_secs: float | None) -> None:
        wanted = {"recent_secs": recent_secs, "idle_secs": _IDLE_SECS, "limit": _MOST_PROJECTS}
        for (project_id,) in await self._read(SQL["behind"], {"names": list(self._projections), **wanted}):
            self._note(project_id)
