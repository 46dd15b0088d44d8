"""Families: the graph around a run, as it was at a position, with what its runs were then."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from runcord.ledger import mapper
from runcord.ledger.statements import Read
from runcord.run.evolve import STATUS_EVENTS, evolve
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.sql import load
from runcord_projections.lineage.projection import Edge, Kind
from runcord_projections.run_view.projection import CODEC

SQL = load("runcord_projections.lineage", "view.sql")

Direction = Literal["ancestors", "descendants", "all"]

MOST_NODES = 1_000

_MOST_FOUND = 2 * MOST_NODES

BETWEEN_RUNS: tuple[Kind, ...] = ("child", "continuation", "replay")
WITHIN_A_RUN: tuple[Kind, ...] = ("restart", "dead_letter_replay")
KINDS = BETWEEN_RUNS + WITHIN_A_RUN


class Node(NamedTuple):
    """A run of a family."""

    run_id: str
    depth: int
    """How many steps it lies below the run that was asked for; above it, it is negative."""
    status: Status
    job_id: str
    job_slug: str
    created_at: datetime
    restarts: int
    """How often it was queued again: restarted, or replayed as a dead letter."""


class Family(NamedTuple):
    """Runs, by depth and age, and the edges between them, as they came about."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    truncated: bool
    """Whether there are more runs than `MOST_NODES`: then those that are here are the closest."""


async def family(
    read: Read,
    project_id: str,
    run_id: str,
    position: int,
    *,
    direction: Direction = "all",
    kinds: Collection[Kind] = KINDS,
    most_deep: int,
) -> Family:
    """Return the family of a run that was there at a position.

    `all` are the run's ancestors, and whatever came of the first of them. Only edges of `kinds` are followed, over
    at most `most_deep` steps from the run up, and to no more than as many below it.
    """
    scope = {
        "project_id": project_id,
        "position": position,
        "kinds": [kind for kind in BETWEEN_RUNS if kind in kinds],
        "most_deep": most_deep,
        "limit": _MOST_FOUND,
    }
    depths = {run_id: 0}
    cut = False
    if direction != "descendants":
        cut |= _meet(depths, await read(SQL["ancestors"], {**scope, "run_id": run_id}))
    above = dict(depths)
    if direction != "ancestors":
        cut |= _meet(depths, await read(SQL["descendants"], {**scope, "run_ids": [run_id], "depths": [0]}))
    if direction == "all":
        seeds = {"run_ids": list(above), "depths": list(above.values())}
        cut |= _meet(depths, await read(SQL["descendants"], {**scope, **seeds}))
    shown = dict(list(depths.items())[:MOST_NODES])
    among = {"project_id": project_id, "position": position, "run_ids": list(shown)}
    edges = [Edge(*row) for row in await read(SQL["edges"], among)]
    runs = await _runs_at(read, among)
    nodes = _nodes(shown, runs, edges)
    return Family(nodes, [edge for edge in edges if edge.kind in kinds], cut or len(depths) > MOST_NODES)


def _meet(depths: dict[str, int], rows: Sequence[tuple[Any, ...]]) -> bool:
    """Add runs, the closest first, each at the depth at which it was met first; tell whether there may be more."""
    for run_id, depth in sorted(rows, key=lambda row: (abs(row[1]), row[0])):
        depths.setdefault(run_id, depth)
    return len(rows) == _MOST_FOUND


def _nodes(depths: Mapping[str, int], runs: Mapping[str, Run], edges: Iterable[Edge]) -> list[Node]:
    restarts = dict.fromkeys(depths, 0)
    for edge in edges:
        restarts[edge.run_id] += edge.kind in WITHIN_A_RUN
    nodes = [
        Node(run_id, depth, run.status, run.job_id, run.job_slug, run.created_at, restarts[run_id])
        for run_id, depth in depths.items()
        if (run := runs.get(run_id)) is not None
    ]
    return sorted(nodes, key=lambda node: (node.depth, node.created_at, node.run_id))


async def _runs_at(read: Read, among: Mapping[str, Any]) -> dict[str, Run]:
    """Return runs that have the status that they had at a position; the rest may be of later."""
    runs: dict[str, Run] = {}
    moved: list[str] = []
    for state, position in await read(SQL["runs"], among):
        run = CODEC.decode(state)
        runs[run.run_id] = run
        if position > among["position"]:
            moved.append(run.run_id)
    if moved:
        params = {**among, "run_ids": moved, "types": mapper.stored_names(STATUS_EVENTS)}
        for row in await read(SQL["last_events"], params):
            recorded = mapper.recorded(row)
            # The last of these events says the status alone, whatever the run was before or after.
            known = runs[recorded.stream_id] if recorded.version > 1 else None
            then = evolve(known, recorded)
            assert then is not None
            runs[recorded.stream_id] = then
    return runs
