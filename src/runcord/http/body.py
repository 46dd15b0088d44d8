"""Reading request bodies: bounded in size, depth and time, strict JSON, nothing that could not be kept as it is."""

import asyncio
import json
import re
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request

from runcord.errors import Invalid, TooLarge

M = TypeVar("M", bound=BaseModel)

MAX_DEPTH = 128
"""How deep a body may nest. What is accepted is stored within events and states, which may nest 200 deep to be read."""

_LEAST, _MOST = -(2**63), 2**64 - 1
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_MOST_DIGITS = 20


class MalformedJson(Invalid):
    """The body is not valid JSON."""

    code = "malformed_json"


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
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
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
    """Return the JSON value; nothing at all counts as `{}`.

    Raises:
        MalformedJson: it is no JSON (RFC 8259), or holds a number no double can.
        Invalid: it nests more than `MAX_DEPTH` deep, a whole number in it does not fit 64 bits and would be rounded,
            or a string in it holds NUL, which PostgreSQL cannot keep.
    """
    if not raw.strip():
        return {}
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"the body is not valid JSON: {str(error)[:200]}") from error
    if b"\\u0000" in raw and _holds_nul(value):
        raise Invalid("strings must not contain NUL (U+0000): remove it, or encode the data (base64, say)")
    # Few bodies have brackets enough to be too deep: only those are looked into.
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise Invalid(f"the body nests more than {MAX_DEPTH} deep: flatten it, or send the inner part as a string")
    if _LONG_NUMBER.search(raw):
        json.loads(raw, parse_int=_exact)
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    layer: list[Any] = [value]
    for _ in range(levels):
        inner: list[Any] = []
        for item in layer:
            if isinstance(item, dict):
                inner.extend(item.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
            elif isinstance(item, list):
                inner.extend(item)  # pyright: ignore[reportUnknownArgumentType]
        if not inner:
            return False
        layer = inner
    return any(isinstance(item, dict | list) for item in layer)


def _exact(digits: str) -> int:
    number = int(digits) if len(digits) <= _MOST_DIGITS else None
    if number is None or not _LEAST <= number <= _MOST:
        raise Invalid("a whole number in the body does not fit 64 bits and would be rounded: send it as a string")
    return number


def _holds_nul(value: Any) -> bool:
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if "\0" in item:
                return True
        elif isinstance(item, dict):
            pending.extend(item.keys())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
            pending.extend(item.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        elif isinstance(item, list):
            pending.extend(item)  # pyright: ignore[reportUnknownArgumentType]
    return False


def validate(model: type[M], value: Any, where: str) -> M:
    """Return `value` as the model.

    Raises:
        Invalid: it is not; the details name each member and say what is wrong with it.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = [_detail(problem) for problem in error.errors(include_url=False, include_input=False)][:50]
        raise Invalid(f"{where} is not valid: {details[0]['message']}", details=details) from None


def _detail(problem: ErrorDetails) -> dict[str, str]:
    field = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"]
    if problem["type"] == "extra_forbidden":
        message = "is not a known member: check the spelling, or leave it out"
    elif problem["type"] == "missing":
        message = "is required"
    return {"field": field, "message": f"{field}: {message}" if field else message}


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than the {limit:,} bytes allowed: send less, or in several requests")
