"""The largest result that a run may have, whatever the size of the bodies that results come in."""

from typing import Any

from runcord.errors import TooLarge
from runcord.http.operation import Call
from runcord.ledger.mapper import to_json

MAX_RESULT = 1024 * 1024


def bounded(call: Call, result: Any) -> Any:
    """Return the result; raise TooLarge if it has more than `MAX_RESULT` bytes of JSON."""
    length = call.request.fields.get("content-length", "")
    surely_small = length.isdigit() and int(length) <= MAX_RESULT
    if result is not None and not surely_small and len(to_json(result)) > MAX_RESULT:
        raise TooLarge(f"the result is larger than {MAX_RESULT:,} bytes: keep it elsewhere and return where")
    return result
