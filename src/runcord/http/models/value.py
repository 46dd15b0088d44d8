"""The kinds of values that bodies are made of, with their limits.

Bodies are strict: `"5"` is no number and `1` is no truth. Times are RFC 3339 strings with an offset.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    SecretStr,
    Strict,
    StringConstraints,
    WithJsonSchema,
)

from runcord.ledger.mapper import to_json

INT32_MAX = 2**31 - 1

MAX_SECS = 10 * 366 * 24 * 3600
"""Ten years: no duration is longer, so that sums of times stay times."""

MAX_STATE = 64 * 1024

_FIRST_YEAR, _LAST_YEAR = 1970, 2200


def _string(value: Any) -> Any:
    # Digits alone would be taken for a number of seconds.
    if not (isinstance(value, datetime) or (isinstance(value, str) and "-" in value[1:])):
        raise ValueError("should be a time in RFC 3339 with an offset, such as 2026-01-31T12:00:00Z")
    return value


def _sane(value: datetime) -> datetime:
    if not _FIRST_YEAR <= value.year < _LAST_YEAR:
        raise ValueError(f"should lie between the years {_FIRST_YEAR} and {_LAST_YEAR}")
    return value.astimezone(UTC)


def _small(value: Any) -> Any:
    if len(to_json(value)) > MAX_STATE:
        raise ValueError(f"should be no larger than {MAX_STATE:,} bytes as JSON")
    return value


def _addressable(key: str) -> str:
    whole = key.removesuffix("/")  # paths are taken with and without a slash at their end
    if whole in {"stats", "purge"} or whole.endswith(("/stream", "/send")) or key.startswith("prefix/"):
        raise ValueError(
            "should not be `stats` or `purge`, begin with `prefix/` or end with `/stream` or `/send`: "
            "those are other paths"
        )
    if not {".", ".."}.isdisjoint(key.split("/")):
        raise ValueError("should not have `.` or `..` between slashes: clients and proxies resolve them in paths")
    return key


Json = Any
"""Any JSON value."""

SmallJson = Annotated[Any, AfterValidator(_small)]
"""A JSON value of at most `MAX_STATE` bytes."""

Time = Annotated[
    AwareDatetime,
    Strict(False),
    BeforeValidator(_string),
    AfterValidator(_sane),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": r"^(19[7-9]|20|21)"}),
]
Count = Annotated[int, Field(ge=0, le=INT32_MAX)]
Positive = Annotated[int, Field(ge=1, le=INT32_MAX)]
BigCount = Annotated[int, Field(ge=0, le=2**53)]
"""Up to the largest integer that every JSON reader keeps exactly."""
Secs = Annotated[float, Field(ge=0, le=MAX_SECS)]
PositiveSecs = Annotated[float, Field(gt=0, le=MAX_SECS)]
LeaseSecs = Annotated[float, Field(ge=1, le=86_400)]
Priority = Annotated[int, Field(ge=0, le=10)]

Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Slug = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
Ref = Annotated[str, StringConstraints(min_length=1, max_length=255)]
"""The id of something, or its slug."""
Text = Annotated[str, StringConstraints(max_length=10_000)]
Line = Annotated[str, StringConstraints(max_length=1024)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2048, pattern=r"^https?://[^\s]+$")]
EmptyUrl = Annotated[
    Url | None,
    BeforeValidator(lambda value: None if value == "" else value),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "maxLength": 2048, "pattern": r"^(https?://[^\s]+)?$"}, {"type": "null"}]}
    ),
]
"""As Strait's clients send it: the empty string stands for none."""
Secret = Annotated[SecretStr, Field(min_length=1, max_length=1024)]
"""Something that is taken and never answered."""
IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=256)]
ConcurrencyKey = Annotated[str, StringConstraints(min_length=1, max_length=256)]
WindowKey = Annotated[str, StringConstraints(max_length=256)]
StateKey = Annotated[str, StringConstraints(min_length=1, max_length=256)]
EventPrefix = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
EventKey = Annotated[
    EventPrefix,
    AfterValidator(_addressable),
    Field(
        json_schema_extra={
            "not": {"pattern": r"^(stats|purge)/?$|^prefix/|/(stream|send)/?$|(^|/)\.{1,2}(/|$)"},
        }
    ),
]
"""What a run may wait for is exactly what can be sent and asked for under `/v1/events`."""
Label = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""A short name that a worker chooses: a queue, a model, a tool."""

Tags = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=256)],
    ],
    Field(max_length=20),
]
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=128)],
        Annotated[str, StringConstraints(max_length=1024)],
    ],
    Field(max_length=50),
]
