"""The tag index: how many runs have each tag, by their status, now and at any position of the past.

Which runs have a tag is what lists of runs answer (`run_terms`); here they are counted. Guarantees: a tag that is
added later counts from then on, one whose value is changed no longer counts; for each tag there is a row for each
area of the ledger in which its counts changed, from which the counts at every position follow.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from runcord.projecting.projection import Projection, Step, Table
from runcord.run import events as e
from runcord.run.evolve import STATUS_EVENTS
from runcord.run.state import Run
from runcord.run.status import Status

AREA_BITS = 8
"""A row tells of 2^8 positions, so that a busy tag writes one row for many changes, none of which grows long."""

STATUSES = (
    Status.DELAYED,
    Status.QUEUED,
    Status.DEQUEUED,
    Status.EXECUTING,
    Status.WAITING,
    Status.PAUSED,
    Status.DEAD_LETTER,
    Status.REPLAY_STAGED,
    Status.COMPLETED,
    Status.FAILED,
    Status.TIMED_OUT,
    Status.CRASHED,
    Status.SYSTEM_FAILED,
    Status.CANCELED,
    Status.EXPIRED,
)
"""What the counts are of, in their order. It never changes; a new status would be added at the end."""

NOT_TAGGED = len(STATUSES)
"""In a move, the place of a run that does not have the tag."""

_PLACES = {status: place for place, status in enumerate(STATUSES)}

Tag = tuple[str, str]


class TagCounts(NamedTuple):
    """The counts of one tag in one area of the ledger."""

    tag_key: str
    tag_value: str
    area: int
    """The positions of the area, without their lowest `AREA_BITS` binary digits."""
    counts: tuple[int, ...]
    """How many runs had the tag before the area began, by the places of their status in `STATUSES`."""
    positions: tuple[int, ...]
    """Where in the area that changed."""
    moves: tuple[int, ...]
    """From and to which place a run moved at each of these positions: 16 × from + to."""

    def counts_at(self, position: int) -> tuple[int, ...]:
        """Return the counts at a position of the area, or at its end if the position lies beyond."""
        counts = [*self.counts, 0]
        for at, move in zip(self.positions, self.moves, strict=True):
            if at > position:
                break
            counts[move >> 4] -= 1
            counts[move & 15] += 1
        return tuple(counts[:-1])


class TagIndex(Projection[TagCounts]):
    """How many runs have each tag, by status."""

    name = "tag_index"
    reads = frozenset((*STATUS_EVENTS, e.Tagged))
    table = Table("tag_index", TagCounts, key=("tag_key", "tag_value", "area"), latest="area")

    def keys(self, step: Step) -> Iterable[tuple[str, str, int]]:
        """Concerned are the tags that a run gains or loses, and all it has when its status changes."""
        before, recorded, after = step
        had = before.tags if before is not None else None
        has = after.tags if after is not None else None
        if not (had or has) or after is None:
            return ()
        area = recorded.position >> AREA_BITS
        if had is has:
            if before is not None and before.status is after.status:
                return ()
            return [(key, value, area) for key, value in (has or {}).items()]
        old, new = dict.fromkeys((had or {}).items()), dict.fromkeys((has or {}).items())
        if before is not None and before.status is after.status:
            return [(*tag, area) for tag in (old | new) if (tag in old) != (tag in new)]
        return [(*tag, area) for tag in (old | new)]

    def evolve(self, row: TagCounts | None, key: tuple[str, str, int], steps: Sequence[Step]) -> TagCounts:
        """Return the counts after runs have moved."""
        tag, area = key[:2], key[2]
        positions = tuple([step.recorded.position for step in steps])
        moves = tuple([_place(step.before, tag) << 4 | _place(step.after, tag) for step in steps])
        if row is None:
            return TagCounts(*key, (0,) * len(STATUSES), positions, moves)
        if row.area != area:
            return TagCounts(*key, row.counts_at(positions[0]), positions, moves)
        return TagCounts(*key, row.counts, row.positions + positions, row.moves + moves)


def _place(run: Run | None, tag: Tag) -> int:
    """Return the place in the counts of a tag that a run has."""
    if run is None or run.tags is None or run.tags.get(tag[0]) != tag[1]:
        return NOT_TAGGED
    return _PLACES[run.status]


PROJECTION = TagIndex()
