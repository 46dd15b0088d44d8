"""How a job fares."""

from typing import Annotated, Literal

from pydantic import Field

from runcord.http.models.answers import JobHealth
from runcord.http.operation import Answer, Call, Operation, Query
from runcord.projecting.job_health import WINDOWS, job_health


class HealthQuery(Query):
    """How far to look back."""

    window: Annotated[Literal["1h", "1d", "7d", "30d"], Field(description="The last hour, or days.")] = "7d"


async def get_job_health(call: Call) -> Answer:
    """Tell how the runs of a job ended in the last hour, day, 7 days or 30 days.

    `success_rate` is the share of completed runs among those that were neither canceled nor expired (1 if there were
    none). `health_score`, from 0 to 100, is 100 × completed ÷ (those + timed out + crashed + system-failed): an attempt
    that was lost without a word counts twice. Durations, in seconds, are those of the last attempts of completed runs.
    """
    window = call.query(HealthQuery).window
    job_id = await call.backend.job_refs.find(call.project_id, call.path["job_id"])
    health = await job_health(call.backend.read, call.project_id, job_id, WINDOWS[window])
    return Answer({"job_id": job_id, "window": window, **health._asdict()})


OPERATIONS = (
    Operation(
        "GET",
        "/v1/jobs/{job_id}/health",
        get_job_health,
        "Tell how a job fares",
        "jobs",
        "jobs:read",
        query=HealthQuery,
        answer=JobHealth,
    ),
)
