"""The events of a job. The same rules hold as for `runcord.run.events`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class JobCreated:
    """A job was defined. `settings` holds what differs from the defaults."""

    TYPE: ClassVar[str] = "job.created.v1"
    version_id: str
    settings: Mapping[str, Any]
    created_by: str | None = None


@dataclass(frozen=True)
class JobUpdated:
    """The job got a new version. `changes` holds the settings that were given."""

    TYPE: ClassVar[str] = "job.updated.v1"
    version_id: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class JobDeleted:
    """The job is gone; its runs and its history stay."""

    TYPE: ClassVar[str] = "job.deleted.v1"


Condition = Literal["completed", "failed", "any"]
"""What the latest ending of another job's runs has to be."""


@dataclass(frozen=True)
class JobDependencyAdded:
    """From here on, runs of the job wait until runs of another one have ended as `condition` says."""

    TYPE: ClassVar[str] = "job.dependency_added.v1"
    version_id: str
    dependency_id: str
    depends_on_job_id: str
    condition: Condition


@dataclass(frozen=True)
class JobDependencyRemoved:
    """A dependency holds no run back any more."""

    TYPE: ClassVar[str] = "job.dependency_removed.v1"
    version_id: str
    dependency_id: str


Event = JobCreated | JobUpdated | JobDeleted | JobDependencyAdded | JobDependencyRemoved
