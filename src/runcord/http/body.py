"""Reading request bodies: bounded in size and time, strict JSON."""

import asyncio
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect

from runcord import json_text
from runcord.errors import Invalid, TooLarge
from runcord.http.document import exchange_of
from runcord.http.request import Request

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class RequestTimeout(Invalid):
    """The body did not arrive in time."""

    code = "request_timeout"


async def read_body(request: Request, limit: int, timeout: float) -> bytes:
    """Return the body.

    Raises:
        TooLarge: it has more than `limit` bytes; the rest is not read.
        RequestTimeout: it did not arrive within `timeout` seconds.
        Invalid: the client went away in the middle of it.
    """
    length = request.fields.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    exchange = exchange_of(request.scope)
    arrived = None if exchange is None else exchange.take_body()
    if arrived is not None:
        if len(arrived) > limit:  # it came in chunks, and nobody had said how long it would be
            raise _too_large(limit)
        return arrived
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
    except TimeoutError as error:
        raise RequestTimeout(f"the body did not arrive within {timeout:g} seconds: send it at once") from error
    except ClientDisconnect as error:
        raise Invalid("the client went away before the body had arrived") from error
    return b"".join(chunks)


def parse_json(raw: bytes) -> Any:
    """Return the JSON value; nothing at all counts as `{}`. Raises as `json_text.parse` does."""
    return json_text.parse(raw) if raw.strip(json_text.BLANK) else {}


def validate(model: type[M], value: Any, where: str) -> M:
    """Return `value` as the model.

    Raises:
        Invalid: it is not; the details name each member and say what is wrong with it.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _invalid(error, where) from None


def validate_as(kind: TypeAdapter[T], value: Any, where: str) -> T:
    """Return `value` as a value of that kind. Raises Invalid as `validate` does."""
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise _invalid(error, where) from None


def _invalid(error: ValidationError, where: str) -> Invalid:
    details = [_detail(problem) for problem in error.errors(include_url=False, include_input=False)][:50]
    return Invalid(f"{where} is not valid: {details[0]['message']}", details=details)


def _detail(problem: ErrorDetails) -> dict[str, str]:
    field = ".".join(str(part) for part in problem["loc"])
    # What a model's own rule says comes with a prefix, which means nothing to who sent the request.
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "is not a known member: check the spelling, or leave it out"
    elif problem["type"] == "missing":
        message = "is required"
    elif problem["type"] == "model_type":
        message = "has to be an object"
    return {"field": field, "message": f"{field}: {message}" if field else message}


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than the {limit:,} bytes allowed: send less, or in several requests")
