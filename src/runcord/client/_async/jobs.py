"""Calls about jobs, and the triggering of their runs."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, Unpack

from runcord.client._async.connection import AsyncConnection
from runcord.client._async.pager import AsyncPager
from runcord.client.models import Batch, Job, JobDependency, JobHealth, JobStatistics, Rehearsal, Switched, TriggeredRun
from runcord.client.options import JobFields, SingleTriggerOptions, TriggerItem, trigger_body
from runcord.client.request import QueryValue, Request, given, path

Condition = Literal["completed", "failed", "any"]
HealthWindow = Literal["1h", "1d", "7d", "30d"]


class AsyncJobs:
    """Manage jobs and trigger runs of them. `job` is an id or a slug everywhere."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(self, slug: str, **fields: Unpack[JobFields]) -> Job:
        """Create a job, named as its slug unless `name` is given. Raises ConflictError when the slug is taken."""
        body = {"name": slug, "slug": slug, **fields}
        return await self._connection.send(Request("POST", path("v1", "jobs"), Job, body=body))

    async def get(self, job: str) -> Job:
        """Return the job at its latest version. Raises NotFoundError."""
        return await self._connection.send(Request("GET", path("v1", "jobs", job), Job, repeatable=True))

    def list(
        self,
        *,
        tag_key: str | None = None,
        tag_value: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPager[Job]:
        """Iterate over the project's jobs, newest first."""
        query = {"tag_key": tag_key, "tag_value": tag_value, "limit": page_size, "cursor": cursor}
        return AsyncPager(self._connection, Request("GET", path("v1", "jobs"), Job, query=query, repeatable=True))

    async def update(self, job: str, **fields: Unpack[JobFields]) -> Job:
        """Change what is given and return the job's new version."""
        return await self._connection.send(Request("PATCH", path("v1", "jobs", job), Job, body=dict(fields)))

    async def delete(self, job: str) -> None:
        """Delete the job. Raises ConflictError while it has runs that have not ended."""
        await self._connection.send(Request("DELETE", path("v1", "jobs", job), object))

    async def clone(self, job: str, slug: str, *, name: str | None = None) -> Job:
        """Make a job with the settings and secrets of this one. Raises ConflictError when the slug is taken."""
        body = {"name": name or slug, "slug": slug}
        return await self._connection.send(Request("POST", path("v1", "jobs", job, "clone"), Job, body=body))

    async def health(self, job: str, window: HealthWindow = "7d") -> JobHealth:
        """Tell how the job's runs ended in the last hour, day, 7 or 30 days."""
        target, query = path("v1", "jobs", job, "health"), {"window": window}
        return await self._connection.send(Request("GET", target, JobHealth, query=query, repeatable=True))

    async def statistics(
        self, job: str, *, since: datetime | None = None, until: datetime | None = None, by_hour: bool = False
    ) -> JobStatistics:
        """Tell how the job did from one full hour to another, by default in the last 24; if asked, hour by hour.

        Raises ValidationError for times that are no beginnings of hours, and for too many hours.
        """
        target, query = path("v1", "jobs", job, "statistics"), _hours(since, until, by_hour)
        return await self._connection.send(Request("GET", target, JobStatistics, query=query, repeatable=True))

    def all_statistics(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        by_hour: bool = False,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPager[JobStatistics]:
        """Iterate over how all jobs did of which anything happened from one full hour to another, as `statistics`."""
        query = {**_hours(since, until, by_hour), "limit": page_size, "cursor": cursor}
        request = Request("GET", path("v1", "statistics"), JobStatistics, query=query, repeatable=True)
        return AsyncPager(self._connection, request)

    async def enable(self, *jobs: str) -> Switched:
        """Let jobs take runs, in one append."""
        target, body = path("v1", "jobs", "batch-enable"), {"ids": jobs}
        return await self._connection.send(Request("POST", target, Switched, body=body, repeatable=True))

    async def disable(self, *jobs: str) -> Switched:
        """Let jobs take no new runs, and their queued ones wait."""
        target, body = path("v1", "jobs", "batch-disable"), {"ids": jobs}
        return await self._connection.send(Request("POST", target, Switched, body=body, repeatable=True))

    async def depend(self, job: str, on: str, condition: Condition = "completed") -> JobDependency:
        """Let runs of the job wait until the latest run of another has ended as `condition` says.

        Raises ValidationError when that would make a circle, ConflictError when there is such a dependency.
        """
        body = {"depends_on_job_id": on, "condition": condition}
        target = path("v1", "jobs", job, "dependencies")
        return await self._connection.send(Request("POST", target, JobDependency, body=body))

    def dependencies(
        self, job: str, *, page_size: int | None = None, cursor: str | None = None
    ) -> AsyncPager[JobDependency]:
        """Iterate over what the job depends on, oldest first."""
        target, query = path("v1", "jobs", job, "dependencies"), {"limit": page_size, "cursor": cursor}
        return AsyncPager(self._connection, Request("GET", target, JobDependency, query=query, repeatable=True))

    async def end_dependency(self, job: str, dependency_id: str) -> None:
        """Take a dependency away; runs that only it has held back are queued."""
        target = path("v1", "jobs", job, "dependencies", dependency_id)
        await self._connection.send(Request("DELETE", target, object))

    async def trigger(self, job: str, payload: Any = None, **options: Unpack[SingleTriggerOptions]) -> TriggeredRun:
        """Make a run of the job, or what its settings make of a trigger: see `TriggeredRun`.

        With an `idempotency_key` the call is repeated when its answer was lost: the same key and payload return
        the first run, with `idempotency_hit`; the same key with another payload raises UnprocessableError.
        Without a key a lost answer raises TransportError, and the run may or may not exist. Above the job's rate
        limit RateLimitedError is raised, if waiting for `retry_after` would take too long.
        """
        return await self._connection.send(
            Request(
                "POST",
                path("v1", "jobs", job, "trigger"),
                TriggeredRun,
                body=given(**trigger_body({**options, "payload": payload})),
                repeatable="idempotency_key" in options,
            )
        )

    async def rehearse(self, job: str, payload: Any = None, **options: Unpack[SingleTriggerOptions]) -> Rehearsal:
        """Return what a trigger would do, without doing it."""
        body = given(**trigger_body({**options, "payload": payload}), dry_run=True)
        return await self._connection.send(
            Request("POST", path("v1", "jobs", job, "trigger"), Rehearsal, body=body, repeatable=True)
        )

    async def trigger_many(self, job: str, items: Iterable[TriggerItem]) -> Batch:
        """Make up to 500 runs of the job, all or none. Repeated after a lost answer when every item has a key."""
        listed = list(items)
        return await self._connection.send(
            Request(
                "POST",
                path("v1", "jobs", job, "trigger", "bulk"),
                Batch,
                body={"items": [trigger_body(item) for item in listed]},
                repeatable=all("idempotency_key" in item for item in listed),
            )
        )


def _hours(since: datetime | None, until: datetime | None, by_hour: bool) -> dict[str, QueryValue]:
    return {"from": since, "to": until, "by": "hour" if by_hour else None}
