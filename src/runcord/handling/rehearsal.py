"""Rehearsing a trigger: what run a request would make, without making it."""

from dataclasses import dataclass
from datetime import datetime

from runcord.handling.schema import problems_of
from runcord.handling.trigger import TriggerRequest, require_enabled, triggered
from runcord.job.state import Job
from runcord.run.deadline import later


@dataclass(frozen=True)
class Rehearsal:
    """What would come of a request, and what is wrong with its payload."""

    due_at: datetime | None
    expires_at: datetime | None
    problems: list[str]


def rehearse(job: Job, request: TriggerRequest, at: datetime, actor: str) -> Rehearsal:
    """Return what would come of `request` at `at`.

    Raises:
        JobDisabled, Invalid: nothing would.
    """
    require_enabled(job)
    facts = triggered(job, request, at, "manual", actor)
    schema = job.settings.payload_schema
    return Rehearsal(
        due_at=facts.due_at,
        expires_at=None if facts.ttl_secs is None else later(facts.due_at or at, facts.ttl_secs),
        problems=[] if schema is None else problems_of(schema, request.payload),
    )
