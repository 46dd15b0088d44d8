"""Lineage: which run came of which, and how, as the edges of one graph.

Guarantees: there is an edge for each child, continuation and replay from the run that it came of, and one from a run
to itself for each time it was queued again; an edge is at the position at which it came about, and never changes. So
the graph as of a position is its edges up to there.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from runcord.projecting.projection import Projection, Step, Stretch, Table, steps_of
from runcord.run import events as e

Kind = Literal["child", "continuation", "replay", "restart", "dead_letter_replay"]
"""What the other run is to the run; for the last two it is the run itself."""


class Edge(NamedTuple):
    """`other_run_id` came of `run_id`."""

    run_id: str
    kind: Kind
    other_run_id: str
    position: int


class Lineage(Projection[Edge]):
    """The edges between runs."""

    name = "lineage"
    reads = frozenset((e.Triggered, e.Restarted, e.DeadLetterReplayed))
    table = Table("lineage", Edge, key=("run_id", "kind", "other_run_id", "position"))
    outlined = True
    by_stretches = True

    def keys(self, step: Step) -> Iterable[Edge]:
        """An edge is nothing but its key."""
        before, recorded, _ = step
        event, run_id, position = recorded.event, recorded.stream_id, recorded.position
        match event:
            case e.Triggered(parent_run_id=None, continuation_of=None, replay_of=None):
                return ()
            case e.Triggered() if before is None:
                origins: tuple[tuple[Kind, str | None], ...] = (
                    ("child", event.parent_run_id),
                    ("continuation", event.continuation_of),
                    ("replay", event.replay_of),
                )
                return [Edge(origin, kind, run_id, position) for kind, origin in origins if origin is not None]
            case e.Restarted():
                return (Edge(run_id, "restart", run_id, position),)
            case e.DeadLetterReplayed():
                return (Edge(run_id, "dead_letter_replay", run_id, position),)
            case _:
                return ()

    def gather_stretches(
        self, stretches: Sequence[Stretch], noted: dict[Edge, list[Step]]
    ) -> Mapping[Edge, list[Step]]:
        """Add the edges to runs that were triggered by others."""
        for stretch in stretches:
            if stretch.way.is_new:
                event = stretch.events[0]
                if event.parent_run_id or event.continuation_of or event.replay_of:
                    noted |= self.gather([next(steps_of(stretch))])
        return noted

    def evolve(self, row: Edge | None, key: Edge, steps: Sequence[Step], /) -> Edge:
        """Return the edge."""
        return key


PROJECTION = Lineage()
