"""The commands of one job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runcord.job.events import Condition


@dataclass(frozen=True)
class CreateJob:
    """Define the job."""

    version_id: str
    settings: Mapping[str, Any]
    created_by: str | None = None


@dataclass(frozen=True)
class UpdateJob:
    """Give the job a new version."""

    version_id: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class DeleteJob:
    """Remove the job."""


@dataclass(frozen=True)
class AddDependency:
    """Hold runs of the job back until runs of another one have ended as `condition` says."""

    version_id: str
    dependency_id: str
    depends_on_job_id: str
    condition: Condition


@dataclass(frozen=True)
class RemoveDependency:
    """Take a dependency away."""

    version_id: str
    dependency_id: str


DefinitionCommand = CreateJob | UpdateJob | DeleteJob
DependencyCommand = AddDependency | RemoveDependency
Command = DefinitionCommand | DependencyCommand
