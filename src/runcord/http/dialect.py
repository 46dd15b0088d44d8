"""Dialects: how an API that we speak beside our own says that something was refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runcord.errors import RuncordError


@dataclass(frozen=True)
class Dialect:
    """What refusals look like in another API."""

    name: str
    status_of: Callable[[RuncordError], int]
    """The HTTP status of an error."""
    status_of_conflict: int
    """The HTTP status for what the present state does not allow."""
    body: Callable[[RuncordError, int, str], Mapping[str, Any]]
    """The answer's body, of an error, its status and the request's id."""
    headers: Callable[[RuncordError, int], Mapping[str, str]]
    problem: Any
    """The model of the body, for the OpenAPI document."""
