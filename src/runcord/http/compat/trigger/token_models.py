"""Public tokens as Trigger.dev's clients ask for them, and what they are told."""

import re
from typing import Annotated

from pydantic import Field, Strict

from runcord.http.compat.trigger.body import LenientBody
from runcord.http.models.page import Document
from runcord.http.models.token import USUAL_SECS, Column, ScopeText

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600, "y": 365.25 * 24 * 3600}
_SPAN = re.compile(
    r"\+? ?(\d{1,9}(?:\.\d{1,9})?) ?"
    r"(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w|years?|yrs?|y)(?: from now)?",
    re.IGNORECASE,
)


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
