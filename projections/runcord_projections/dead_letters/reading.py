"""Reading dead letters: entry by entry, or by the fingerprints of their errors; now, or as of a position."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from runcord.ledger.statements import Read
from runcord.run.events import Failure
from runcord.sql import load
from runcord_projections.dead_letters.projection import FAILURES, DeadLetter

SQL = load("runcord_projections.dead_letters", "view.sql")

State = Literal["waiting", "left", "all"]
"""Whether a dead letter lies in the queue, has left it, or either."""

MOST_JOBS = 20
"""How many jobs of a group are named."""
MOST_SAMPLES = 3
"""How many runs of a group are named."""

_HAS_LEFT = {"waiting": False, "left": True, "all": None}


class Choice(NamedTuple):
    """Which entries; all that is given must hold."""

    state: State = "waiting"
    job_id: str | None = None
    fingerprint: str | None = None


class Group(NamedTuple):
    """Entries whose errors are alike."""

    fingerprint: str
    size: int
    job_ids: Sequence[str]
    """Whose runs they are, those with the most first, at most `MOST_JOBS`."""
    first_at: datetime
    last_at: datetime
    run_ids: Sequence[str]
    """The newest, at most `MOST_SAMPLES`."""
    error: Failure
    """Of the newest."""


async def entries_at(
    read: Read,
    project_id: str,
    position: int,
    choice: Choice,
    *,
    before: int | None = None,
    recent: bool = False,
    limit: int,
) -> list[DeadLetter]:
    """Return entries as they were at a position, newest first, those whose position is below `before`.

    `recent` says that little has happened since the position: then it does not matter how many have left the queue.
    """
    params: dict[str, Any] = {
        "project_id": project_id,
        "position": position,
        "before": position + 1 if before is None else min(before, position + 1),
        "has_left": _HAS_LEFT[choice.state],
        "job_id": choice.job_id,
        "fingerprint": choice.fingerprint,
        "limit": limit,
    }
    statement = SQL["waiting" if recent and choice.state == "waiting" else "entries"]
    return [_then(DeadLetter(*row), position) for row in await read(statement, params)]


async def groups_at(
    read: Read,
    project_id: str,
    position: int,
    choice: Choice,
    *,
    after: tuple[int, str] | None = None,
    limit: int,
) -> list[Group]:
    """Return the groups of the entries at a position, the largest first, beyond one of a size and a fingerprint.

    `choice.fingerprint` counts for nothing.
    """
    size, fingerprint = after or (2**62, "")
    params = {
        "project_id": project_id,
        "position": position,
        "has_left": _HAS_LEFT[choice.state],
        "job_id": choice.job_id,
        "after_count": size,
        "after_fingerprint": fingerprint,
        "jobs": MOST_JOBS,
        "samples": MOST_SAMPLES,
        "limit": limit,
    }
    rows = await read(SQL["groups"], params)
    return [
        # A run that died of the same in two rounds is named once.
        Group(mark, size, job_ids, first_at, last_at, list(dict.fromkeys(run_ids)), FAILURES.decode(errors[0]))
        for mark, size, job_ids, first_at, last_at, run_ids, errors in rows
    ]


def _then(entry: DeadLetter, position: int) -> DeadLetter:
    """Return an entry without what came after a position. All else of it was settled when the run died."""
    if entry.left_position is not None and entry.left_position > position:
        entry = entry._replace(left_position=None)
    there = sum(at <= position for at in entry.replay_positions)
    return entry._replace(replays=tuple(entry.replays[:there]), replay_positions=tuple(entry.replay_positions[:there]))
