"""Run tokens are JSON web tokens like any other."""

import jwt
import pytest

from runcord.errors import Unauthenticated
from runcord.http.run_tokens import RunTokens
from runcord.run import commands as c
from runcord.testing.scenario import given, triggered

SECRET = b"s" * 32


@pytest.mark.parametrize("claimed", [False, True])
def test_others_write_the_same_token_and_read_it(claimed: bool) -> None:
    run = given(triggered()).run
    token = RunTokens(SECRET).sign("proj_a", run, claimed=claimed)
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], issuer="runcord:run")
    assert jwt.encode(claims, SECRET, algorithm="HS256") == token
    assert claims["sub"] == run.run_id and ("fence" in claims) == claimed


def test_another_secret_does_not_read_it() -> None:
    token = RunTokens(SECRET).sign("proj_a", given(triggered()).run, claimed=False)
    assert RunTokens(SECRET).read(token).claim == c.Claim(attempt=1, fence=None)
    with pytest.raises(Unauthenticated):
        RunTokens(b"t" * 32).read(token)
