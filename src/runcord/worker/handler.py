"""A job's handler: which function it is, and how it wants to be called."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HandlerFunction = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Handler:
    """Hold a job's function. An asynchronous one runs on the loop, a synchronous one in a thread of its own."""

    slug: str
    function: HandlerFunction
    asynchronous: bool
    takes_context: bool

    def call(self, payload: Any, context: object) -> Any:
        """Call the function as it was declared: with the payload, or with the payload and the context."""
        return self.function(payload, context) if self.takes_context else self.function(payload)


def handler(slug: str, function: HandlerFunction) -> Handler:
    """Return a function's handler. Raises TypeError unless it takes (payload) or (payload, context)."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    required_keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    places = sum(p.kind in positional for p in parameters)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        places = 2
    if places not in (1, 2) or required_keywords:
        raise TypeError(f"The handler of {slug!r} must take (payload) or (payload, context).")
    return Handler(slug, function, inspect.iscoroutinefunction(function), places == 2)
