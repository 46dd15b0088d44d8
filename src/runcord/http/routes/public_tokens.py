"""Public tokens: credentials for browsers, which see some runs, or trigger some tasks, for a while."""

from datetime import UTC, datetime

from runcord.clock import unix_now
from runcord.http.models.token import CreatedPublicToken, NewPublicToken
from runcord.http.operation import Answer, Call, Operation


async def create_public_token(call: Call) -> Answer:
    """Make a public token in the name of the calling key: it may do no more than the key, and ends with it.

    It is a JWT as Trigger.dev's clients make them, and good for these too. Here it reads; it triggers and writes by
    the paths of Trigger.dev.
    """
    body = call.body(NewPublicToken)
    expires_at = unix_now() + body.expires_in_secs
    token = call.backend.public_tokens.sign(
        call.signer, body.scopes, expires_at=expires_at, one_time=body.one_time, hidden=body.skip_columns
    )
    members = {"token": token, "expires_at": datetime.fromtimestamp(expires_at, UTC)}
    return Answer(members, 201, headers={"Cache-Control": "no-store"})


OPERATIONS = (
    Operation(
        "POST",
        "/v1/public-tokens",
        create_public_token,
        "Make a public token",
        "api-keys",
        body=NewPublicToken,
        answer=CreatedPublicToken,
        status=201,
    ),
)
