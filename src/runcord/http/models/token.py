"""Public tokens: what callers say about them, and what they are told."""

import re
from datetime import datetime
from typing import Annotated, get_args

from pydantic import AfterValidator, Field, Strict, StringConstraints

from runcord.http.compat.trigger.body import LenientBody
from runcord.http.models.page import Document
from runcord.http.operation import Body
from runcord.key.token_scopes import ADMIN, ANY_ACTION, Action, parse

LONGEST_SECS = 30 * 24 * 3600
USUAL_SECS = 15 * 60

_ACTIONS = (*get_args(Action), ANY_ACTION, ADMIN)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600, "y": 365.25 * 24 * 3600}
_SPAN = re.compile(
    r"\+? ?(\d{1,9}(?:\.\d{1,9})?) ?"
    r"(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w|years?|yrs?|y)(?: from now)?",
    re.IGNORECASE,
)
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


# --- Trigger.dev --------------------------------------------------------------------------------------


class Realtime(LenientBody):
    """What subscriptions with the token leave out."""

    skipColumns: Annotated[tuple[Column, ...], Strict(False), Field(max_length=50)] = ()


class PublicTokenRequest(LenientBody):
    """A public token to be made, as Trigger.dev's client asks for one."""

    scopes: Annotated[list[ScopeText], Field(min_length=1, max_length=100)]
    expirationTime: Annotated[
        int | float | str | None,
        Field(description="When it ends: seconds since 1970, or a span such as `1h`. A quarter of an hour if missing."),
    ] = None
    oneTimeUse: bool = False
    realtime: Realtime | None = None

    def ends_at(self, now: int) -> float:
        """Return when it ends, in seconds since 1970, as the caller wants it.

        Raises:
            ValueError: that is no time.
        """
        given = self.expirationTime
        if given is None:
            return now + USUAL_SECS
        if not isinstance(given, str):
            return given
        span = _SPAN.fullmatch(given)
        if span is None:
            raise ValueError
        return now + float(span[1]) * _UNITS[span[2][0].lower()]


class PublicTokenAnswer(Document):
    """A public token."""

    token: str


class TokenClaims(Document):
    """What a client puts into a token that it signs itself."""

    sub: str
    pub: bool
    jti: str
