"""Stretches: what follows each other in the life of one run, where nothing unusual does.

Thousands of runs go the same few ways: triggered, dequeued, attempted, completed. What a way makes of a run is found
out once, by the rules of `runcord.run.outline`; of each run that goes it remains to be said which, where and when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from runcord.run import events as e
from runcord.run.build import build, named_tuple
from runcord.run.outline import CHANGES, Outline
from runcord.run.status import TERMINAL, Status

PLAIN = (
    e.Enqueued,
    e.Dequeued,
    e.Attempted,
    e.Waited,
    e.Completed,
    e.Failed,
    e.TimedOut,
    e.Crashed,
    e.SystemFailed,
    e.Expired,
    e.Canceled,
    e.Paused,
)
"""What happens in stretches after the trigger. In a run's first attempt these change its status and when it was
started, by their type and their time alone."""

LONGEST = 32
"""Stretches are no longer: long ones rarely go the same way."""

EARLIER = -1
"""Before the stretch began."""

_WAYS_KEPT = 10_000
_START = datetime(2000, 1, 1, tzinfo=UTC)
_TICK = timedelta(seconds=1)
_EXAMPLES: dict[type, Any] = {kind: build(kind, {"attempt": 1}) for kind in PLAIN}


@dataclass(frozen=True, eq=False)
class Way:
    """What happens, one thing after the other, and what it makes of a run. There is one instance of each."""

    kinds: tuple[type, ...]
    """The classes of the events."""
    is_new: bool
    """Whether the first of them triggers the run."""
    before: tuple[Status | None, ...]
    """The status before each of them."""
    after: tuple[Status, ...]
    """The status after each of them."""
    started: tuple[int, ...]
    """Which of them had begun the attempt that was at work before each: `EARLIER` where none of them had."""
    last_started: int
    """The same after the last."""
    changes: tuple[int, ...]
    """Which of them have changed the status."""
    statuses: tuple[Status, ...]
    """What it was changed to."""
    dequeued: tuple[int, ...]
    """Which of them are `Dequeued`."""
    ends: bool
    """Whether hardly anything can follow, so that it is not worth remembering the run."""

    def changes_in(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return those of `values`, one for each event, that stand where the status changed."""
        return values if len(self.changes) == len(self.kinds) else [values[n] for n in self.changes]


class Stretch(NamedTuple):
    """One run that goes a way. All sequences run in parallel with `way.kinds`."""

    way: Way
    run: Outline
    """The run before, or as its trigger made it."""
    events: Sequence[Any]
    versions: Sequence[int]
    positions: Sequence[int]
    times: Sequence[datetime]

    def outline(self) -> Outline:
        """Return the outline after the last event."""
        way, run = self.way, self.run
        started = run.started_at if way.last_started == EARLIER else self.times[way.last_started]
        return named_tuple(Outline, (run[0], run[1], way.after[-1], run[3], run[4], started, run[6], run[7]))


class Ways:
    """The ways that have been gone, so that each is found out once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Status, tuple[type, ...]], Way | None] = {}

    def of(self, run: Outline, kinds: tuple[type, ...], events: Sequence[Any]) -> Way | None:
        """Return the way that a run goes, which is `run` before, or by its trigger; None if it is not a plain one."""
        if run.attempt != 1:
            return None
        place = (run.status, kinds)
        try:
            way = self._known[place]
        except KeyError:
            if len(self._known) >= _WAYS_KEPT:
                self._known.clear()
            way = self._known[place] = _way(run.status, kinds)
        if way is not None:
            for n in way.dequeued:
                if events[n].attempt != 1:
                    return None
        return way


def _way(status: Status, kinds: tuple[type, ...]) -> Way | None:
    """Return what a way makes of a run: the outline of an example goes it."""
    is_new = kinds[0] is e.Triggered
    if len(kinds) > LONGEST or not all(kind in _EXAMPLES for kind in kinds[is_new:]):
        return None
    moments = [_START + n * _TICK for n in range(EARLIER, len(kinds))]
    outlines = [Outline("", "", status, None, moments[0], moments[0])]
    if is_new:
        outlines.append(outlines[0])
    for kind in kinds[is_new:]:
        outlines.append(CHANGES[kind](outlines[-1], _EXAMPLES[kind], moments[len(outlines)]))
    before: tuple[Status | None, ...] = tuple(one.status for one in outlines[:-1])
    if is_new:
        before = (None, *before[1:])
    after = tuple(one.status for one in outlines[1:])
    started = [moments.index(one.started_at) + EARLIER for one in outlines if one.started_at is not None]
    changes = tuple(n for n in range(len(kinds)) if before[n] is not after[n])
    return Way(
        kinds=kinds,
        is_new=is_new,
        before=before,
        after=after,
        started=tuple(started[:-1]),
        last_started=started[-1],
        changes=changes,
        statuses=tuple(after[n] for n in changes),
        dequeued=tuple(n for n, kind in enumerate(kinds) if kind is e.Dequeued),
        ends=after[-1] in TERMINAL,
    )
