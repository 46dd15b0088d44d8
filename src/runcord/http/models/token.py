"""Public tokens: what callers say about them, and what they are told."""

import re
from datetime import datetime
from typing import Annotated, get_args

from pydantic import AfterValidator, Field, Strict, StringConstraints

from runcord.http.models.page import Document
from runcord.http.operation import Body
from runcord.key.token_scopes import ADMIN, ANY_ACTION, Action, parse

LONGEST_SECS = 30 * 24 * 3600
USUAL_SECS = 15 * 60

_ACTIONS = (*get_args(Action), ANY_ACTION, ADMIN)
_KNOWN = rf"^({'|'.join(map(re.escape, _ACTIONS))})(:[^:]+(:(.|\n)+)?)?$"
"""For the OpenAPI document: what `parse` takes."""


def _known(text: str) -> str:
    scope = parse(text)
    if scope is None or scope.action not in _ACTIONS:
        raise ValueError(
            f"should be action:type:id, such as read:runs:run_1 or read:tags:user:1, of {', '.join(_ACTIONS)}"
        )
    return text


ScopeText = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Column = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class NewPublicToken(Body):
    """A public token to be made."""

    scopes: Annotated[
        list[Annotated[ScopeText, AfterValidator(_known), Field(json_schema_extra={"pattern": _KNOWN})]],
        Field(
            min_length=1,
            max_length=100,
            description="What it may do, each `action:type:id`: `read:runs:run_1`, `read:tags:user:1`, "
            "`read:batch:batch_1`, `read:tasks:parse`, `trigger:tasks:parse` …; without an id, all of the type.",
        ),
    ]
    expires_in_secs: Annotated[int, Field(ge=1, le=LONGEST_SECS)] = USUAL_SECS
    one_time: Annotated[bool, Field(description="Whether it triggers once, and then no more.")] = False
    skip_columns: Annotated[
        tuple[Column, ...],
        Strict(False),
        Field(max_length=50, description="What it may not see of runs, by Trigger.dev's names: `payload`, `output` …"),
    ] = ()


class CreatedPublicToken(Document):
    """A public token."""

    token: str
    expires_at: datetime
