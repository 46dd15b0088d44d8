"""What `runs.list` asks for: filters, and which page."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, cast

import orjson
from pydantic import BeforeValidator, ConfigDict, Field

from runcord.errors import Invalid
from runcord.http.models.page import DIGITS
from runcord.http.operation import Query

MOST_ROWS = 100
_MOST_STEPS = 200
_MOST_VALUES = 50
_FAR = 2**62

_MILLISECONDS = Annotated[int, Field(ge=0, le=7_258_118_400_000), DIGITS]


def _split(value: Any) -> Any:
    return [item for item in value.split(",") if item] if isinstance(value, str) else value


def _listed(name: str, description: str) -> Any:
    return Field(alias=f"filter[{name}]", max_length=_MOST_VALUES, description=description)


_Values = Annotated[list[Annotated[str, Field(max_length=255)]] | None, BeforeValidator(_split)]
_Value = Annotated[str | None, Field(max_length=255)]


class RowsQuery(Query):
    """Which page of a list."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=True, extra="ignore")

    size: Annotated[int, Field(alias="page[size]", ge=1, le=MOST_ROWS, description="Rows in a page."), DIGITS] = 25
    after: Annotated[
        str | None, Field(alias="page[after]", max_length=4096, description="`pagination.next` of a page.")
    ] = None
    before: Annotated[
        str | None, Field(alias="page[before]", max_length=4096, description="`pagination.previous` of a page.")
    ] = None

    @property
    def steps(self) -> list[int]:
        """Where the pages up to this one began, oldest first: the last is where this one does. Empty for the first.

        Raises:
            Invalid: the cursor is none of these lists'.
        """
        given = self.after if self.after is not None else self.before
        return [] if given is None else _decoded(given)


class TaskRunsQuery(RowsQuery):
    """Which runs to list; all filters given must hold, and of each any of its values."""

    status: Annotated[_Values, _listed("status", "Statuses, in either vocabulary.")] = None
    tasks: Annotated[_Values, _listed("taskIdentifier", "Tasks.")] = None
    tags: Annotated[_Values, _listed("tag", "Tags; `key:value` finds the tag `key` with that value, too.")] = None
    versions: Annotated[_Values, _listed("version", "What the run was locked to.")] = None
    queues: Annotated[_Values, _listed("queue", "Queues: `task/<task>`, or the name of one.")] = None
    machines: Annotated[_Values, _listed("machine", "What the run was wanted to run on.")] = None
    regions: Annotated[_Values, _listed("region", "Where the run was wanted to run.")] = None
    batch: Annotated[_Value, Field(alias="filter[batch]", description="A batch.")] = None
    bulk_action: Annotated[
        _Value, Field(alias="filter[bulkAction]", description="A bulk action: what it cancelled, or made by replaying.")
    ] = None
    schedule: Annotated[_Value, Field(alias="filter[schedule]", description="A schedule: no run has one.")] = None
    is_test: Annotated[bool | None, Field(alias="filter[isTest]", description="Whether it is a test.")] = None
    since: Annotated[
        _MILLISECONDS | None, Field(alias="filter[createdAt][from]", description="Milliseconds since 1970.")
    ] = None
    until: Annotated[
        _MILLISECONDS | None, Field(alias="filter[createdAt][to]", description="Milliseconds since 1970.")
    ] = None
    period: Annotated[
        str | None, Field(alias="filter[createdAt][period]", max_length=64, description="A duration: `7d`.")
    ] = None


class ProjectRunsQuery(TaskRunsQuery):
    """Which runs of a project to list."""

    environments: Annotated[_Values, _listed("env", "Environments: a project is one here, `prod`.")] = None


class SpansQuery(Query):
    """Whether spans are wanted in pages."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=True, extra="ignore")

    size: Annotated[int | None, Field(alias="page[size]", ge=1, le=10_000, description="Spans in a page."), DIGITS] = (
        None
    )
    after: Annotated[
        str | None, Field(alias="page[after]", max_length=64, description="`pagination.next` of a page.")
    ] = None


def cursor(steps: Sequence[int]) -> str:
    """Return the cursor of a page: where it, and those before it, began."""
    return base64.urlsafe_b64encode(orjson.dumps([*steps][-_MOST_STEPS:])).decode().rstrip("=")


def pagination(steps: Sequence[int], next_step: int | None) -> dict[str, str]:
    """Return the cursors of the pages around the one whose `steps` these are; the next begins at a step, if any."""
    found: dict[str, str] = {}
    if next_step is not None:
        found["next"] = cursor([*steps, next_step])
    if steps:
        found["previous"] = cursor(steps[:-1])
    return found


def _decoded(given: str) -> list[int]:
    try:
        found = orjson.loads(base64.b64decode(given + "=" * (-len(given) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError):
        found = None
    steps = cast(list[int], found) if isinstance(found, list) else [-1]
    if not all(type(step) is int and 0 <= step < _FAR for step in steps):  # a truth is an int, too
        raise Invalid("the cursor is not one of this list: send `pagination.next` of the page before, as it is")
    return steps
