"""Public tokens as Trigger.dev's clients have them made, or make them. Tokens open neither: none makes another."""

from runcord.clock import unix_now
from runcord.errors import Invalid
from runcord.http.compat.trigger.handles import bearer
from runcord.http.compat.trigger.operation import trigger_operation
from runcord.http.compat.trigger.token_models import PublicTokenAnswer, PublicTokenRequest, TokenClaims
from runcord.http.models.token import LONGEST_SECS
from runcord.http.operation import Answer, Call

_NO_STORE = {"Cache-Control": "no-store"}


async def create_token_claims(call: Call) -> Answer:
    """Answer the claims of a public token that the client is going to sign with its API key.

    From then on the key is kept, sealed, so that such tokens can be checked; keys of the `tr_` forms are from the
    beginning.
    """
    claims = await call.backend.public_tokens.claims(call.signer, bearer(call))
    return Answer(claims, headers=_NO_STORE)


async def mint_public_token(call: Call) -> Answer:
    """Sign a public token in the name of the calling key: it may do no more than the key, and ends with it.

    It lives for a quarter of an hour unless `expirationTime` says otherwise, and for 30 days at the longest.
    """
    body, now = call.body(PublicTokenRequest), unix_now()
    try:
        ends_at = body.ends_at(now)
    except ValueError as error:
        raise Invalid(
            "expirationTime is no time: give seconds since 1970, or a span such as 15m, 1h or 7 days"
        ) from error
    if not now < ends_at <= now + LONGEST_SECS:
        raise Invalid("expirationTime must lie ahead, and within 30 days")
    token = call.backend.public_tokens.sign(
        call.signer,
        body.scopes,
        expires_at=int(ends_at),
        one_time=body.oneTimeUse,
        hidden=() if body.realtime is None else body.realtime.skipColumns,
    )
    return Answer({"token": token}, headers=_NO_STORE)


OPERATIONS = (
    trigger_operation(
        "POST",
        "/api/v1/auth/jwt/claims",
        create_token_claims,
        "Get claims to sign",
        answer=TokenClaims,
        scope=None,
    ),
    trigger_operation(
        "POST",
        "/api/v1/auth/public-tokens",
        mint_public_token,
        "Make a public token",
        body=PublicTokenRequest,
        answer=PublicTokenAnswer,
        scope=None,
    ),
)
