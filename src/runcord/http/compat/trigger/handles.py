"""What triggers hand out with their answers: a token that reads what they made."""

import orjson

from runcord.clock import unix_now
from runcord.http.operation import Call

LIFE_SECS = 3600


async def handle_headers(call: Call, *scopes: str) -> dict[str, str]:
    """Return the headers of an answer that carry a token with these scopes, good for an hour.

    `x-trigger-jwt` is the token. Some clients sign one themselves instead, with their API key and the claims in
    `x-trigger-jwt-claims`; those who have but a token cannot, and get no claims. Raises Unavailable.
    """
    tokens = call.backend.public_tokens
    headers = {"x-trigger-jwt": tokens.sign(call.signer, scopes, expires_at=unix_now() + LIFE_SECS)}
    if call.key is not None:
        headers["x-trigger-jwt-claims"] = orjson.dumps(await tokens.claims(call.key, bearer(call))).decode()
    return headers


def bearer(call: Call) -> str:
    """Return the credential that came with a call which was let in."""
    return call.request.fields["authorization"].partition(" ")[2].strip()
