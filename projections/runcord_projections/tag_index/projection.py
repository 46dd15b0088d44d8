"""The tag index: how many runs have each tag, by their status, now and at any position of the past.

Which runs have a tag is what lists of runs answer (`run_terms`); here they are counted. Guarantees: a tag that is
added later counts from then on, one whose value is changed no longer counts; for each tag there is a row for each
area of the ledger in which its counts changed, from which the counts at every position follow.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from runcord.projecting.projection import BatchProjection, Step, Stretch, Table
from runcord.run import events as e
from runcord.run.evolve import STATUS_EVENTS
from runcord.run.status import Status
from runcord.run.stretches import Way

AREA_BITS = 8
"""A row tells of 2^8 positions, so that a busy tag writes one row for many changes, none of which grows long; and a
byte says where in it."""

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

_IN_AREA = (1 << AREA_BITS) - 1
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
    changes: bytes
    """What changed that in the area, two bytes each: where, the lowest `AREA_BITS` binary digits of the position; and
    from and to which place a run moved, 16 × from + to."""

    def counts_at(self, position: int) -> tuple[int, ...]:
        """Return the counts at a position of the area, or at its end if the position lies beyond."""
        counts, first = [*self.counts, 0], self.area << AREA_BITS
        for at, move in zip(self.changes[::2], self.changes[1::2], strict=True):
            if first + at > position:
                break
            counts[move >> 4] -= 1
            counts[move & 15] += 1
        return tuple(counts[:-1])


Place = tuple[str, str, int]
"""A tag's key and value, and an area."""


class Moves(NamedTuple):
    """What a batch says of one tag in one area: where runs moved, and from and to where; in any order."""

    positions: list[int]
    moves: list[int]


class TagIndex(BatchProjection[TagCounts, Moves]):
    """How many runs have each tag, by status."""

    name = "tag_index"
    reads = frozenset((*STATUS_EVENTS, e.Tagged))
    table = Table("tag_index", TagCounts, key=("tag_key", "tag_value", "area"), latest="area")
    outlined = True
    by_stretches = True

    def gather(self, steps: Sequence[Step]) -> Mapping[Place, Moves]:
        """Return the moves of the tags that runs gain or lose, and of all they have when their status changes."""
        found: dict[int, dict[Tag, Moves]] = {}
        here, end = found.setdefault(0, {}), 0
        for before, recorded, after in steps:
            if after is None:
                continue
            has = after.tags
            had = has if before is None else before.tags
            if not (had or has):
                continue
            position = recorded.position
            if position >= end:  # positions come in order
                area = position >> AREA_BITS
                here, end = found.setdefault(area, {}), area + 1 << AREA_BITS
            was, now = NOT_TAGGED if before is None else _PLACES[before.status], _PLACES[after.status]
            if had is not has:
                moves = _moves(had or {}, has or {}, was, now)
            elif was != now:
                moves = dict.fromkeys((has or {}).items(), was << 4 | now)
            else:
                continue
            for tag, move in moves.items():
                known = here.get(tag)
                if known is None:
                    here[tag] = Moves([position], [move])
                else:
                    known.positions.append(position)
                    known.moves.append(move)
        return {(*tag, area): moves for area, tags in found.items() for tag, moves in tags.items()}

    def gather_stretches(self, stretches: Sequence[Stretch], noted: dict[Place, Moves]) -> Mapping[Place, Moves]:
        """Add the moves of runs whose tags stay while their statuses change; rows go on from area to area."""
        for way, run, _, _, all_positions, _ in stretches:
            if not run.tags or not way.changes:
                continue
            moves, positions = _moves_on(way), way.changes_in(all_positions)
            area = positions[0] >> AREA_BITS
            if area == positions[-1] >> AREA_BITS:
                parts = ((area, positions, moves),)
            else:
                parts = [(at >> AREA_BITS, (at,), (move,)) for at, move in zip(positions, moves, strict=True)]
            for key, value in run.tags.items():
                for area, at, move in parts:
                    known = noted.get(place := (key, value, area))
                    if known is None:
                        noted[place] = Moves([*at], [*move])
                    else:
                        known.positions.extend(at)
                        known.moves.extend(move)
        return dict(sorted(noted.items(), key=itemgetter(0)))

    def evolve(self, row: TagCounts | None, key: Place, notes: Moves, /) -> TagCounts:
        """Return the counts after runs have moved."""
        changes = _changes(*notes)
        if row is None:
            return TagCounts(*key, (0,) * len(STATUSES), changes)
        if row.area != key[2]:
            return TagCounts(*key, row.counts_at(key[2] << AREA_BITS), changes)
        return row._replace(changes=row.changes + changes)


def _changes(positions: Sequence[int], moves: Sequence[int]) -> bytes:
    """Return moves as they are stored, in the order of their positions."""
    if sorted(positions) != positions:
        positions, moves = zip(*sorted(zip(positions, moves, strict=True)), strict=True)
    changes = bytearray(2 * len(positions))
    changes[::2] = bytes([at & _IN_AREA for at in positions])
    changes[1::2] = bytes(moves)
    return bytes(changes)


@lru_cache(1024)
def _moves_on(way: Way) -> tuple[int, ...]:
    """Return what becomes of each tag of a run where its status changes."""
    was = [NOT_TAGGED if (before := way.before[n]) is None else _PLACES[before] for n in way.changes]
    return tuple(place << 4 | _PLACES[status] for place, status in zip(was, way.statuses, strict=True))


def _moves(had: Mapping[str, str], has: Mapping[str, str], was: int, now: int) -> dict[Tag, int]:
    """Return what becomes of each tag that a run had or has, where that is anything."""
    moves: dict[Tag, int] = {}
    for tag in (*had.items(), *has.items()):
        key, value = tag
        start = was if had.get(key) == value else NOT_TAGGED
        end = now if has.get(key) == value else NOT_TAGGED
        if start != end:
            moves[tag] = start << 4 | end
    return moves


PROJECTION = TagIndex()
