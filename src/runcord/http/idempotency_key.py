"""The idempotency key that a request carries in a header."""

from runcord.errors import Invalid
from runcord.http.operation import Call

_MAX_KEY = 256


def given_key(call: Call) -> str | None:
    """Return the key in `X-Idempotency-Key` or `Idempotency-Key`, or None.

    Raises:
        Invalid: it is empty, too long, or not printable.
    """
    headers = call.request.fields
    key = headers.get("x-idempotency-key", headers.get("idempotency-key"))
    if key is not None and not (1 <= len(key) <= _MAX_KEY and key.isprintable()):
        raise Invalid(f"the idempotency key must have 1 to {_MAX_KEY} printable characters")
    return key
