"""Dead letters: what lies in the dead-letter queue, why it came there, and what became of it.

Guarantees: one entry for each round of a run that ended there, from the position at which it came; it stays when the
run is queued again or replayed, and says so. Entries of like failures have the same fingerprint. A round with failed
attempts that is not over has an entry without a position, which goes away if the round ends well.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from runcord.ledger.mapper import Codec
from runcord.projecting.projection import Projection, Step, Stretch, Table, steps_of
from runcord.run import events as e
from runcord.run.events import Failure
from runcord.run.state import Run
from runcord.run.status import Status

FAILURES = Codec(Failure)

_VARIABLE = re.compile(
    r"""
    \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b   # a UUID
    | \b\w+_[0-9a-v]{26}\b                            # an id of ours
    | \b0x[0-9a-f]+\b | \b[0-9a-f]{8,}\b              # an address, a hash
    | (?<!\w)'[^']*'(?!\w) | "[^"]*"                   # quoted words, and no apostrophes
    | [\d.]*\d
    """,
    re.IGNORECASE | re.VERBOSE,
)
_HELD = (Status.DEAD_LETTER, Status.REPLAY_STAGED)
_FAILURES = (e.Retried, e.DeadLettered)
_ENDINGS = (e.Completed, e.Failed, e.TimedOut, e.Crashed, e.SystemFailed, e.Canceled, e.Expired)


class DeadLetter(NamedTuple):
    """One round of a run that ended in the dead-letter queue."""

    run_id: str
    round: int
    position: int | None
    """Since which position it lies there; none while the round may still end well."""
    dead_at: datetime | None
    left_position: int | None
    """Where it was queued again, or picked for it; none while it lies there."""
    job_id: str
    attempts: int
    """How many attempts of the round have failed."""
    fingerprint: str
    first_error: bytes
    last_error: bytes
    replays: tuple[str, ...]
    """The runs that were made from it."""
    replay_positions: tuple[int, ...]
    """And where."""

    @property
    def replayed_as(self) -> str | None:
        """The latest run that was made from it."""
        return self.replays[-1] if self.replays else None


class DeadLetters(Projection[DeadLetter]):
    """All dead letters, those that left the queue too."""

    name = "dead_letters"
    reads = frozenset((e.Retried, e.DeadLettered, e.ReplayStaged, e.DeadLetterReplayed, e.Replayed, *_ENDINGS))
    table = Table("dead_letters", DeadLetter, key=("run_id", "round"))
    outlined = True
    by_stretches = True

    def keys(self, step: Step) -> Iterable[tuple[str, int]]:
        """The round that a run is in, if anything of it has failed."""
        before, recorded, _ = step
        if before is None:
            return ()
        if before.attempt > 1 or recorded.event.__class__ in _FAILURES or before.status in _HELD:
            return ((before.run_id, before.round),)
        return ()

    def gather_stretches(
        self, stretches: Sequence[Stretch], noted: dict[tuple[str, int], list[Step]]
    ) -> Mapping[tuple[str, int], list[Step]]:
        """Add what happens to runs that lie in the queue; before what else is in stretches nothing has failed."""
        for stretch in stretches:
            if stretch.run.status in _HELD:
                steps = [step for step in steps_of(stretch) if step.recorded.event.__class__ in self.reads]
                noted |= self.gather(steps)
        return noted

    def evolve(self, row: DeadLetter | None, key: tuple[str, int], steps: Sequence[Step], /) -> DeadLetter | None:
        """Return the entry of the round after its events."""
        for step in steps:
            row = _after(row, step)
        return row


def _after(row: DeadLetter | None, step: Step) -> DeadLetter | None:
    before, recorded, _ = step
    assert before is not None
    event = recorded.event
    match event:
        case e.Retried():
            return _failed(row, before, event.failed_attempt, event.error)
        case e.DeadLettered():
            row = _failed(row, before, event.failed_attempt, event.error)
            return row._replace(position=recorded.position, dead_at=recorded.at)
        case e.Replayed() if row is not None and row.position is not None:
            return row._replace(
                replays=(*row.replays, event.new_run_id),
                replay_positions=(*row.replay_positions, recorded.position),
            )
        case e.ReplayStaged() | e.DeadLetterReplayed() if row is not None and row.left_position is None:
            return row._replace(left_position=recorded.position)
        case _ if isinstance(event, _ENDINGS) and row is not None and row.position is None:
            return None
        case _:
            return row


def fingerprint(error: Failure) -> str:
    """Return 16 hexadecimal digits that are the same for like failures.

    Like are failures of one type with the same first line of the message, whatever numbers, ids and quoted words
    are in it.
    """
    line = error.message.strip().split("\n", 1)[0]
    return sha256(f"{error.type or ''}\0{_VARIABLE.sub('?', line)}".encode()).hexdigest()[:16]


def _failed(row: DeadLetter | None, run: Run, attempt: int, error: Failure) -> DeadLetter:
    told, mark = FAILURES.encode(error), fingerprint(error)
    if row is None:
        return DeadLetter(run.run_id, run.round, None, None, None, run.job_id, attempt, mark, told, told, (), ())
    return row._replace(attempts=attempt, fingerprint=mark, last_error=told)


PROJECTION = DeadLetters()
