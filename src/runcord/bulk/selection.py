"""What a bulk operation does to its runs, and which runs of a filter are its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from runcord.errors import Invalid
from runcord.run.status import REPLAYABLE, Status, may_become

Action = Literal["cancel", "replay", "dlq_replay"]
"""Cancel the run and its descendants, make a new run of it, or queue the dead letter again."""

ALLOWED: Mapping[Action, frozenset[Status]] = {
    "cancel": frozenset(status for status in Status if may_become(status, Status.CANCELED)),
    "replay": REPLAYABLE,
    "dlq_replay": frozenset({Status.DEAD_LETTER, Status.REPLAY_STAGED}),
}
"""In which statuses a run can be acted on."""

UNLESS_SAID: Mapping[Action, frozenset[Status]] = {
    "cancel": ALLOWED["cancel"],
    # Who replays "all runs of a job" does not mean those that did their work, or that somebody cancelled.
    "replay": frozenset({Status.FAILED, Status.TIMED_OUT, Status.CRASHED, Status.SYSTEM_FAILED}),
    "dlq_replay": frozenset({Status.DEAD_LETTER}),
}
"""Which statuses a filter stands for that names none."""


@dataclass(frozen=True)
class RunFilter:
    """Runs in one of these statuses for which everything else that is given holds."""

    statuses: tuple[str, ...]
    job_id: str | None = None
    batch_id: str | None = None
    triggered_by: str | None = None


def filter_for(
    action: Action,
    statuses: Sequence[Status] | None = None,
    *,
    job_id: str | None = None,
    batch_id: str | None = None,
    triggered_by: str | None = None,
) -> RunFilter:
    """Return the filter for an action.

    Raises:
        Invalid: a run in one of the statuses can never be acted on so.
    """
    chosen = frozenset(statuses or UNLESS_SAID[action])
    if unfit := sorted(chosen - ALLOWED[action]):
        names = ", ".join(status for status in Status if status in ALLOWED[action])
        raise Invalid(f"status: a run that is {unfit[0]} is not taken by {action}; choose among {names}")
    ordered = tuple(str(status) for status in Status if status in chosen)
    return RunFilter(ordered, job_id, batch_id, triggered_by)
