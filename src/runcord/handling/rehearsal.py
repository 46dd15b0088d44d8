"""Rehearsing a trigger: what run a request would make, without making it."""

from dataclasses import dataclass
from datetime import datetime

from runcord.handling.admission import Keys, refuse_own_course, refuse_own_window
from runcord.handling.schema import problems_of
from runcord.handling.trigger import TriggerRequest, require_enabled, triggered
from runcord.job.controls import window_of
from runcord.job.state import Job
from runcord.run.deadline import later


@dataclass(frozen=True)
class Rehearsal:
    """What would come of a request, and what is wrong with its payload."""

    due_at: datetime | None
    expires_at: datetime | None
    problems: list[str]
    warnings: list[str]
    """What the request says to no effect."""


def rehearse(job: Job, request: TriggerRequest, at: datetime, actor: str) -> Rehearsal:
    """Return what would come of `request` at `at`.

    Raises:
        JobDisabled, Invalid: nothing would.
    """
    require_enabled(job)
    facts = triggered(job, request, at, "manual", actor)
    settings = job.settings
    keys = request.keys or Keys()
    kind = keys.kind(window_of(settings))
    due_at = facts.due_at
    if keys.debouncing is not None:
        refuse_own_window(job)
        due_at = due_at or later(at, keys.debouncing.secs)
    elif kind is not None:
        refuse_own_course(facts, kind)
        due_at = later(at, settings.debounce_window_secs or settings.batch_window_secs or 0)
    schema = settings.payload_schema
    return Rehearsal(
        due_at=due_at,
        expires_at=None if facts.ttl_secs is None else later(due_at or at, facts.ttl_secs),
        problems=[] if schema is None else problems_of(schema, request.payload),
        warnings=[
            f"{other}_key has no effect: the job has no {other}_window_secs"
            for other in ("debounce", "batch")
            if other != kind and keys.of(other)
        ],
    )
