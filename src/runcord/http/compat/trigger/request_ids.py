"""Ids that stand for requests: what a client sends again, because its answer was lost, makes nothing twice.

4.x sends `x-trigger-request-idempotency-key` with every call, the same with its repeats. What the call makes has an id
that follows from it, so that the repeat finds it there, on whichever server it arrives.
"""

import hashlib

from runcord.http.operation import Call
from runcord.ids import new_id

_HEADER = "x-trigger-request-idempotency-key"
_LONGEST = 256
_DIGITS = "0123456789abcdefghijklmnopqrstuv"


def request_key(call: Call) -> str | None:
    """Return the key that a call shares with its repeats, if it has one."""
    given = call.request.fields.get(_HEADER, "")
    return given if 0 < len(given) <= _LONGEST else None


def id_for_request(call: Call, prefix: str) -> str:
    """Return an id for what this call makes: a new one, unless the call may be a repeat."""
    key = request_key(call)
    return new_id(prefix) if key is None else id_for(prefix, call.project_id, call.request.url.path, key)


def id_for(prefix: str, *parts: str) -> str:
    """Return the id that follows from some texts: `<prefix>_` and 26 lower-case alphanumerics."""
    digest = hashlib.sha256("\0".join((prefix, *parts)).encode("utf-8", "surrogatepass")).digest()
    number = int.from_bytes(digest[:17])
    return f"{prefix}_{''.join(_DIGITS[number >> 5 * place & 31] for place in range(26))}"
