"""Which runs a list shows: the filters of `/v1/runs` and of the dead-letter queue."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from runcord import json_text
from runcord.http.models.page import split
from runcord.http.models.value import Metadata, Tags
from runcord.http.moment import MomentPageQuery
from runcord.run.status import Status
from runcord_projections.run_terms.filter import RunFilter

_ENTRY = re.compile(r"(tags|metadata)\[(.*)\]", re.DOTALL)
_MAX_JSON = 16_384


def _json(value: str) -> str:
    json_text.parse(value.encode(), "`payload_contains`")
    return value


class FilterQuery(MomentPageQuery):
    """Which runs to list; all filters given must hold.

    A parameter that is not known is refused here: a filter that is passed over would show runs that nobody asked for.
    """

    model_config = ConfigDict(extra="forbid")

    project_id: Annotated[str | None, Field(max_length=64, description="If given, the credential's own project.")] = (
        None
    )
    job_id: Annotated[str | None, Field(max_length=128)] = None
    batch_id: Annotated[str | None, Field(max_length=128)] = None
    triggered_by: Annotated[str | None, Field(max_length=64)] = None
    tag_key: Annotated[
        str | None, Field(max_length=64, description="Runs that have this tag, with `tag_value` or with any value.")
    ] = None
    tag_value: Annotated[str | None, Field(max_length=256, description="The value of the tag `tag_key`.")] = None
    tags: Annotated[
        Tags | None,
        Field(description="`tags[key]=value`, as often as needed: tags with their values, also empty ones."),
    ] = None
    metadata_key: Annotated[
        str | None,
        Field(max_length=128, description="Runs that have this metadata entry, with `metadata_value` or with any."),
    ] = None
    metadata_value: Annotated[
        str | None, Field(max_length=1024, description="The value of the metadata entry `metadata_key`.")
    ] = None
    metadata: Annotated[Metadata | None, Field(description="`metadata[key]=value`, as often as needed.")] = None
    payload_contains: Annotated[
        Annotated[str, StringConstraints(max_length=_MAX_JSON), AfterValidator(_json)] | None,
        Field(
            description="JSON that the payload contains, as PostgreSQL's `@>` has it: objects by their members, arrays "
            "by their elements."
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Make one mapping of all `tags[key]`, and one of all `metadata[key]`."""
        gathered: dict[str, Any] = {}
        for name, value in given.items():
            entry = _ENTRY.fullmatch(name)
            if entry is None:
                gathered.setdefault(name, value)
            elif isinstance(gathered.setdefault(entry[1], {}), dict):
                gathered[entry[1]][entry[2]] = value
        return gathered

    @model_validator(mode="after")
    def _is_complete(self) -> "FilterQuery":
        for kind in ("tag", "metadata"):
            if getattr(self, f"{kind}_value") is not None and getattr(self, f"{kind}_key") is None:
                raise ValueError(f"{kind}_value needs {kind}_key: the entry that has this value")
        _entries("tags", self.tags, self.tag_key, self.tag_value)
        _entries("metadata", self.metadata, self.metadata_key, self.metadata_value)
        return self

    @property
    def filter(self) -> RunFilter:
        """What is asked for."""
        payload = {} if self.payload_contains is None else {"payload": json_text.parse(self.payload_contains.encode())}
        return RunFilter(
            job_id=self.job_id,
            batch_id=self.batch_id,
            triggered_by=self.triggered_by,
            tags=_entries("tags", self.tags, self.tag_key, self.tag_value),
            metadata=_entries("metadata", self.metadata, self.metadata_key, self.metadata_value),
            **payload,
        )


class RunsQuery(FilterQuery):
    """Which runs to list; all filters given must hold."""

    status: Annotated[Status | None, Field(description="One status.")] = None
    statuses: Annotated[
        list[Status] | None,
        Field(max_length=len(Status), description="Several statuses, by repeating this, or with commas between them."),
        BeforeValidator(split),
    ] = None

    @property
    def statuses_asked(self) -> list[Status] | None:
        """The statuses that both parameters allow; None for any."""
        if self.status is None:
            return self.statuses
        return [self.status] if self.statuses is None or self.status in self.statuses else []


class DeadLettersQuery(FilterQuery):
    """Which dead letters to list; all filters given must hold."""


def _entries(kind: str, given: Mapping[str, str] | None, key: str | None, value: str | None) -> dict[str, str | None]:
    """Return all entries asked for; a value of None is any."""
    entries: dict[str, str | None] = dict(given or {})
    if key is not None:
        if value is not None and entries.get(key, value) != value:
            raise ValueError(f"{kind}: {key!r} is asked for with two values, and has only one")
        entries[key] = entries.get(key) if value is None else value
    return entries
