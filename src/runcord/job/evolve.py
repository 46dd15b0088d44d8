"""`evolve(job, recorded) -> job`: what an event makes of a job. Pure and total."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runcord.job import events as e
from runcord.job.state import SETTING_NAMES, Dependency, Job, JobSettings
from runcord.recorded import Recorded


def evolve(job: Job | None, recorded: Recorded[e.Event]) -> Job | None:
    """Return the job after `recorded`; None stands for a job that is not there yet."""
    event = recorded.event
    if job is None:
        if not isinstance(event, e.JobCreated):
            return None
        return Job(
            job_id=recorded.stream_id,
            version=recorded.version,
            version_id=event.version_id,
            settings=replace(JobSettings(name="", slug=""), **_settings(event.settings)),
            created_at=recorded.at,
            updated_at=recorded.at,
            created_by=event.created_by,
        )
    match event:
        case e.JobUpdated():
            compatible = bool(event.changes.get("backwards_compatible", False))
            return replace(
                job,
                version=recorded.version,
                version_id=event.version_id,
                # Compatibility is said of one version; it does not carry over to the next.
                settings=replace(job.settings, **_settings({"backwards_compatible": False, **event.changes})),
                updated_at=recorded.at,
                last_breaking_version=job.last_breaking_version if compatible else recorded.version,
            )
        case e.JobDependencyAdded():
            added = Dependency(event.dependency_id, event.depends_on_job_id, event.condition, recorded.at)
            return _with(job, recorded, event.version_id, (*job.dependencies, added))
        case e.JobDependencyRemoved():
            left = tuple(known for known in job.dependencies if known.dependency_id != event.dependency_id)
            return _with(job, recorded, event.version_id, left)
        case e.JobDeleted():
            return replace(job, version=recorded.version, updated_at=recorded.at, deleted=True)
        case e.JobCreated():
            return replace(job, version=recorded.version, updated_at=recorded.at)


def _with(job: Job, recorded: Recorded[e.Event], version_id: str, dependencies: tuple[Dependency, ...]) -> Job:
    return replace(
        job, version=recorded.version, version_id=version_id, updated_at=recorded.at, dependencies=dependencies
    )


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    # A setting that this version does not know is passed over: evolve is total.
    known = {name: value for name, value in given.items() if name in SETTING_NAMES}
    if "retry_delays_secs" in known:
        known["retry_delays_secs"] = tuple(known["retry_delays_secs"] or ())
    return known
