"""One HTTP call as a value: what to send, whether it may be repeated, and the type of its answer.

The asynchronous and the synchronous client send the same values; nothing here does any I/O.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import GenericAlias
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from runcord.client.errors import UnexpectedAnswerError

T = TypeVar("T")

QueryValue = str | int | bool | datetime | Sequence[str] | None
"""A sequence is sent as the parameter given several times."""

_adapters: dict[object, TypeAdapter[Any]] = {}


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """Describe one call whose answer is a `T`.

    `repeatable` says that sending it twice does no harm, so that it may be sent again when its answer was lost.
    `token` replaces the client's API key; `patience` (seconds) is added to the time that an answer may take.
    """

    method: str
    path: str
    answer: type[T]
    query: Mapping[str, QueryValue] = field(default_factory=dict[str, QueryValue])
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    repeatable: bool = False
    token: str | None = None
    patience: float = 0.0

    @property
    def call(self) -> str:
        """Name the call in messages."""
        return f"{self.method} {self.path}"

    def at(self, cursor: str | None) -> "Request[T]":
        """Return the same request for the page that begins at `cursor`."""
        return replace(self, query={**self.query, "cursor": cursor})

    def after(self, last_id: int | None) -> "Request[T]":
        """Return the same request for a stream that goes on after an id, None for one that begins as it wants to."""
        return replace(self, query={**self.query, "after": last_id})

    def spoken_by(self, token: str | None, headers: Mapping[str, str]) -> "Request[T]":
        """Return the same request with another credential (None keeps the API key) and more headers."""
        return replace(self, token=token, headers={**self.headers, **headers})

    def parameters(self) -> dict[str, str | list[str]]:
        """Return the query as text, without what is None."""
        return {name: _text(value) for name, value in self.query.items() if value is not None}

    def content(self) -> bytes | None:
        """Return the JSON body, or None. Raises TypeError for values that JSON cannot carry."""
        return None if self.body is None else encode(self.body)

    def parse(self, status: int, content: bytes) -> T:
        """Return the answer's body as a `T`; an empty body reads as null."""
        return self._parse(self.answer, status, content)

    def parse_many(self, status: int, content: bytes) -> list[T]:
        """Return the answer's body as an array of `T`."""
        return self._parse(GenericAlias(list, (self.answer,)), status, content)

    def _parse(self, kind: Any, status: int, content: bytes) -> Any:
        adapter = _adapters.get(kind)
        if adapter is None:
            adapter = _adapters[kind] = TypeAdapter[Any](kind)
        try:
            return adapter.validate_json(content or b"null")
        except ValidationError as error:
            raise UnexpectedAnswerError(
                f"{self.call} was answered with something else than expected: {error}",
                status=status,
                code="unexpected_answer",
            ) from error


def path(*segments: str) -> str:
    """Return the segments as an absolute path, each of them escaped as a whole."""
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def given(**members: object) -> dict[str, object]:
    """Return the members that are not None: what the caller did not give is not sent."""
    return {name: value for name, value in members.items() if value is not None}


def entries(name: str, members: Mapping[str, str] | None) -> dict[str, QueryValue]:
    """Return a mapping as the parameters `name[key]`."""
    return {f"{name}[{key}]": value for key, value in (members or {}).items()}


def encode(value: object) -> bytes:
    """Return `value` as JSON; models, dataclasses, dates, UUIDs and enumerations are taken too.

    Raises TypeError for anything else, for text that is not Unicode, and for integers beyond 64 bits.
    """
    return orjson.dumps(value, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


def _text(value: str | int | bool | datetime | Sequence[str]) -> str | list[str]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
