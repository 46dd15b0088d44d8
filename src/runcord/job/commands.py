"""The commands of one job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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


Command = CreateJob | UpdateJob | DeleteJob
