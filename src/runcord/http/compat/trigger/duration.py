"""Durations and times as Trigger.dev's clients write them."""

import re
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from runcord.errors import Unprocessable
from runcord.handling.idempotency import DEFAULT_LIFE_SECS
from runcord.http.models.value import MAX_SECS

_UNITS = {"w": 7 * 86_400, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_PART = re.compile(r"(\d{1,12})(hr|w|d|h|m|s)")
_WHOLE = re.compile(rf"(?:{_PART.pattern.replace('(', '(?:')})+")
_LIFE = re.compile(r"(\d{1,12})([smhd])")
_TIME = TypeAdapter(datetime)


class NoDuration(Unprocessable):
    """This is neither a duration nor a time."""

    code = "no_duration"


def seconds(text: str) -> int | None:
    """Return the seconds of a duration: `1w2d3h4m5s`, any parts of it, one at least; None for anything else.

    No duration is longer than ten years.
    """
    if not _WHOLE.fullmatch(text):
        return None
    return min(sum(int(number) * _UNITS[unit[0]] for number, unit in _PART.findall(text)), MAX_SECS)


def duration(secs: float) -> str:
    """Return whole seconds as a duration: 3660 is `1h1m`."""
    left = int(secs)
    parts: list[str] = []
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def due_at(text: str, now: datetime) -> datetime:
    """Return when something is due: at a time (ISO 8601), or after a duration.

    Raises:
        NoDuration: it is neither.
    """
    try:
        at = _TIME.validate_python(text) if "-" in text else None
    except ValidationError:
        at = None
    if at is not None:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    secs = seconds(text)
    if secs is None:
        raise NoDuration(f"{text[:64]!r} is neither a time (2026-01-31T12:00:00Z) nor a duration (`1h30m`)")
    return now + timedelta(seconds=secs)


def life_secs(text: str | None) -> int:
    """Return for how long an idempotency key lives: `10s`, `5m`, `24h`, `7d`; 30 days for anything else."""
    match = _LIFE.fullmatch(text or "")
    if match is None or not int(match[1]):
        return DEFAULT_LIFE_SECS
    return min(int(match[1]) * _UNITS[match[2]], MAX_SECS)
