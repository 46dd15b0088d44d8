"""Subscriptions: what may be asked of them."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from runcord.http.models.page import split
from runcord.http.models.stream import Place
from runcord.http.operation import Query
from runcord.run.status import Status

_TagText = Annotated[str, StringConstraints(min_length=1, max_length=321)]


class SubscribeQuery(Query):
    """Where a subscription begins, and what it sends. `Last-Event-ID`, if sent, goes before `after`."""

    after: Annotated[
        Place | None,
        Field(
            description="A position of the ledger, such as the `id` of the last frame that was seen: begin with what "
            "was recorded after it, 0 for everything. Left out, begin with the present state."
        ),
    ] = None
    coalesce: Annotated[
        bool,
        Field(description="Send the latest version of a run alone, where several were recorded since the last frame."),
    ] = False

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if value not in ("", [""])}


class SelectQuery(SubscribeQuery):
    """Which runs to subscribe to: those for which everything given holds, after the event in question."""

    tag: Annotated[
        list[_TagText] | None,
        Field(
            max_length=20,
            description="`key:value`, or `key` for any value; may be repeated, and a run must have all of them.",
        ),
    ] = None
    job: Annotated[str | None, Field(max_length=128, description="The job's id or slug.")] = None
    batch: Annotated[str | None, Field(max_length=128, description="The id of the batch.")] = None
    status: Annotated[
        list[Status] | None,
        Field(max_length=len(Status), description="One of these statuses: repeated, or with commas between them."),
        BeforeValidator(split),
    ] = None
