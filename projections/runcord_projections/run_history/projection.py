"""Run history: which status each run had, from which position of the ledger to which.

It is what lists of the past are found by. Guarantees: `statuses[i]` held from `positions[i]` to before
`positions[i + 1]`, the last one still holds; of a run that has changed more often than `KEPT` times the earliest
changes are not kept, and `positions[0]` is later than `created_position`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast, get_args

from runcord.projecting.projection import BatchProjection, Step, Stretch, Table
from runcord.run.build import named_tuple
from runcord.run.events import Event
from runcord.run.evolve import STATUS_EVENTS
from runcord.run.status import FINISHED, Status

RUN_EVENTS = frozenset(cast(tuple[type, ...], get_args(Event)))

KEPT = 64
"""How many changes of status are kept; more would make every further one of a restless run dear."""


class Life(NamedTuple):
    """The statuses of one run. All numbers are positions in the ledger."""

    run_id: str
    created_position: int
    finished_position: int | None
    """Where it came to rest; none while it is open. A dead letter is at rest, too."""
    span: int | None
    """Of how many binary digits the length of its life is, for runs at rest: what was open at a position is found by
    looking no further back than the longest life of each span."""
    dead_until: int | None
    """Where it left the dead-letter queue the last time; none if it never has."""
    statuses: tuple[str, ...]
    positions: tuple[int, ...]


class Changes(NamedTuple):
    """How a run's status changed in a batch."""

    is_first: bool
    """Whether the run came about with the first of them."""
    statuses: Sequence[str]
    positions: Sequence[int]


class RunHistory(BatchProjection[Life, Changes]):
    """The statuses of all runs in time."""

    name = "run_history"
    reads = frozenset(STATUS_EVENTS)
    table = Table("run_history", Life, key=("run_id",))
    outlined = True
    by_stretches = True

    def gather(self, steps: Sequence[Step]) -> Mapping[str, Changes]:
        """Return every change of a run's status."""
        found: dict[str, tuple[bool, list[str], list[int]]] = {}
        for before, recorded, after in steps:
            if after is None or (before is not None and before.status is after.status):
                continue
            known = found.get(recorded.stream_id)
            if known is None:
                found[recorded.stream_id] = before is None, [after.status], [recorded.position]
            else:
                known[1].append(after.status)
                known[2].append(recorded.position)
        return {run_id: Changes(*known) for run_id, known in found.items()}

    def gather_stretches(self, stretches: Sequence[Stretch], noted: dict[str, Changes]) -> Mapping[str, Changes]:
        """Add the changes of runs whose statuses all their way says."""
        for way, run, _, _, positions, _ in stretches:
            if way.changes:
                noted[run.run_id] = named_tuple(Changes, (way.is_new, way.statuses, way.changes_in(positions)))
        return noted

    def is_first(self, notes: Changes) -> bool:
        """Tell whether the run is new."""
        return notes.is_first

    def evolve(self, row: Life | None, key: str, notes: Changes, /) -> Life:
        """Return the run's statuses with those that came."""
        statuses, positions = tuple(notes.statuses), tuple(notes.positions)
        created, dead_until = positions[0], None
        if row is not None:
            created, dead_until = row.created_position, row.dead_until
            statuses, positions = row.statuses + statuses, row.positions + positions
        if Status.DEAD_LETTER in statuses and Status.DEAD_LETTER in statuses[:-1]:
            left = max(n for n, status in enumerate(statuses[:-1]) if status == Status.DEAD_LETTER)
            dead_until = positions[left + 1]
        if len(statuses) > KEPT:
            statuses, positions = statuses[-KEPT:], positions[-KEPT:]
        if statuses[-1] not in FINISHED:
            return Life(key, created, None, None, dead_until, statuses, positions)
        span = (positions[-1] - created).bit_length()
        return Life(key, created, positions[-1], span, dead_until, statuses, positions)


PROJECTION = RunHistory()
