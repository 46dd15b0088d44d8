"""The projector: moves the generations of projections along the ledgers, a batch at a time.

Rows and positions are written in one transaction, so each event counts exactly once, whatever is killed when. Any
number of processes may do this at once: a generation that another one is moving on is left alone. Generations that
stand at the same position go on together, so that their events are read and folded into runs once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
import structlog

from runcord.faults import fault_point
from runcord.ledger.database import connect_writer
from runcord.projecting import generations as g
from runcord.projecting.folding import Batch
from runcord.projecting.generations import Generation
from runcord.projecting.outlines import Outlines, can_outline
from runcord.projecting.projection import AnyProjection
from runcord.projecting.steps import Runs
from runcord.projecting.taking import DATABASE_AWAY, Taking
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/projections.sql")

BATCH_EVENTS = 5_000
BATCH_BYTES = 16_000_000
"""A batch ends where its events have this many bytes."""

CLOSE = 500
"""A generation that is so many events behind is as good as up to date: it may become ready."""

_PROJECTS_KEPT = 8
_CREATING = 0x52756E50726F6A  # "RunProj"


M = TypeVar("M", Runs, Outlines)


@dataclass(frozen=True)
class Progress:
    """What one step of a projector came to."""

    position: int
    """Up to where it has moved generations on; 0 if it has moved none."""
    behind: int
    """How many events those have still to take that it has moved, or would have if nobody else were at it."""
    taken: int = 0
    """How many events this step has gone on by."""
    left_alone: int = 0
    """How far behind, in events, that one is which was left alone because it is further behind than `most_behind`."""


class Projector:
    """Moves generations on, over one connection. Belongs to one thread."""

    def __init__(self, dsn: str, projections: Mapping[str, AnyProjection]) -> None:
        self._dsn = dsn
        self._projections = projections
        self._conn: psycopg.Connection[Any] | None = None
        self._runs: dict[str, list[Runs | Outlines]] = {}

    def close(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def advance(self, project_id: str, *, most_behind: int | None = None, limit: int = BATCH_EVENTS) -> Progress:
        """Move those generations of a project on that are furthest behind, by one batch.

        `most_behind` leaves generations alone that are further behind than that: they are somebody else's work.

        Raises:
            psycopg.Error: the database is away or refused; nothing was written.
        """
        conn = self._connection()
        try:
            try:
                progress = self._advance(conn, project_id, most_behind, limit, careful=False)
            except DATABASE_AWAY:
                raise
            except Exception:
                self._runs.pop(project_id, None)
                progress = self._advance(conn, project_id, most_behind, limit, careful=True)
            fault_point("projector.after_commit")
            return progress
        except BaseException:
            self._runs.pop(project_id, None)
            if conn.closed:
                self._conn = None
            raise

    def _advance(
        self, conn: psycopg.Connection[Any], project_id: str, most_behind: int | None, limit: int, *, careful: bool
    ) -> Progress:
        """Do one step in a transaction; a careful one finds the generations that cannot take an event, and parks them.

        Raises:
            Exception: one of them cannot, and the step was not careful; nothing was written.
        """
        with conn.transaction():
            head = g.head_position(conn, project_id)
            known = self._known(conn, project_id)
            moving = [one for one in known if one.moves and one.position < head]
            near = [one for one in moving if most_behind is None or head - one.position <= most_behind]
            left_alone = max((head - one.position for one in moving if one not in near), default=0)
            if not near:
                return Progress(0, 0, left_alone=left_alone)
            group, until = self._next_group(conn, project_id, near, head, limit)
            if not group:
                return Progress(0, head - until, left_alone=left_alone)
            after = group[0].position
            if careful or not can_outline(self._projections[one.name] for one in group):
                batch, until = self._read(conn, project_id, group, until)
            else:
                outlines = self._at(project_id, after, Outlines)
                batch = outlines.follow(conn, project_id, until, group, self._projections)
            taking = Taking(conn, project_id, self._projections, g.load_skips(conn, project_id))
            if careful:
                group = [one for one in group if not self._parked(conn, project_id, taking, one, batch)]
            else:
                taking.all(group, batch)
            g.move(conn, project_id, group, until)
            if until + CLOSE >= head:
                g.make_ready(conn, project_id, [one for one in group if one.status == "building"])
                self._switch(conn, project_id, group, until, known)
            if group:
                fault_point("projector.before_commit")
            return Progress(until, head - until, until - after, left_alone)

    def _read(
        self, conn: psycopg.Connection[Any], project_id: str, group: Sequence[Generation], until: int
    ) -> tuple[Batch, int]:
        """Return what follows the place of some generations, and up to which position that is."""
        after = group[0].position
        limits = {"limit": BATCH_EVENTS, "bytes": BATCH_BYTES}
        params = {"project_id": project_id, "after": after, "until": until, **limits}
        rows = conn.execute(SQL["events_page"], params, binary=True).fetchall()
        until = rows[-1][2]
        runs = self._at(project_id, after, Runs)
        return Batch(runs.follow(conn, project_id, rows, until, g.snapshots_of(group))), until

    def _switch(
        self,
        conn: psycopg.Connection[Any],
        project_id: str,
        moved: Sequence[Generation],
        until: int,
        known: Sequence[Generation],
    ) -> None:
        """Have those that take over by themselves do so once they hold what is read now."""
        read = {one.name: one.position for one in known if one.status == "live"}
        for one in moved:
            if one.switches and until >= read.get(one.name, 0) and g.switch(conn, project_id, one):
                log.info("projection_switched", project_id=project_id, projection=one.name, generation=one.number)

    def _parked(
        self, conn: psycopg.Connection[Any], project_id: str, taking: Taking, generation: Generation, batch: Batch
    ) -> bool:
        """Have a generation take what it can, and park it if that is not all."""
        refusal = taking.up_to_refused(generation, batch)
        if refusal is None:
            return False
        g.park(conn, project_id, generation, refusal.position, refusal.reason)
        log.error(
            "projection_parked",
            project_id=project_id,
            projection=generation.name,
            generation=generation.number,
            position=refusal.position,
            reason=refusal.reason,
        )
        return True

    def _next_group(
        self, conn: psycopg.Connection[Any], project_id: str, moving: Sequence[Generation], head: int, limit: int
    ) -> tuple[list[Generation], int]:
        """Lock those generations that are furthest behind; return them and up to where they go now.

        There are none where another process is moving them on; then the position is where they stood.
        """
        after = min(one.position for one in moving)
        group = g.lock(conn, project_id, [one for one in moving if one.position == after])
        if not group:
            return [], after
        ahead = [one.position for one in moving if one.position > after]
        return group, min([after + limit, head, *ahead])

    def _known(self, conn: psycopg.Connection[Any], project_id: str) -> list[Generation]:
        """Return the generations of the projections that this process knows, having begun those that are missing."""
        found = g.load_generations(conn, project_id)
        if self._projections.keys() - {one.name for one in found}:
            g.begin(conn, project_id, self._projections.values())
            found = g.load_generations(conn, project_id)
        newest: dict[str, int] = {}
        for one in found:
            newest[one.name] = max(one.version, newest.get(one.name, 0))
        outdated = [p for p in self._projections.values() if p.version > newest[p.name]]
        for projection in outdated:
            g.build(conn, project_id, projection, switches=True)
        if outdated:
            found = g.load_generations(conn, project_id)
        return [one for one in found if one.name in self._projections]

    def _at(self, project_id: str, position: int, kind: type[M]) -> M:
        """Return the runs as they were at a position, as far as this process remembers them."""
        known = self._runs.setdefault(project_id, [])
        runs = next((one for one in known if one.position == position and isinstance(one, kind)), None)
        if runs is None:
            runs = kind(position)
            known[:] = [runs, *known[:1]]  # the live generations, and those that are being built
        if len(self._runs) > _PROJECTS_KEPT:
            del self._runs[next(one for one in self._runs if one != project_id)]
        return runs

    def _connection(self) -> psycopg.Connection[Any]:
        if self._conn is None or self._conn.closed:
            self._conn = connect_writer(self._dsn)
            self._conn.autocommit = True
            self._runs.clear()
            self._create_tables(self._conn)
        return self._conn

    def _create_tables(self, conn: psycopg.Connection[Any]) -> None:
        """Make the tables of projections that bring their own; servers that start at once stand in line for that."""
        with conn.transaction():
            conn.execute("select pg_advisory_xact_lock(%s)", (_CREATING,))
            for projection in self._projections.values():
                if projection.create is not None:
                    conn.execute(projection.create)
