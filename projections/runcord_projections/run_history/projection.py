"""Run history: which status each run had, from which position of the ledger to which.

It is what lists of the past are found by. Guarantees: `statuses[i]` held from `positions[i]` to before
`positions[i + 1]`, the last one still holds; of a run that has changed more often than `KEPT` times the earliest
changes are not kept, and `positions[0]` is later than `created_position`.
"""

from collections.abc import Iterable
from typing import NamedTuple, cast, get_args

from runcord.projecting.projection import Projection, Step, Table
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
    final_status: str | None
    """The status in which it rests."""
    span: int | None
    """Of how many binary digits the length of its life is, for runs at rest: what was open at a position is found by
    looking no further back than the longest life of each span."""
    was_dead_letter: bool
    """Whether it was one and is none any more."""
    statuses: tuple[str, ...]
    positions: tuple[int, ...]


class RunHistory(Projection[Life]):
    """The statuses of all runs in time."""

    name = "run_history"
    reads = frozenset(STATUS_EVENTS)
    table = Table("run_history", Life, key=("run_id",))
    rows_are_runs = True

    def keys(self, step: Step) -> Iterable[str]:
        """Every change of a run's status concerns its row."""
        before, recorded, after = step
        if after is None or (before is not None and before.status is after.status):
            return ()
        return (recorded.stream_id,)

    def evolve(self, row: Life | None, key: str, step: Step) -> Life:
        """Return the run's statuses with one more."""
        assert step.after is not None
        status, position = step.after.status, step.recorded.position
        if row is None:
            return Life(key, position, None, None, None, False, (status,), (position,))
        statuses, positions = (*row.statuses, status)[-KEPT:], (*row.positions, position)[-KEPT:]
        was_dead_letter = row.was_dead_letter or row.statuses[-1] == Status.DEAD_LETTER
        if status not in FINISHED:
            return Life(key, row.created_position, None, None, None, was_dead_letter, statuses, positions)
        span = (position - row.created_position).bit_length()
        return Life(key, row.created_position, position, status, span, was_dead_letter, statuses, positions)


PROJECTION = RunHistory()
