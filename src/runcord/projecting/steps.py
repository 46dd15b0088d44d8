"""From stored events to steps: what each event did to its run.

One `evolve` serves commands, the run view, time travel and this.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from runcord.errors import UnknownEventType
from runcord.ledger import mapper
from runcord.projecting.generations import NO_SNAPSHOTS
from runcord.projecting.projection import Step
from runcord.recorded import Recorded
from runcord.run.evolve import evolve
from runcord.run.state import Run
from runcord.sql import load

SQL = load("runcord.sql", "queries/projections.sql")

RUNS_KEPT = 20_000
"""How many runs are remembered from one batch to the next; about 3 kB each."""

_RUN = "run_"


@dataclass(frozen=True)
class Unreadable:
    """Stands for an event that cannot be read: its type is not known, or its bytes are no such event."""

    type_name: str
    reason: str


class Runs:
    """The runs as they were at one position of a ledger, as far as they are remembered; the others are read."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._runs: dict[str, Run] = {}

    def follow(
        self,
        conn: psycopg.Connection[Any],
        project_id: str,
        rows: Sequence[tuple[Any, ...]],
        until: int,
        snapshots: int = NO_SNAPSHOTS,
    ) -> list[Step]:
        """Return the steps that the events after `position` and up to `until` make, and go on to there.

        `snapshots` is the generation of snapshots that is at `position`, too. No other would do: what is being built
        anew must not take over what an earlier build has made.
        """
        recorded = [_read(row) for row in rows]
        runs = self._runs
        seen: set[str] = set()
        unknown: set[str] = set()
        for one in recorded:
            stream_id = one.stream_id
            if stream_id not in seen:
                seen.add(stream_id)
                if one.version > 1 and stream_id not in runs and stream_id.startswith(_RUN):
                    unknown.add(stream_id)
        if unknown:
            runs |= _runs_at(conn, project_id, unknown, self.position, snapshots)
        steps: list[Step] = []
        for one in recorded:
            stream_id = one.stream_id
            if not stream_id.startswith(_RUN):
                steps.append(Step(None, one, None))
                continue
            before = runs.get(stream_id)
            after = _after(before, one)
            if after is not None:
                runs[stream_id] = after
            steps.append(Step(before, one, after))
        self.position = until
        if len(runs) > RUNS_KEPT:
            self._forget(seen)
        return steps

    def _forget(self, recent: Collection[str]) -> None:
        """Keep those that are still at work, or have just moved, unless they are too many as well."""
        kept = {run_id: run for run_id, run in self._runs.items() if not run.is_finished}
        if len(kept) > RUNS_KEPT:
            kept = {run_id: run for run_id, run in kept.items() if run_id in recent}
        self._runs = kept


def whole_steps(
    conn: psycopg.Connection[Any],
    project_id: str,
    run_ids: Collection[str],
    after: int,
    until: int,
    every: int,
    snapshots: int = NO_SNAPSHOTS,
) -> list[Step]:
    """Return those steps of some runs, between two positions, whose versions are multiples of a number.

    `snapshots` is a generation of snapshots that is at `after`, as in `Runs.follow`.
    """
    runs = _runs_at(conn, project_id, run_ids, after, snapshots)
    steps: list[Step] = []
    params = {"project_id": project_id, "stream_ids": list(run_ids), "after": after, "until": until}
    with conn.cursor(name="events_of", binary=True) as cursor:
        cursor.itersize = 1000
        for row in cursor.execute(SQL["events_of"], params):
            recorded = _read(row)
            before = runs.get(recorded.stream_id)
            step = Step(before, recorded, _after(before, recorded))
            if step.after is not None:
                runs[recorded.stream_id] = step.after
            if recorded.version % every == 0:
                steps.append(step)
    return steps


def _read(row: tuple[Any, ...]) -> Recorded[Any]:
    try:
        return mapper.recorded(row)
    except (UnknownEventType, ValueError) as error:
        stream_id, version, position, at, event_id, type_name, _, _ = row
        reason = str(error).splitlines()[0]
        return Recorded(stream_id, version, position, at, event_id, {}, Unreadable(type_name, reason))


def _after(run: Run | None, recorded: Recorded[Any]) -> Run | None:
    if recorded.event.__class__ is Unreadable:
        return None if run is None else run.altered(version=recorded.version, updated_at=recorded.at)
    return evolve(run, recorded)


def _runs_at(
    conn: psycopg.Connection[Any], project_id: str, run_ids: Collection[str], position: int, snapshots: int
) -> dict[str, Run]:
    """Return runs as they were at a position, folded from their last snapshots."""
    runs: dict[str, Run] = {}
    params = {"project_id": project_id, "stream_ids": list(run_ids), "position": position, "snapshots": snapshots}
    with conn.cursor(name="runs_before", binary=True) as cursor:
        cursor.itersize = 1000
        for row in cursor.execute(SQL["runs_before"], params):
            run_id = row[0]
            after = mapper.RUNS.decode(row[6]) if row[5] is None else _after(runs.get(run_id), _read(row))
            if after is not None:
                runs[run_id] = after
    return runs
